"""The OCI configuration (config.json) of a container: Container and where it is put -> dict."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from ..records import dataclass
from . import seccomp
from .capabilities import granted
from .environment import environment
from .facts import ContainerFacts, Device
from .failure import PREFIX, RuntimeFailed
from .model import Container, ExecConfig, HostConfig, MountPoint
from .mounts import CREATE_SOURCE, depth, tmpfs_options
from .resources import Numbers, resources
from .security import UNCONFINED, Security, parse_security
from .users import ROOT, User

OCI_VERSION = "1.0.2"
SHM_SIZE = 64 << 20
INIT = "/sbin/docker-init"
CGROUP_PARENT = "/sanbashi"
RECURSIVE_READ_ONLY = (5, 12)  # mount_setattr(2)
LOW_PORTS, PING = "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range"
OPEN = {LOW_PORTS: "0", PING: "0 2147483647"}  # as Docker has it in a network namespace of one's own: both for everybody
CLOSED = {LOW_PORTS: "1024", PING: "1 0"}  # the kernel's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What the edge prepared for one start. Paths are the host's.

    `network` is the namespace's path, None to stay in the host's; `own_network` whether it is this container's alone. `files`: what is bound
    over files of the image, destination -> source (/etc/hosts and its like). `leaves`: sources of mounts that are no directories.
    `ipc`, `pid`: namespaces to join, "" for one's own. `shm`: a directory that becomes /dev/shm, "" for one's own. `devices`: --device, or
    all of the host's where privileged.
    """

    rootfs: str
    network: str | None
    own_network: bool = True
    hostname: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    leaves: frozenset[str] = frozenset()
    user: User = ROOT
    ipc: str = ""
    pid: str = ""
    shm: str = ""
    devices: tuple[Device, ...] = ()
    block_devices: Numbers = field(default_factory=dict)  # of those whose use is limited
    links: tuple[str, ...] = ()  # environment words of legacy links


def spec(container: Container, placement: Placement, facts: ContainerFacts) -> dict[str, Any]:
    """The whole configuration; what cannot be granted on this host raises Invalid in Docker's words."""
    host, config = container.host_config, container.config
    security = parse_security(host.security_opt)
    hostname = placement.hostname or config.hostname
    result: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": process(container, placement, facts, security, hostname),
        "root": {"path": placement.rootfs, "readonly": host.readonly_rootfs},
        "mounts": mounts(container, placement, facts, security),
        "annotations": dict(host.annotations or {}),
        "linux": linux(container, placement, facts, security),
    }
    if host.uts_mode != "host":
        result["hostname"] = hostname
    return result


def process(container: Container, placement: Placement, facts: ContainerFacts, security: Security, hostname: str) -> dict[str, Any]:
    """What runs first, and as whom."""
    host, config = container.host_config, container.config
    words = [container.path, *container.args]
    if host.init and facts.init:
        words = [INIT, "--", *words]
    terminal = {"consoleSize": {"height": host.console_size[0], "width": host.console_size[1]}} if config.tty and any(host.console_size) else {}
    given = environment(config.env or (), hostname=hostname, terminal=config.tty, home=placement.user.home, linked=placement.links)
    return {
        "terminal": config.tty,
        **terminal,
        "user": identity(placement.user),
        "args": words,
        "env": given,
        "cwd": config.working_dir or "/",
        "capabilities": capability_sets(host, placement.user, facts),
        "noNewPrivileges": security.no_new_privileges,
        **({"rlimits": rlimits(host)} if host.ulimits else {}),
        **({"oomScoreAdj": host.oom_score_adj} if host.oom_score_adj or facts.oom_score < 0 else {}),
        **apparmor(host, security, facts),
    }


def identity(user: User) -> dict[str, Any]:
    """The user object of a process."""
    return {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)}


def capability_sets(host: HostConfig, user: User, facts: ContainerFacts) -> dict[str, list[str]]:
    """Effective and permitted are empty for a user other than root, who gains them only through a file's own capabilities."""
    names = list(granted(host.cap_add, host.cap_drop, privileged=host.privileged, available=facts.capabilities))
    sets = {"bounding": names}
    return sets if user.uid else sets | {"effective": names, "permitted": names}


def rlimits(host: HostConfig) -> list[dict[str, Any]]:
    """--ulimit; -1 is no limit."""
    unlimited = (1 << 64) - 1
    return [
        {
            "type": f"RLIMIT_{limit.name.upper()}",
            "soft": limit.soft if limit.soft >= 0 else unlimited,
            "hard": limit.hard if limit.hard >= 0 else unlimited,
        }
        for limit in host.ulimits or ()
    ]


def apparmor(host: HostConfig, security: Security, facts: ContainerFacts) -> dict[str, str]:
    """A profile that was asked for by name; none is ours to load, and privileged containers have none."""
    if not facts.apparmor or host.privileged or security.apparmor in ("", UNCONFINED):
        return {}
    return {"apparmorProfile": security.apparmor}


def exec_process(container: Container, config: ExecConfig, user: User, facts: ContainerFacts) -> dict[str, Any]:
    """The process object of an exec in a running container; `user` is who it shall be. RuntimeFailed, in runc's words, for a place that is none."""
    host = container.host_config
    place = config.working_dir or container.config.working_dir or "/"
    if not place.startswith("/"):
        raise RuntimeFailed(f"{PREFIX['exec']}exec failed: Cwd must be an absolute path: unknown")
    security = parse_security(host.security_opt)
    given = environment(container.config.env or (), hostname=container.config.hostname, terminal=config.tty, home=user.home)
    named = {word.partition("=")[0]: word for word in given} | {word.partition("=")[0]: word for word in config.env or () if "=" in word}
    size = config.console_size
    terminal = {"consoleSize": {"height": size[0], "width": size[1]}} if config.tty and size is not None and any(size) else {}
    privileged = HostConfig(privileged=True) if config.privileged else host
    return {
        "terminal": config.tty,
        **terminal,
        "user": identity(user),
        "args": list(config.cmd or ()),
        "env": list(named.values()),
        "cwd": place,
        "capabilities": capability_sets(privileged, user, facts),
        "noNewPrivileges": security.no_new_privileges,
        **apparmor(host, security, facts),
    }


def linux(container: Container, placement: Placement, facts: ContainerFacts, security: Security) -> dict[str, Any]:
    """Namespaces, limits and what is hidden."""
    host = container.host_config
    open_all = host.privileged
    shared = {point.propagation for point in container.mounts} & {"shared", "rshared", "slave", "rslave"}
    part: dict[str, Any] = {
        "namespaces": namespaces(host, placement, facts),
        "cgroupsPath": posixpath.join("/", host.cgroup_parent or CGROUP_PARENT, container.id),
        "resources": resources(host, placement.devices, facts, placement.block_devices),
        "sysctl": sysctls(container, placement),
        "devices": [node(device) for device in placement.devices],
        "maskedPaths": [] if open_all else list(host.masked_paths or ()),
        "readonlyPaths": [] if open_all else list(host.readonly_paths or ()),
    }
    if shared:
        part["rootfsPropagation"] = "rshared" if shared & {"shared", "rshared"} else "rslave"
    profile = seccomp_profile(container, facts, security)
    return part | ({"seccomp": profile} if profile is not None else {})


def seccomp_profile(container: Container, facts: ContainerFacts, security: Security) -> dict[str, Any] | None:
    """The default profile, the user's, or none."""
    host = container.host_config
    if not facts.seccomp or security.seccomp == UNCONFINED or (host.privileged and not security.seccomp):
        return None
    names = granted(host.cap_add, host.cap_drop, privileged=host.privileged, available=facts.capabilities)
    if security.seccomp:
        return seccomp.custom(security.seccomp, names, facts.machine, facts.kernel)
    return seccomp.default(names, facts.machine, facts.kernel)


def namespaces(host: HostConfig, placement: Placement, facts: ContainerFacts) -> list[dict[str, str]]:
    """One's own of each kind, but those that are joined (a path) or the host's (left out)."""
    found: list[dict[str, str]] = [{"type": "mount"}]
    if placement.network is not None:
        found.append({"type": "network", "path": placement.network})
    if host.uts_mode != "host":
        found.append({"type": "uts"})
    if host.pid_mode != "host":
        found.append({"type": "pid", "path": placement.pid} if placement.pid else {"type": "pid"})
    if host.ipc_mode != "host":
        found.append({"type": "ipc", "path": placement.ipc} if placement.ipc else {"type": "ipc"})
    if own_cgroup_namespace(host, facts):
        found.append({"type": "cgroup"})
    return found


def own_cgroup_namespace(host: HostConfig, facts: ContainerFacts) -> bool:
    """Docker's default: a namespace of one's own on v2, the host's on v1."""
    return host.cgroupns_mode == "private" or (not host.cgroupns_mode and facts.cgroup == "v2")


def sysctls(container: Container, placement: Placement) -> dict[str, str]:
    """--sysctl over what Docker sets in namespaces of one's own: low ports and ping for everybody (not with --userns=host), the NIS domain name."""
    host = container.host_config
    own: dict[str, str] = {}
    if placement.network is not None and placement.own_network:
        own |= CLOSED if host.userns_mode == "host" else OPEN
    if container.config.domainname and host.uts_mode != "host":
        own["kernel.domainname"] = container.config.domainname
    return own | dict(host.sysctls or {})


def node(device: Device) -> dict[str, Any]:
    """A device node to make in /dev."""
    return {
        "path": device.path,
        "type": device.kind,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode,
        "uid": device.uid,
        "gid": device.gid,
    }


def mounts(container: Container, placement: Placement, facts: ContainerFacts, security: Security) -> list[dict[str, Any]]:
    """The system's mounts, then the user's from the outside in; a user's mount takes the place of the system's at its path."""
    host = container.host_config
    users: list[dict[str, Any]] = []
    for destination, source in placement.files.items():
        users.append(mount(destination, "bind", source, "rbind", "rprivate", *(["ro"] if host.readonly_rootfs else [])))
    for point in container.mounts:
        recursive = facts.kernel >= RECURSIVE_READ_ONLY and point.source not in placement.leaves
        users.append(user_mount(point, recursive=recursive))
    for destination, text in (host.tmpfs or {}).items():
        users.append(mount(posixpath.normpath(destination), "tmpfs", "tmpfs", *tmpfs_options(text)))
    if host.init and facts.init:
        users.append(mount(INIT, "bind", facts.init, "bind", "ro"))
    last = {entry["destination"]: entry for entry in users}  # a user's file over ours (-v x:/etc/hosts): the later one counts
    system = [entry for entry in system_mounts(host, placement, facts, security) if entry["destination"] not in last]
    return system + sorted(last.values(), key=lambda entry: depth(entry["destination"]))


def mount(destination: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    """One entry of the list."""
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def user_mount(point: MountPoint, *, recursive: bool) -> dict[str, Any]:
    """A MountPoint; read-only is `recursive` where the kernel can, as Docker has it, and there is something below: crun 1.8 asks for a directory."""
    options = point.options
    if point.type == "tmpfs":
        return mount(point.destination, "tmpfs", "tmpfs", *options, *([] if point.rw else ["ro"]))
    # A volume's own options may say ro where the container asked for no such thing; crun clears what the mount below has.
    words = ["ro"] if point.rw and "ro" in options else [] if point.rw else ["rro" if recursive and "ro" not in options else "ro"]
    own = [word for word in options if word not in (CREATE_SOURCE, "ro", "rro", "bind")]
    kind = "bind" if "bind" in options else "rbind"
    return mount(point.destination, "bind", point.source, kind, point.propagation or "rprivate", *words, *own)


def system_mounts(host: HostConfig, placement: Placement, facts: ContainerFacts, security: Security) -> list[dict[str, Any]]:
    """/proc, /dev and what is below, /sys."""
    hidden = ("nosuid", "noexec", "nodev")
    sys_mode = "rw" if host.privileged else "ro"
    cgroup_mode = "rw" if host.privileged or security.writable_cgroups else "ro"
    found = [
        mount("/proc", "proc", "proc", *hidden),
        mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        mount("/sys", "sysfs", "sysfs", *hidden, sys_mode),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", cgroup_mode, *hidden),
        mount("/dev/mqueue", "mqueue", "mqueue", *hidden),
    ]
    shm = "/dev/shm" if host.ipc_mode == "host" else placement.shm
    if shm:
        found.append(mount("/dev/shm", "bind", shm, "rbind", "rprivate", *hidden))
    elif host.ipc_mode != "none":
        found.append(mount("/dev/shm", "tmpfs", "shm", *hidden, "mode=1777", f"size={host.shm_size or SHM_SIZE}"))
    return found
