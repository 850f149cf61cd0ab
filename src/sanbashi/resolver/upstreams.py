"""Whom to ask, in which order, whom at once, and how long to wait for whom; the clock is an argument.

The listed order is kept among those that answer, because the first server of a resolv.conf may know names that the others do not (a company's own, a
VPN's): being faster is no reason to be asked first. A group of which nothing is known, or whose first has just let us wait, is asked all at once;
one that answers is then asked alone, and the next as well only when it takes much longer than it usually does. Servers that let us wait or cannot be
reached are asked last, until one of the questions that they are asked beside the others finds them well. To say SERVFAIL or REFUSED is to answer.
"""

from __future__ import annotations

from ..records import dataclass

HEDGE = 0.3  # seconds that a server is waited for at the most before another one's word counts
SHORTEST_HEDGE = 0.05  # a server that answers from its cache in a millisecond must be allowed to ask others itself
UNKNOWN = 0.1  # seconds that an answer waits for a server listed before, of which nothing is known
PATIENCE = 4.0  # seconds until the client is told SERVFAIL; glibc and dig give up after 5
ROUNDS = 2  # how often each server is asked in that time: a datagram may be lost
LATE = 2  # answers without it in a row, after which no answer waits for a server
MISSES = 3  # silences in a row until a server is asked last
PENALTY = 10.0  # seconds until it is tried again, doubled each time up to LONGEST_PENALTY
LONGEST_PENALTY = 120.0
MAX_SERVERS = 3  # MAXNS of resolv.conf(5); Docker takes as many
# What is asked early or at once is asked in addition: so many questions, and then one in so many answers.
EXTRA = 20
ANSWERS_FOR_EXTRA = 10


@dataclass(slots=True)
class Standing:
    """How one server behaved lately. `usual`, `spread`: seconds to its answers and their mean deviation, as TCP estimates them (RFC 6298)."""

    usual: float | None = None
    spread: float = 0.0
    late: int = 0
    misses: int = 0
    penalty: float = 0.0
    until: float = 0.0

    @property
    def bad(self) -> bool:
        return self.penalty > 0

    @property
    def proven(self) -> bool:
        return self.usual is not None and not (self.late or self.misses or self.bad)


@dataclass(frozen=True, slots=True)
class Way:
    """`order`: whose word counts before whose. `at_once`: whom to ask now. `patience`: seconds until the next is asked, and until a later server's
    answer is taken in place of an earlier one's; that there is nothing is believed only after HEDGE."""

    order: tuple[str, ...]
    at_once: tuple[str, ...]
    patience: float


class Upstreams:
    """A group of servers, best first."""

    def __init__(self, servers: tuple[str, ...]) -> None:
        self.servers = tuple(dict.fromkeys(servers))[:MAX_SERVERS]
        self._standing = {server: Standing() for server in self.servers}
        self._extra = float(EXTRA)

    def order(self) -> tuple[str, ...]:
        """The servers as their word counts now."""
        return tuple(sorted(self.servers, key=lambda server: self._standing[server].bad))  # stable: the listed order otherwise

    def way(self, now: float) -> Way:
        """How the next question goes; a server that is asked last may be tried beside the others, as seldom as its penalty says."""
        order = self.order()
        if not order:
            return Way((), (), HEDGE)
        at_once = [order[0]]
        first = self._standing[order[0]]
        if not first.proven:
            others = [server for server in order[1:] if first.bad or not self._standing[server].bad]
            raced = [server for server in others if self.spend()]
            at_once = others[:1] if others and not raced and first.late >= LATE else at_once + raced
        for server in order[1:]:
            standing = self._standing[server]
            if standing.bad and standing.until <= now and server not in at_once:
                standing.penalty = min(standing.penalty * 2, LONGEST_PENALTY)
                standing.until = now + standing.penalty
                at_once.append(server)
        return Way(order, tuple(at_once), patience(first))

    def spend(self) -> bool:
        """Whether one question more may be asked than there are; what a slow network makes us ask must not make it slower."""
        if self._extra < 1:
            return False
        self._extra -= 1
        return True

    def answered(self, server: str, seconds: float) -> bool:
        """Note an answer, a failure too; False where it came later than anybody waits for, which proves nothing."""
        self._extra = min(self._extra + 1 / ANSWERS_FOR_EXTRA, EXTRA)
        before = self._standing[server]
        if seconds > HEDGE:
            return False
        if before.usual is None:
            self._standing[server] = Standing(seconds, seconds / 2)
        else:
            spread = before.spread + (abs(seconds - before.usual) - before.spread) / 4
            self._standing[server] = Standing(before.usual + (seconds - before.usual) / 8, spread)
        return True

    def waited(self, server: str) -> None:
        """Note that somebody else's answer was taken; whether this server is well will show."""
        self._standing[server].late += 1

    def missed(self, server: str, now: float) -> bool:
        """Note that a server did not answer in time; True if that puts it last."""
        standing = self._standing[server]
        standing.misses += 1
        return standing.misses >= MISSES and self.unreachable(server, now)

    def unreachable(self, server: str, now: float) -> bool:
        """Note that a server cannot be talked to; True if that puts it last (it was not before)."""
        standing = self._standing[server]
        if standing.bad:
            return False
        standing.penalty = PENALTY
        standing.until = now + PENALTY
        return True


def patience(standing: Standing) -> float:
    """How long a server is waited for before the next is asked as well."""
    if standing.late >= LATE:
        return 0.0
    if standing.usual is None:
        return UNKNOWN
    return min(max(SHORTEST_HEDGE, standing.usual + 4 * standing.spread), HEDGE)


def nameservers(text: str) -> tuple[str, ...]:
    """The servers that the text of a resolv.conf names, in order."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            found.append(words[1])
    return tuple(found)
