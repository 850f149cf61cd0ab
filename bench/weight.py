"""What an engine weighs: the PSS of its processes, those of the containers left out."""

from __future__ import annotations

import contextlib

from .world import Peer


def pss(peer: Peer, pid: int) -> int:
    """Bytes of a process, shared pages shared out; 0 where it has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in peer.where.path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def own(peer: Peer) -> int:
    """Bytes of every process of the engine."""
    mine = contained(peer)
    return sum(pss(peer, pid) for pid in peer.where.processes() if pid not in mine)


def contained(peer: Peer) -> set[int]:
    """The processes that run in containers: each container's first one, and those in its pid namespace."""
    ids = peer.run("ps", "-q").stdout.split()
    first = {int(pid) for pid in peer.run("inspect", "-f", "{{.State.Pid}}", *ids).stdout.split()} if ids else set()
    spaces = {space(peer, pid) for pid in first}
    return first | {pid for pid in peer.where.processes() if space(peer, pid) in spaces - {""}}


def space(peer: Peer, pid: int) -> str:
    """The pid namespace of a process; "" where it has ended."""
    try:
        return str(peer.where.path(f"/proc/{pid}/ns/pid").readlink())
    except (FileNotFoundError, ProcessLookupError):
        return ""
