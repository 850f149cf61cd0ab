"""Whose containers run in this network namespace: read from the command lines of their monitors, with no daemon asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

PROC = Path("/proc")
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
    here = place(PROC / "thread-self")
    for folder in PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            if (folder / "comm").read_text() == "conmon\n" and place(folder) == here:
                found = told((folder / "cmdline").read_text(errors="surrogateescape").split("\0"))
                if found is not None:
                    yield found
        except OSError:  # ended meanwhile
            continue


def place(process: Path) -> tuple[int, ...]:
    """Who a process of /proc runs as, and in which network and process namespaces. OSError."""
    # The folder's owner is root for every process that may not be dumped, which anybody can ask for; who is real, only root changes.
    (uid,) = (line.split()[1] for line in (process / "status").read_text(errors="replace").splitlines() if line.startswith("Uid:"))
    return (int(uid), *((process / "ns" / kind).stat().st_ino for kind in NAMESPACES))


def told(words: Sequence[str]) -> Monitored | None:
    """What a conmon was told on its command line; None where it watches no container of a sanbashid (podman's, or an exec)."""
    given = {option: value for option, value in pairwise(words) if option in OPTIONS}
    if given.keys() != set(OPTIONS):
        return None
    container_id, exec_root = given["-c"], Path(given["--exit-dir"]).parent
    if Path(given["-b"]) != exec_root / "containers" / container_id:
        return None
    _, _, log = given["-l"].partition(":")
    # By hand: with a pattern for each of hundreds of containers it takes half a second.
    place = log.rpartition("/")[0].removesuffix(f"/containers/{container_id}")
    data_root = Path(place or "/") if place != log.rpartition("/")[0] else None
    return Monitored(container_id, exec_root, data_root)
