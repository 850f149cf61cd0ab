"""Whether a container runs or is paused, read from the kernel: after the daemon's restart a program for each of hundreds takes seconds."""

from __future__ import annotations

from .peeking import text
from .surroundings import CGROUPS
from .usage import control_groups, hierarchy


def status_of(container_id: str, pid: int, monitor_pid: int) -> str:
    """running or paused, as the runtime would tell of a started container; "" where only the runtime can tell."""
    if not is_child(pid, monitor_pid):
        return ""
    groups = control_groups(text(f"/proc/{pid}/cgroup"))
    if "freezer" in groups:
        state = read_at(container_id, str(hierarchy("freezer")), groups["freezer"], "freezer.state")
        return {"THAWED": "running", "FREEZING": "paused", "FROZEN": "paused"}.get(state, "")
    state = read_at(container_id, str(CGROUPS), groups.get("", ""), "cgroup.freeze")
    return {"0": "running", "1": "paused"}.get(state, "")


def is_child(pid: int, monitor_pid: int) -> bool:
    """Whether this is a living process of the monitor's, and not another that got its number."""
    state, parent = (text(f"/proc/{pid}/stat").rpartition(")")[2].split() or ["X", "0"])[:2]
    return state not in "ZX" and int(parent) == monitor_pid > 0


def read_at(container_id: str, root: str, path: str, file: str) -> str:
    """A file of the container's own group, where a process of it is in that group or below; "" where it is elsewhere."""
    parts = path.split("/")
    own = next((place for place, part in enumerate(parts, 1) if container_id in part), 0)
    return text(f"{root}{'/'.join(parts[:own])}/{file}").strip() if own else ""
