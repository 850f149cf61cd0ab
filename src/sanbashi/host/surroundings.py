"""What of this host containers depend on, probed once: ContainerFacts."""

from __future__ import annotations

import os
import platform
import resource
import shutil
from pathlib import Path

from ..containers.capabilities import EVERY
from ..containers.facts import ContainerFacts
from .runtime import Runtimes, search_path

CGROUPS = Path("/sys/fs/cgroup")
INITS = ("docker-init", "tini", "catatonit")
CONTROLLERS = {"cpu", "cpuset", "io", "blkio", "memory", "pids", "hugetlb", "freezer", "devices"}


def probe_surroundings(runtimes: Runtimes) -> ContainerFacts:
    """The facts of this host and this process as they are now."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    bounding = int(status["CapBnd"], 16)
    machine = os.uname()
    version, controllers = cgroup_controllers()
    profiles = apparmor_profiles()
    return ContainerFacts(
        kernel=kernel_version(machine.release),
        machine=machine.machine,
        hostname=platform.node(),
        cgroup="v2" if version == 2 else "v1",
        controllers=controllers,
        swap_limit=swap_limit(version),
        block_weight=block_weight(version),
        cpu_realtime=version == 1 and any(CGROUPS.glob("*cpu*/cpu.rt_runtime_us")),
        capabilities=frozenset(name for number, name in enumerate(EVERY) if bounding >> number & 1),
        seccomp="Seccomp" in status and Path("/proc/sys/kernel/seccomp/actions_avail").exists(),
        apparmor=profiles is not None,
        apparmor_profiles=profiles or frozenset(),
        ipv6=Path("/proc/net/if_inet6").exists(),
        forwarding=read("/proc/sys/net/ipv4/ip_forward") == "1",
        cpus=os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        nofile_hard=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        oom_score=int(read("/proc/self/oom_score_adj") or 0),
        init=next((found for name in INITS if (found := shutil.which(name, path=search_path()))), ""),
        runtimes=tuple(runtimes.by_name),
        default_runtime=runtimes.default,
    )


def kernel_version(release: str) -> tuple[int, int]:
    """ "6.18.44-fc" -> (6, 18)."""
    major, _, rest = release.partition(".")
    minor = "".join(c for c in rest.partition(".")[0] if c.isdigit())
    return int(major), int(minor or 0)


def cgroup_controllers() -> tuple[int, frozenset[str]]:
    """1 or 2 (a host with v1 controllers and an empty v2 beside them counts as 1), and the controllers that can be used."""
    unified = CGROUPS / "cgroup.controllers"
    if unified.exists():
        return 2, frozenset(unified.read_text().split()) & CONTROLLERS
    found: set[str] = set()
    for line in Path("/proc/cgroups").read_text().splitlines()[1:]:
        name, _, _, enabled = line.split()
        if enabled == "1" and (CGROUPS / name).is_dir():
            found.add(name)
    return 1, frozenset(found) & CONTROLLERS


def swap_limit(version: int) -> bool:
    """Whether swap can be limited apart from memory."""
    if version == 2:
        return bool(list(CGROUPS.glob("*/memory.swap.max")))
    return (CGROUPS / "memory" / "memory.memsw.limit_in_bytes").exists()


def block_weight(version: int) -> bool:
    """Whether a group of processes can have a weight among the users of block devices; only the schedulers bfq and cfq know one."""
    patterns = ("*/io.weight", "*/io.bfq.weight") if version == 2 else ("blkio/blkio.weight", "blkio/blkio.bfq.weight")
    return any(next(CGROUPS.glob(pattern), None) is not None for pattern in patterns)


def apparmor_profiles() -> frozenset[str] | None:
    """The profiles that are loaded; None where AppArmor is off."""
    if read("/sys/module/apparmor/parameters/enabled") != "Y":
        return None
    lines = read("/sys/kernel/security/apparmor/profiles").splitlines()
    return frozenset(line.rpartition(" (")[0] for line in lines)


def read(path: str) -> str:
    """A small file's text; "" where it is not there or not ours to read."""
    try:
        return Path(path).read_text().strip()
    except (FileNotFoundError, PermissionError):
        return ""
