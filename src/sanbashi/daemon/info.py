"""What `info` and `version` say."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..containers.facts import ContainerFacts
from ..containers.logging import LOG_DRIVERS
from ..host.programs import Program, file_system, program
from ..host.runtime import Runtimes
from ..network.drivers import DRIVERS
from ..records import dataclass
from .core import Core, now
from .drift import Drift

VERSION = "0.1.0"
NOT_KNOWN = "N/A"  # as Docker's daemon has it
NO_SCTP = "this kernel has no SCTP sockets: SCTP ports are translated and held in our own table only"


@dataclass(frozen=True, slots=True)
class Programs:
    """What the daemon starts, as it says of itself."""

    runtimes: Mapping[str, Program]
    conmon: Program
    init: Program | None

    def components(self) -> list[dict[str, Any]]:
        """As `version` shows them."""
        programs = (*self.runtimes.values(), self.conmon, *([self.init] if self.init else []))
        return [{"Name": p.name, "Version": p.version, "Details": {"GitCommit": p.commit}} for p in programs]


def programs(runtimes: Runtimes, facts: ContainerFacts) -> Programs:
    """Ask them; blocking."""
    found = {name: program(runtime.program) for name, runtime in runtimes.by_name.items()}
    return Programs(found, program(runtimes.conmon), program(Path(facts.init)) if facts.init else None)


def version(core: Core) -> dict[str, Any]:
    """`GET /version` without the API's own fields."""
    return {
        "Platform": {"Name": "Sanbashi"},
        "Version": VERSION,
        "GitCommit": "",
        "GoVersion": f"python{platform.python_version()}",
        "Os": "linux",
        "Arch": architecture(),
        "KernelVersion": os.uname().release,
        "BuildTime": "",
        "Components": [
            {"Name": "Engine", "Version": VERSION, "Details": {"Os": "linux", "Arch": architecture(), "KernelVersion": os.uname().release}},
        ],
    }


def architecture() -> str:
    """Go's name of this machine."""
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}.get(os.uname().machine, os.uname().machine)


def info(core: Core, drift: Drift, found: Programs, host: ContainerFacts, closed: Sequence[str] = ()) -> dict[str, Any]:
    """`GET /info`; what a foreign firewall does to us, and links of the host's that are `closed`, stand under Warnings and FirewallBackend."""
    config, facts, state = core.config, core.facts, core.state
    statuses = [c.state.status for c in state.containers.values()]
    return {
        "ID": core.boot_id,
        "Containers": len(statuses),
        "ContainersRunning": sum(s in ("running", "restarting") for s in statuses),
        "ContainersPaused": statuses.count("paused"),
        "ContainersStopped": sum(s not in ("running", "restarting", "paused") for s in statuses),
        "Images": len(state.images),
        "Driver": "overlayfs",
        "DriverStatus": [["Backing Filesystem", file_system(config.data_root)], ["Native Overlay Diff", "true"]],
        "Plugins": {"Volume": ["local"], "Network": sorted(DRIVERS), "Authorization": None, "Log": sorted(LOG_DRIVERS.keys() - {"none"})},
        "MemoryLimit": "memory" in host.controllers,
        "SwapLimit": host.swap_limit,
        "CpuCfsPeriod": "cpu" in host.controllers,
        "CpuCfsQuota": "cpu" in host.controllers,
        "CPUShares": "cpu" in host.controllers,
        "CPUSet": "cpuset" in host.controllers,
        "PidsLimit": "pids" in host.controllers,
        "IPv4Forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "1",
        "BridgeNfIptables": facts.br_netfilter,
        "BridgeNfIp6tables": facts.br_netfilter6,
        "Debug": config.debug,
        "NFd": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - a count, not paths
        "OomKillDisable": facts.cgroup == 1,
        "NGoroutines": len(core.locks),
        "SystemTime": now(),
        "LoggingDriver": config.log_driver,
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": str(facts.cgroup),
        "NEventsListener": len(core.events.subscribers),
        "KernelVersion": os.uname().release,
        "OperatingSystem": facts.system,
        "OSVersion": os_release().get("VERSION_ID", ""),
        "OSType": "linux",
        "Architecture": os.uname().machine,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "InsecureRegistryCIDRs": [*(r for r in config.insecure_registries if "/" in r), "::1/128", "127.0.0.0/8"],
            "IndexConfigs": {
                "docker.io": {"Name": "docker.io", "Mirrors": list(config.registry_mirrors), "Secure": True, "Official": True},
                **{r: {"Name": r, "Mirrors": [], "Secure": False, "Official": False} for r in config.insecure_registries if "/" not in r},
            },
            "Mirrors": list(config.registry_mirrors),
        },
        "NCPU": facts.processors,
        "MemTotal": facts.memory,
        "GenericResources": None,
        "DockerRootDir": str(config.data_root),
        "HttpProxy": setting("HTTP_PROXY"),
        "HttpsProxy": setting("HTTPS_PROXY"),
        "NoProxy": setting("NO_PROXY"),
        "Name": os.uname().nodename,
        "Labels": list(config.labels),
        "ExperimentalBuild": False,
        "ServerVersion": VERSION,
        "Runtimes": {name: {"path": str(path)} for name, path in core.runtimes.items()},
        "DefaultRuntime": core.default_runtime,
        "Swarm": {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": False, "Error": "", "RemoteManagers": None},
        "LiveRestoreEnabled": config.live_restore,
        "Isolation": "",
        "InitBinary": found.init.name if found.init else "",
        # There is no containerd. Docker's `runc` is the default runtime, whichever that is.
        "ContainerdCommit": {"ID": NOT_KNOWN},
        "RuncCommit": {"ID": found.runtimes[core.default_runtime].commit or NOT_KNOWN},
        "InitCommit": {"ID": (found.init.commit if found.init else "") or NOT_KNOWN},
        "SecurityOptions": list(security_options(host)),
        "DefaultAddressPools": [{"Base": str(base), "Size": size} for base, size in config.pools],
        "FirewallBackend": {"Driver": "nftables", "Info": [list(row) for row in firewall(core, drift, closed)]},
        "Warnings": [*core.problems, *lacking(host), *(str(d) for d in facts.foreign_drops if not d.passed), *closed] or None,
    }


def setting(name: str) -> str:
    """A proxy's setting as `info` tells it to everybody: without a password."""
    value = os.environ.get(name) or os.environ.get(name.lower(), "")
    return re.sub(r"(://)[^/?#]*@", r"\1xxxxx:xxxxx@", value)


def security_options(host: ContainerFacts) -> Iterator[str]:
    """What keeps containers in, beside namespaces."""
    if host.apparmor:
        yield "name=apparmor"
    if host.seccomp:
        yield "name=seccomp,profile=builtin"
    if host.cgroup == "v2":
        yield "name=cgroupns"


def lacking(host: ContainerFacts) -> Iterator[str]:
    """Docker's warnings of what this host cannot limit."""
    for controller, words in (("memory", ("memory limit",)), ("cpu", ("cpu cfs quota", "cpu cfs period", "cpu shares")), ("cpuset", ("cpuset",))):
        if controller not in host.controllers:
            yield from (f"WARNING: No {word} support" for word in words)
    if not host.swap_limit:
        yield "WARNING: No swap limit support"


def firewall(core: Core, drift: Drift, closed: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What `docker info` shows below the firewall's name: the tables, what others do, what was mended."""
    network, facts = core.state.network, core.facts
    yield "Tables", "inet sanbashi, bridge sanbashi"
    ports = sum(held.numbers.bit_count() for held in network.host_ports.values())
    yield "Standing", f"{len(network.networks)} networks, {len(network.endpoints)} endpoints, {ports} published ports"
    if core.config.host_input:
        yield "HostInput", "published ports pass the host's own input policy"
    for drop in facts.foreign_drops:
        yield "Foreign", str(drop)
    for sentence in closed:
        yield "Closed", sentence
    yield "Repairs", f"{drift.repairs}{f', the last {drift.latest[-1]}' if drift.latest else ''}"
    if not facts.sctp:
        yield "SCTP", NO_SCTP


def os_release() -> dict[str, str]:
    """/etc/os-release as a mapping."""
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines) if value}
