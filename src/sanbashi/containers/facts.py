"""What containers need to know of the host; plain values, probed at the edge (host/surroundings.py)."""

from __future__ import annotations

from typing import Literal

from ..records import dataclass
from .capabilities import EVERY


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerFacts:
    """`kernel` is (major, minor); `machine` as uname says it; `capabilities` the daemon's own bounding set: more it cannot give.

    `cgroup` is v1 also on hybrid hosts, whose controllers are v1. `controllers` are those that limits can be set through.
    `init` is the host's small init (tini) or "". `nofile_hard` is the daemon's own hard limit, which it can only raise with CAP_SYS_RESOURCE.
    """

    kernel: tuple[int, int] = (6, 1)
    machine: str = "x86_64"
    hostname: str = "localhost"
    cgroup: Literal["v1", "v2"] = "v2"
    controllers: frozenset[str] = frozenset({"cpu", "cpuset", "io", "memory", "pids"})
    swap_limit: bool = True
    block_weight: bool = True  # whether the scheduler of block devices knows weights
    cpu_realtime: bool = False  # whether control groups share out the real-time scheduler: v1 with RT_GROUP_SCHED alone
    capabilities: frozenset[str] = frozenset(EVERY)
    seccomp: bool = True
    apparmor: bool = False
    apparmor_profiles: frozenset[str] = frozenset()
    ipv6: bool = True
    forwarding: bool = True
    cpus: int = 1
    memory: int = 0
    nofile_hard: int = 1048576
    oom_score: int = 0  # the daemon's own oom_score_adj: lower ones need CAP_SYS_RESOURCE
    init: str = ""
    runtimes: tuple[str, ...] = ("crun", "runc")
    default_runtime: str = "crun"


@dataclass(frozen=True, slots=True)
class Device:
    """A device node as it stands on the host: kind c or b."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0
    access: str = "rwm"
