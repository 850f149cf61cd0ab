"""Reading what a container uses: its control groups, and the counters of its network namespace."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ..containers.usage import (
    Usage,
    blocks_v1,
    blocks_v2,
    cpu_v1,
    cpu_v2,
    machine_time,
    memory_v1,
    memory_v2,
    network_counters,
    number,
)
from .peeking import text
from .surroundings import CGROUPS

TICK = os.sysconf("SC_CLK_TCK")
# Controller of v1 -> the files of it that are read; a controller has a directory of its own, or shares one (cpu,cpuacct).
FILES_V1 = {
    "cpu": ("cpu.stat",),
    "cpuacct": ("cpuacct.usage", "cpuacct.usage_percpu", "cpuacct.stat"),
    "memory": ("memory.usage_in_bytes", "memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.failcnt", "memory.stat"),
    "pids": ("pids.current", "pids.max"),
    "blkio": tuple(f"blkio.{layer}io_serv{kind}_recursive" for layer in ("bfq.", "", "throttle.") for kind in ("ice_bytes", "iced")),
}
FILES_V2 = ("cpu.stat", "memory.current", "memory.max", "memory.stat", "pids.current", "pids.max", "io.stat")


def read_usage(pid: int, *, networks: bool = True) -> Usage | None:
    """One reading of the container whose first process is `pid`; None where it has ended. Not `networks`: it has no namespace of its own."""
    groups = control_groups(text(f"/proc/{pid}/cgroup"))
    if not groups:
        return None
    system, online = machine_time(text("/proc/stat"), TICK)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    now = time.time_ns()
    counters = network_counters(text(f"/proc/{pid}/net/dev")) if networks else {}
    if (CGROUPS / "cgroup.controllers").exists():
        folder = below(CGROUPS, groups.get("", "/"))
        files = {name: text(folder / name) for name in FILES_V2}
        return Usage(
            read=now,
            cpu=cpu_v2(files, system, online),
            memory=memory_v2(files, machine),
            pids=number(files["pids.current"]),
            pids_limit=number(files["pids.max"]),
            blocks=blocks_v2(files["io.stat"]),
            networks=counters,
        )
    files = {}
    for controller, names in FILES_V1.items():
        folder = below(hierarchy(controller), groups.get(controller, "/"))
        files |= {name: text(folder / name) for name in names}
    return Usage(
        read=now,
        cpu=cpu_v1(files, system, online, TICK),
        memory=memory_v1(files, machine),
        pids=number(files["pids.current"]),
        pids_limit=number(files["pids.max"]),
        blocks=blocks_v1(files),
        networks=counters,
    )


def control_groups(lines: str) -> dict[str, str]:
    """/proc/<pid>/cgroup: controller ("" for v2's one hierarchy) -> path."""
    found: dict[str, str] = {}
    for line in lines.splitlines():
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), path)
    return found


def hierarchy(controller: str) -> Path:
    """Where a controller of v1 is mounted, or a hierarchy that has a name in place of one ("name=systemd")."""
    direct = CGROUPS / controller.removeprefix("name=")
    return direct if direct.exists() else next(iter(CGROUPS.glob(f"*{controller}*")), direct)


def below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")
