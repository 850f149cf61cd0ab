"""Whom to ask, in which order, and when to ask the next as well; the clock is an argument.

The listed order is kept, because the first server of a resolv.conf may know names that the others do not (a company's own, a VPN's). Servers that
let us wait or refuse to talk are asked last for a while, and the next in order is asked as well after HEDGE seconds without waiting longer.
"""

from __future__ import annotations

from dataclasses import dataclass

HEDGE = 0.3  # seconds after which the next server is asked as well
PATIENCE = 4.0  # seconds until the client is told SERVFAIL; glibc and dig give up after 5
ROUNDS = 2  # how often each server is asked in that time: a datagram may be lost
MISSES = 3  # silences in a row until a server is asked last
PENALTY = 10.0  # seconds, doubled each time up to LONGEST_PENALTY
LONGEST_PENALTY = 120.0
MAX_SERVERS = 3  # MAXNS of resolv.conf(5); Docker takes as many


@dataclass(slots=True)
class Standing:
    """How one server behaved lately."""

    misses: int = 0
    penalty: float = 0.0
    until: float = 0.0


class Upstreams:
    """A group of servers, best first."""

    def __init__(self, servers: tuple[str, ...]) -> None:
        self.servers = tuple(dict.fromkeys(servers))[:MAX_SERVERS]
        self._standing = {server: Standing() for server in self.servers}

    def order(self, now: float) -> tuple[str, ...]:
        """The servers as they should be asked now."""
        return tuple(sorted(self.servers, key=lambda server: self._standing[server].until > now))  # stable: the listed order otherwise

    def answered(self, server: str) -> None:
        self._standing[server] = Standing()

    def silent(self, server: str, now: float) -> bool:
        """Note that a server did not answer in time; True if that puts it last."""
        standing = self._standing[server]
        standing.misses += 1
        return standing.misses >= MISSES and self.unreachable(server, now)

    def unreachable(self, server: str, now: float) -> bool:
        """Note that a server cannot be talked to; True if that puts it last (it was not before)."""
        standing = self._standing[server]
        if standing.until > now:
            return False
        standing.penalty = min(max(PENALTY, standing.penalty * 2), LONGEST_PENALTY)
        standing.until = now + standing.penalty
        return True


def nameservers(text: str) -> tuple[str, ...]:
    """The servers that the text of a resolv.conf names, in order."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            found.append(words[1])
    return tuple(found)
