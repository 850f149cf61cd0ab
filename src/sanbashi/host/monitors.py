"""Whose containers run in this network namespace: read from the command lines of their monitors, with no daemon asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from ..records import dataclass
from .peeking import contents, inode, processes

PROC = "/proc"
OPTIONS = ("-c", "-b", "--exit-dir", "-l")
NAMESPACES = ("net", "pid")


@dataclass(frozen=True, slots=True)
class Monitored:
    """A container with its monitor, and the roots of the daemon that started it; `data_root` is None where it keeps no log."""

    container_id: str
    exec_root: Path
    data_root: Path | None


def monitored() -> Iterator[Monitored]:
    """Every container of ours or of another sanbashid in this network namespace.

    Name and command line are any process's to choose: what another user runs, or a container on the host's network, is nobody's monitor.
    """
    here = place(f"{PROC}/thread-self")
    for number in processes(str(PROC)):
        folder = f"{PROC}/{number}"
        try:
            if contents(f"{folder}/comm") == b"conmon\n" and place(folder) == here:
                found = told(os.fsdecode(contents(f"{folder}/cmdline")).split("\0"))
                if found is not None:
                    yield found
        except OSError:  # ended meanwhile
            continue


def place(process: str) -> tuple[int, ...]:
    """Who a process of /proc runs as, and in which network and process namespaces. OSError."""
    # The folder's owner is root for every process that may not be dumped, which anybody can ask for; who is real, only root changes.
    uid = contents(f"{process}/status").partition(b"\nUid:")[2].split(None, 1)[0]
    return (int(uid), *(inode(f"{process}/ns/{kind}") for kind in NAMESPACES))


def told(words: Sequence[str]) -> Monitored | None:
    """What a conmon was told on its command line; None where it watches no container of a sanbashid (podman's, or an exec)."""
    given = {option: value for option, value in pairwise(words) if option in OPTIONS}
    if given.keys() != set(OPTIONS):
        return None
    container_id, exec_root, bundle = given["-c"], root(given["--exit-dir"].rpartition("/")[0]), given["-b"]
    if bundle != f"{exec_root}/containers/{container_id}":
        return None
    _, _, log = given["-l"].partition(":")
    # By hand: with a pattern for each of hundreds of containers it takes half a second.
    place = log.rpartition("/")[0].removesuffix(f"/containers/{container_id}")
    data_root = root(place or "/") if place != log.rpartition("/")[0] else None
    return Monitored(container_id, exec_root, data_root)


@lru_cache(16)
def root(text: str) -> Path:
    """Containers have few roots."""
    return Path(text)
