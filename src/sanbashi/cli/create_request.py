"""The flags of run and create to the body of POST /containers/create; ValueError with docker's words."""

from sanbashi.cli.client import Ordered
from sanbashi.cli.flags import Given
from sanbashi.cli.mounts import parse_volumes
from sanbashi.cli.output import lookup
from sanbashi.cli.ports import parse_exposed, parse_published
from sanbashi.cli.values import as_map, key_values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HEALTH = {
    "health-interval": "Interval",
    "health-timeout": "Timeout",
    "health-start-period": "StartPeriod",
    "health-start-interval": "StartInterval",
    "health-retries": "Retries",
}
_NOT_USER_DEFINED = ("bridge", "host", "none", "default")


def body_of(given: Given) -> "dict[str, Any]":
    """The whole body: the container's configuration, its host's, its networks'."""
    config = config_of(given)
    host = host_of(given)
    if host["AutoRemove"] and host["RestartPolicy"]["Name"] not in ("", "no"):
        raise ValueError("conflicting options: cannot specify both --restart and --rm")
    exposed, bindings = parse_published(given.many("publish"))
    for port in parse_exposed(given.many("expose")):
        exposed.setdefault(port, {})
    binds, volumes = parse_volumes(given.many("volume"))
    config |= {"ExposedPorts": exposed, "Volumes": volumes}
    host |= {"PortBindings": bindings, "Binds": binds or None}
    endpoints = endpoints_of(given)
    return config | {"HostConfig": host, "NetworkingConfig": {"EndpointsConfig": endpoints}}


def config_of(given: Given) -> "dict[str, Any]":
    """What belongs to the container wherever it runs."""
    mac = given.text("mac-address")
    if mac and not is_mac(mac):
        raise ValueError(f"{mac} is not a valid mac address")
    attached = given.many("attach")
    interactive = given.on("interactive")
    config: dict[str, Any] = {
        "Hostname": given.text("hostname"),
        "Domainname": given.text("domainname"),
        "User": given.text("user"),
        "AttachStdin": interactive or "stdin" in attached,
        "AttachStdout": not attached or "stdout" in attached,
        "AttachStderr": not attached or "stderr" in attached,
        "Tty": given.on("tty"),
        "OpenStdin": interactive,
        "StdinOnce": interactive,
        "Env": key_values(given.many("env-file"), given.many("env"), lookup),
        "Cmd": given.args[1:] or None,
        "Image": given.args[0],
        "WorkingDir": given.text("workdir"),
        "Entrypoint": [given.text("entrypoint")] if given.changed("entrypoint") else None,
        "Labels": as_map(key_values(given.many("label-file"), given.many("label"), None)),
    }
    if given.text("stop-signal"):
        config["StopSignal"] = given.text("stop-signal")
    if given.changed("stop-timeout"):
        config["StopTimeout"] = given.number("stop-timeout")
    health = health_of(given)
    if health is not None:
        config["Healthcheck"] = health
    return config


def is_mac(text: str) -> bool:
    """Six, eight or twenty bytes in hexadecimal, divided by colons or dashes, or by dots in fours."""
    text = text.strip()
    mark = text[2:3] if text[2:3] in (":", "-") else text[4:5]
    parts = text.split(mark) if mark in (":", "-", ".") else []
    width = 4 if mark == "." else 2
    digits = all(len(part) == width and all(char in "0123456789abcdefABCDEF" for char in part) for part in parts)
    return digits and len(parts) * width in (12, 16, 40)


def health_of(given: Given) -> "dict[str, Any] | None":
    """The health check; None leaves it to the image."""
    settings = {name: given.number(name) for name in _HEALTH}
    wanted = bool(given.text("health-cmd")) or any(settings.values())
    if given.on("no-healthcheck"):
        if wanted:
            raise ValueError("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    if not wanted:
        return None
    for name, value in settings.items():
        if value < 0:
            raise ValueError(f"--{name} cannot be negative")
    health: dict[str, Any] = {field: settings[name] for name, field in _HEALTH.items() if settings[name]}
    if given.text("health-cmd"):
        health["Test"] = ["CMD-SHELL", given.text("health-cmd")]
    return health


def host_of(given: Given) -> "dict[str, Any]":
    """What belongs to the host: resources, namespaces, security, names."""
    swappiness = given.number("memory-swappiness", -1)
    if not -1 <= swappiness <= 100:
        raise ValueError(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
    networks = given.many("network") + given.many("net")
    security, unconfined = security_of(given.many("security-opt"))
    host: dict[str, Any] = {
        "ContainerIDFile": given.text("cidfile"),
        "LogConfig": {"Type": given.text("log-driver"), "Config": log_options(given)},
        "NetworkMode": networks[0]["Target"] if networks else "default",
        "RestartPolicy": restart_policy(given.text("restart", "no")),
        "AutoRemove": given.on("rm"),
        "VolumeDriver": given.text("volume-driver"),
        "VolumesFrom": given.many("volumes-from") or None,
        "CapAdd": capabilities(given.many("cap-add")) or None,
        "CapDrop": capabilities(given.many("cap-drop")) or None,
        "CgroupnsMode": one_of(given, "cgroupns", "CGROUP", "private", "host"),
        "Dns": given.many("dns"),
        "DnsOptions": given.many("dns-option") + given.many("dns-opt"),
        "DnsSearch": given.many("dns-search"),
        "ExtraHosts": given.many("add-host") or None,
        "GroupAdd": given.many("group-add") or None,
        "IpcMode": given.text("ipc"),
        "Links": given.many("link") or None,
        "OomScoreAdj": given.number("oom-score-adj"),
        "PidMode": pid_mode(given.text("pid")),
        "Privileged": given.on("privileged"),
        "PublishAllPorts": given.on("publish-all"),
        "ReadonlyRootfs": given.on("read-only"),
        "SecurityOpt": security or None,
        "UTSMode": one_of(given, "uts", "UTS", "host"),
        "UsernsMode": one_of(given, "userns", "USER", "host"),
        "ShmSize": given.number("shm-size"),
        "Isolation": given.text("isolation"),
        "MaskedPaths": [] if unconfined else None,
        "ReadonlyPaths": [] if unconfined else None,
    }
    optional = {
        "Annotations": given.pairs("annotation"),
        "StorageOpt": storage_options(given.many("storage-opt")),
        "Tmpfs": {path: rest for path, _, rest in (each.partition(":") for each in given.many("tmpfs"))},
        "Sysctls": given.pairs("sysctl"),
        "Runtime": given.text("runtime"),
        "Mounts": given.many("mount"),
    }
    host |= {name: value for name, value in optional.items() if value}
    if given.changed("init"):
        host["Init"] = given.on("init")
    return host | resources_of(given, swappiness)


def resources_of(given: Given, swappiness: int) -> "dict[str, Any]":
    """Limits and devices."""
    from sanbashi.cli.devices import parse_devices

    devices, requests = parse_devices(given.many("device"))
    resources: dict[str, Any] = {
        "CpuShares": given.number("cpu-shares"),
        "Memory": given.number("memory"),
        "NanoCpus": given.number("cpus"),
        "CgroupParent": given.text("cgroup-parent"),
        "BlkioWeight": given.number("blkio-weight"),
        "BlkioWeightDevice": given.many("blkio-weight-device"),
        "BlkioDeviceReadBps": given.many("device-read-bps"),
        "BlkioDeviceWriteBps": given.many("device-write-bps"),
        "BlkioDeviceReadIOps": given.many("device-read-iops"),
        "BlkioDeviceWriteIOps": given.many("device-write-iops"),
        "CpuPeriod": given.number("cpu-period"),
        "CpuQuota": given.number("cpu-quota"),
        "CpuRealtimePeriod": given.number("cpu-rt-period"),
        "CpuRealtimeRuntime": given.number("cpu-rt-runtime"),
        "CpusetCpus": given.text("cpuset-cpus"),
        "CpusetMems": given.text("cpuset-mems"),
        "Devices": devices,
        "DeviceCgroupRules": given.many("device-cgroup-rule") or None,
        "DeviceRequests": requests or None,
        "MemoryReservation": given.number("memory-reservation"),
        "MemorySwap": given.number("memory-swap"),
        "MemorySwappiness": swappiness,
        "OomKillDisable": given.on("oom-kill-disable"),
        "PidsLimit": given.number("pids-limit"),
        "Ulimits": sorted({each["Name"]: each for each in given.many("ulimit")}.values(), key=lambda each: str(each["Name"])),
        "CpuCount": given.number("cpu-count"),
        "CpuPercent": given.number("cpu-percent"),
        "IOMaximumIOps": given.number("io-maxiops"),
        "IOMaximumBandwidth": given.number("io-maxbandwidth"),
    }
    if given.number("kernel-memory"):
        resources["KernelMemory"] = given.number("kernel-memory")
    return resources


def capabilities(names: list[str]) -> list[str]:
    """`net_admin` as CAP_NET_ADMIN, in order, each once; ALL stays as it is."""
    upper = {name.strip().upper() for name in names}
    return sorted({name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in upper})


def one_of(given: Given, flag: str, name: str, *modes: str) -> str:
    """A namespace mode: empty or one of a few."""
    value = given.text(flag)
    if value and value not in modes:
        raise ValueError(f"--{flag}: invalid {name} mode")
    return value


def pid_mode(text: str) -> str:
    """Empty, host, or another container's."""
    kind, colon, name = text.partition(":")
    if text in ("", "host") or (kind == "container" and colon and name):
        return text
    raise ValueError("--pid: invalid PID mode")


def restart_policy(text: str) -> "dict[str, Any]":
    """`on-failure:3`."""
    name, colon, count = text.partition(":")
    if colon and not name:
        raise ValueError("invalid restart policy format: no policy provided before colon")
    if count and not count.lstrip("+-").isdigit():
        raise ValueError("invalid restart policy format: maximum retry count must be an integer")
    return {"Name": name, "MaximumRetryCount": int(count or 0)}


def log_options(given: Given) -> dict[str, str]:
    """--log-opt."""
    if given.text("log-driver") == "none" and given.many("log-opt"):
        raise ValueError("invalid logging opts for driver none")
    return given.pairs("log-opt")


def storage_options(options: list[str]) -> dict[str, str]:
    """--storage-opt."""
    if any("=" not in option for option in options):
        raise ValueError("invalid storage option")
    return as_map(options)


def security_of(options: list[str]) -> tuple[list[str], bool]:
    """--security-opt with a seccomp profile's own text in it, and whether system paths stay visible."""
    from sanbashi.cli.gotemplate.encode import compact
    from sanbashi.cli.gotemplate.text import quote

    kept: list[str] = []
    for option in options:
        key, mark, value = option.partition("=")
        if not mark and key != "no-new-privileges":
            key, mark, value = option.partition(":")
        if not value and key != "no-new-privileges":
            raise ValueError(f"Invalid --security-opt: {quote(option)}")
        if key == "seccomp" and value not in ("unconfined", "builtin"):
            try:
                with open(value, "rb") as file:  # noqa: PTH123 - pathlib costs more than the command
                    option = "seccomp=" + compact(file.read().decode())
            except OSError as problem:
                reason = f"open {value}: {(problem.strerror or '').lower()}"
                raise ValueError(f"opening seccomp profile ({value}) failed: {reason}") from None
        if option != "systempaths=unconfined":
            kept.append(option)
    return kept, "systempaths=unconfined" in options


def is_user_defined(network: str) -> bool:
    """Whether a network's name is none of the built-in modes."""
    return network not in _NOT_USER_DEFINED and not network.startswith("container:")


def endpoints_of(given: Given) -> "dict[str, dict[str, Any]]":
    """The endpoints by network: --network in both forms, and the flags that belong to the first. Interfaces come in this order."""
    networks = given.many("network") + given.many("net")
    endpoints: dict[str, dict[str, Any]] = Ordered()
    kinds: set[bool] = set()
    for place, wanted in enumerate(networks or [{"Target": "default"}]):
        target = str(wanted["Target"])
        if networks:
            kinds.add(is_user_defined(target))
        endpoint = endpoint_of(with_flags(wanted, given) if place == 0 else wanted)
        if target in endpoints:
            from sanbashi.cli.gotemplate.text import quote

            raise ValueError(f"network {quote(target)} is specified multiple times")
        if place == 0 and len(networks) == 1 and not endpoint:
            continue
        endpoints[target] = endpoint
    if len(kinds) == 2:
        raise ValueError("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    return endpoints


_CONFLICTS = (
    ("Aliases", "network-alias", "--network-alias and per-network alias"),
    ("Links", "link", "--link and per-network links"),
    ("IPv4Address", "ip", "--ip and per-network IPv4 address"),
    ("IPv6Address", "ip6", "--ip6 and per-network IPv6 address"),
    ("MacAddress", "mac-address", "--mac-address and per-network MAC address"),
    ("LinkLocalIPs", "link-local-ip", "--link-local-ip and per-network link-local IP addresses"),
)


def with_flags(wanted: "dict[str, Any]", given: Given) -> "dict[str, Any]":
    """The first network with the flags that are its own."""
    wanted = dict(wanted)
    for field, flag, words in _CONFLICTS:
        value: Any = given.many(flag) if flag in ("network-alias", "link", "link-local-ip") else given.text(flag)
        if flag == "network-alias":
            value += given.many("net-alias")
        if value and wanted.get(field):
            raise ValueError(f"conflicting options: cannot specify both {words}")
        if value and not (field == "Links" and not is_user_defined(wanted["Target"])):
            wanted[field] = value
    return wanted


def endpoint_of(wanted: "dict[str, Any]") -> "dict[str, Any]":
    """One endpoint as the API takes it; only what is set."""
    target = str(wanted["Target"])
    if not target.strip():
        raise ValueError("no name set for network")
    if not is_user_defined(target):
        if wanted.get("Aliases"):
            raise ValueError("network-scoped aliases are only supported for user-defined networks")
        if wanted.get("Links"):
            raise ValueError("links are only supported for user-defined networks")
    mac = wanted.get("MacAddress")
    if mac and not is_mac(mac):
        raise ValueError(f"{mac} is not a valid mac address")
    endpoint = {field: wanted[field] for field in ("Links", "Aliases", "MacAddress", "DriverOpts", "GwPriority") if wanted.get(field)}
    addresses = {field: wanted[field] for field in ("IPv4Address", "IPv6Address", "LinkLocalIPs") if wanted.get(field)}
    return {"IPAMConfig": addresses} | endpoint if addresses else endpoint
