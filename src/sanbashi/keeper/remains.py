"""What connections leave behind at a port of TCP, TIME_WAIT above all: in the way of a plain bind, and no reason to refuse the port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
LISTEN = "0A"


class Remains:
    """The ports at which sockets stand that do not listen. The tables are read when one is first asked for, once for all ports of a change.

    A port that they do not show may have come since: for it they are read once more, and no oftener, for on a busy host that takes long.
    """

    def __init__(self) -> None:
        self._ports: set[int] = set()
        self._without: set[int] = set()

    def at(self, port: int) -> bool:
        """Whether connections are there, or were a moment ago."""
        if port not in self._ports and port not in self._without:
            self._ports.update(seen())
            if port not in self._ports:
                self._without.add(port)
        return port in self._ports


def seen() -> Iterator[int]:
    """The local port of every connection, whatever its state. What is bound and does not listen is in no table."""
    for table in TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for line in lines:
            _, local, _, state, _ = line.split(None, 4)
            if state != LISTEN:
                yield int(local.rpartition(":")[2], 16)
