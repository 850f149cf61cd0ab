"""What a request to create a container may not say, in Docker's sentences; a table by subject, nothing changed."""

from __future__ import annotations

import ipaddress
import re

from ..errors import Invalid, NotSupported
from .facts import ContainerFacts
from .logging import check_log, not_honoured
from .model import Config, HealthConfig, HostConfig
from .restart import check_policy
from .security import UNCONFINED, parse_security
from .signals import signal_number

SMALLEST_MEMORY = 6 << 20
SHORTEST = 1_000_000  # nanoseconds: a health check's times are at least a millisecond
LIMITS = "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack"  # getrlimit(2)
ULIMITS = frozenset(LIMITS.split())
DEVICE_RULE = re.compile(r"[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}")


def check_config(config: Config) -> None:
    """The portable half."""
    if config.working_dir and not config.working_dir.startswith("/"):
        raise Invalid(f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path")
    if config.stop_signal:
        signal_number(config.stop_signal)
    for word in config.env or ():
        if word.startswith("=") or not word:
            raise Invalid(f"invalid environment variable: {word}")
    if config.healthcheck is not None:
        check_health(config.healthcheck)


def check_health(check: HealthConfig) -> None:
    """Times are 0 (Docker's default) or at least a millisecond."""
    times = {
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
    }
    for name, value in times.items():
        if value != 0 and value < SHORTEST:
            raise Invalid(f"{name} in Healthcheck cannot be less than 1ms")
    if check.retries < 0:
        raise Invalid("Retries in Healthcheck cannot be negative")


def check_host(host: HostConfig, facts: ContainerFacts) -> None:
    """The half that depends on the host, the modes aside."""
    check_policy(host.restart_policy, auto_remove=host.auto_remove)
    check_memory(host)
    check_cpu(host, facts)
    parse_security(host.security_opt)
    check_log(host.log_config)
    if host.shm_size < 0:
        raise Invalid("SHM size can not be less than 0")
    for word in host.extra_hosts or ():
        check_extra_host(word)
    for server in host.dns or ():
        if not is_address(server):
            raise Invalid(f'invalid JSON: ParseAddr("{server}"): unable to parse IP')
    if not -1000 <= host.oom_score_adj <= 1000:
        raise Invalid(f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if host.blkio_weight and not 10 <= host.blkio_weight <= 1000:
        raise Invalid("Range of blkio weight is from 10 to 1000")
    check_rates(host)
    for limit in host.ulimits or ():
        if limit.name.lower() not in ULIMITS:
            raise Invalid(f"invalid ulimit type: {limit.name}")
        if limit.hard >= 0 and (limit.soft > limit.hard or limit.soft < 0):
            raise Invalid(f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}")
    for rule in host.device_cgroup_rules or ():
        if DEVICE_RULE.fullmatch(rule) is None:
            raise Invalid(f"invalid device cgroup rule format: '{rule}'")
    if host.runtime and host.runtime not in facts.runtimes:
        raise Invalid(f"unknown or invalid runtime name: {host.runtime}", hint=f"this host has {', '.join(sorted(facts.runtimes))}")
    if host.isolation not in ("", "default"):
        raise Invalid(f"invalid isolation ({host.isolation}): linux only supports 'default'")
    for kind, asked in (("bandwidth", host.io_maximum_bandwidth), ("IOPs", host.io_maximum_iops)):
        if asked:
            raise Invalid(f"invalid option: QoS maximum {kind} configuration is not supported on linux")
    if host.storage_opt:
        raise NotSupported("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")
    if host.device_requests:
        request = host.device_requests[0]
        words = "[" + " ".join("[" + " ".join(group) + "]" for group in request.capabilities or ()) + "]"
        raise NotSupported(f'could not select device driver "{request.driver}" with capabilities: {words}')


def check_rates(host: HostConfig) -> None:
    """Every limit of a block device names the device and how much."""
    for weight in host.blkio_weight_device or ():
        if not weight.path or (weight.weight and not 10 <= weight.weight <= 1000):
            raise Invalid(f"invalid weight of a block device: {weight.path or 'no Path'}: the Weight is {weight.weight}, it may be 10 to 1000")
    for rates in (host.blkio_device_read_bps, host.blkio_device_write_bps, host.blkio_device_read_iops, host.blkio_device_write_iops):
        for rate in rates or ():
            if not rate.path or rate.rate < 0:
                raise Invalid(f"invalid limit of a block device: it wants a Path and a Rate, not {rate.path!r} and {rate.rate}")


def check_memory(host: HostConfig) -> None:
    """Bytes that make no sense together."""
    limit, swap, reservation = host.memory, host.memory_swap, host.memory_reservation
    if limit and limit < SMALLEST_MEMORY:
        raise Invalid("Minimum memory limit allowed is 6MB")
    if limit > 0 and swap > 0 and swap < limit:
        raise Invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
    if limit == 0 and swap > 0:
        raise Invalid("You should always set the Memory limit when using Memoryswap limit, see usage")
    if host.memory_swappiness is not None and not -1 <= host.memory_swappiness <= 100:
        raise Invalid(f"Invalid value: {host.memory_swappiness}, valid memory swappiness range is 0-100")
    if reservation and reservation < SMALLEST_MEMORY:
        raise Invalid("Minimum memory reservation allowed is 6MB")
    if limit > 0 and reservation > 0 and limit < reservation:
        raise Invalid("Minimum memory limit can not be less than memory reservation limit, see usage")


def check_cpu(host: HostConfig, facts: ContainerFacts) -> None:
    """Times of the scheduler and processors that are there."""
    if host.nano_cpus > 0 and host.cpu_period > 0:
        raise Invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if host.nano_cpus > 0 and host.cpu_quota > 0:
        raise Invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if host.nano_cpus < 0 or host.nano_cpus > facts.cpus * 1_000_000_000:
        raise Invalid(f"range of CPUs is from 0.01 to {facts.cpus}.00, as there are only {facts.cpus} CPUs available")
    if host.cpu_period and not 1000 <= host.cpu_period <= 1_000_000:
        raise Invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < host.cpu_quota < 1000:
        raise Invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if host.cpuset_cpus:
        numbers = cpu_list(host.cpuset_cpus)
        if numbers is None:
            raise Invalid(f"Invalid value {host.cpuset_cpus} for cpuset cpus")
        if max(numbers) >= facts.cpus:
            available = f"0-{facts.cpus - 1}" if facts.cpus > 1 else "0"
            raise Invalid(f"Requested CPUs are not available - requested {host.cpuset_cpus}, available: {available}")
    if (host.cpu_realtime_period or host.cpu_realtime_runtime) and not facts.cpu_realtime:
        raise Invalid("kernel does not support CPU real-time scheduler")
    if host.cpu_realtime_period and host.cpu_realtime_runtime > host.cpu_realtime_period:
        raise Invalid("cpu real-time runtime cannot be higher than cpu real-time period")
    if host.cpu_shares < 0 and "cpu" in facts.controllers:
        raise Invalid(f"invalid CPU shares ({host.cpu_shares}): value must be a positive integer")
    if host.cpuset_mems and cpu_list(host.cpuset_mems) is None:
        raise Invalid(f"Invalid value {host.cpuset_mems} for cpuset mems")


def cpu_list(text: str) -> set[int] | None:
    """ "0-2,4" -> {0, 1, 2, 4}; None where it is no list."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or (dash and int(last) < int(first)):
            return None
        found.update(range(int(first), int(last if dash else first) + 1))
    return found


def check_extra_host(word: str) -> None:
    """One of --add-host."""
    name, colon, address = word.partition(":")
    if not name or not colon:
        raise Invalid(f'bad format for add-host: "{word}"')
    if address != "host-gateway" and not is_address(address.removeprefix("[").removesuffix("]")):
        raise Invalid(f'invalid IP address in add-host: "{address}"')


def is_address(text: str) -> bool:
    """Whether it is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check_modes(config: Config, host: HostConfig) -> None:
    """Options that contradict the container's modes; looks at what the user said, before the image is merged in."""
    network = host.network_mode
    shared = network.startswith("container:") or network == "container"
    if shared and not network.partition(":")[2]:
        raise Invalid("invalid network mode: invalid container format container:<name|id>")
    if host.uts_mode not in ("", "host"):
        raise Invalid(f'invalid UTS mode: "{host.uts_mode}"')
    if host.userns_mode not in ("", "host"):
        raise Invalid(f'invalid user namespace mode: "{host.userns_mode}"')
    if host.cgroupns_mode not in ("", "private", "host"):
        raise Invalid(f"invalid cgroup namespace mode: {host.cgroupns_mode}")
    if host.pid_mode not in ("", "host") and not joins(host.pid_mode):
        raise Invalid(f'invalid PID mode: "{host.pid_mode}"')
    if host.ipc_mode not in ("", "none", "private", "shareable", "host") and not joins(host.ipc_mode):
        raise Invalid(f'invalid IPC mode: "{host.ipc_mode}"')
    conflicts = (
        (host.uts_mode == "host" and config.hostname, "hostname and the UTS mode"),
        (shared and config.hostname, "hostname and the network mode"),
        (shared and host.links, "container type network can't be used with links. This would result in undefined behavior"),
        (network == "host" and host.links, "host type networking can't be used with links. This would result in undefined behavior"),
        (shared and host.dns, "dns and the network mode"),
        (shared and host.extra_hosts, "custom host-to-IP mapping and the network mode"),
        (shared and (host.port_bindings or host.publish_all_ports), "port publishing and the container type network mode"),
        (shared and config.exposed_ports, "port exposing and the container type network mode"),
        ((shared or network == "host") and config.mac_address, "mac-address and the network mode"),
    )
    for wrong, sentence in conflicts:
        if wrong:
            raise Invalid(f"conflicting options: {sentence}")


def joins(mode: str) -> bool:
    """Whether a mode is container:NAME."""
    return mode.startswith("container:") and bool(mode.partition(":")[2])


def warnings(config: Config, host: HostConfig, facts: ContainerFacts) -> list[str]:
    """What is dropped or may surprise: Docker's warnings first, then ours for what this engine does not honour."""
    kernel = "Your kernel does not support {} capabilities or the cgroup is not mounted. {}"
    weight = "Your kernel does not support Block I/O {} or the cgroup is not mounted. {} discarded."
    limits = "memory" in facts.controllers
    said: list[tuple[object, str]] = [
        (
            host.network_mode == "host" and (host.port_bindings or host.publish_all_ports),
            "Published ports are discarded when using host network mode",
        ),
        (not facts.forwarding and host.network_mode != "host", "IPv4 forwarding is disabled. Networking will not work."),
        (
            host.links and host.network_mode in ("", "default", "bridge"),
            "Links on the default bridge network are deprecated and will be removed in a future release. Use a custom network instead.",
        ),
        (host.memory > 0 and not limits, kernel.format("memory limit", "Limitation discarded.")),
        (
            host.memory > 0 and host.memory_swap != -1 and limits and not facts.swap_limit,
            kernel.format("swap limit", "Memory limited without swap."),
        ),
        (
            host.memory_swappiness not in (None, -1) and facts.cgroup == "v2",
            "Your kernel does not support memory swappiness capabilities, or the cgroup is not mounted. Memory swappiness discarded.",
        ),
        (host.oom_kill_disable and facts.cgroup == "v2", "Your kernel does not support OomKillDisable. OomKillDisable discarded."),
        (
            host.oom_kill_disable and facts.cgroup == "v1" and host.memory == 0,
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
        ),
        ((host.pids_limit or 0) > 0 and "pids" not in facts.controllers, kernel.format("PIDs limit", "PIDs limit discarded.")),
        (
            (host.nano_cpus or host.cpu_quota or host.cpu_shares) and "cpu" not in facts.controllers,
            kernel.format("CPU limit", "CPU limits discarded."),
        ),
        (
            host.init and not facts.init,
            "no init was found on this host (Debian's package tini has one): --init is discarded",
        ),
        (host.blkio_weight and not facts.block_weight, weight.format("weight", "Weight")),
        (host.blkio_weight_device and not facts.block_weight, weight.format("weight_device", "Weight-device")),
        (limited_rates(host) and not facts.controllers & {"blkio", "io"}, weight.format("rate limits", "Rates")),
        (
            host.cpu_count or host.cpu_percent,
            "CpuCount and CpuPercent mean nothing on Linux; they are discarded",
        ),
        (host.cgroup, f"the cgroup option {host.cgroup!r} is not honoured by this engine; it is discarded"),
        (
            not_honoured(host.log_config),
            f"log options {', '.join(not_honoured(host.log_config))} are not honoured by this engine; they are discarded",
        ),
        *security_warnings(host, facts),
    ]
    return [sentence for applies, sentence in said if applies]


def limited_rates(host: HostConfig) -> bool:
    """Whether reads or writes of devices are limited."""
    return any((host.blkio_device_read_bps, host.blkio_device_write_bps, host.blkio_device_read_iops, host.blkio_device_write_iops))


def security_warnings(host: HostConfig, facts: ContainerFacts) -> list[tuple[object, str]]:
    """Options of --security-opt that this host cannot honour."""
    security = parse_security(host.security_opt)
    asked = security.apparmor not in ("", UNCONFINED)
    return [
        (asked and not facts.apparmor, f"AppArmor is not enabled on this host: the profile {security.apparmor} is not applied"),
        (
            [label for label in security.labels if label != "disable"],
            "SELinux labels are not honoured by this engine; they are discarded",
        ),
        (security.seccomp not in ("", UNCONFINED) and not facts.seccomp, "this kernel has no seccomp filters: the profile is not applied"),
    ]
