"""Questions asked of other servers for the containers: whom at once, whom a little later, and whose answer is taken."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from sanbashi.resolver import wire
from sanbashi.resolver.cache import Aged, Cache, fit
from sanbashi.resolver.upstreams import HEDGE, PATIENCE, ROUNDS, Upstreams

from ..records import dataclass
from .latecomers import Latecomers
from .loop import Loop, Timer
from .streams import NO_ROOM
from .tries import Try

MAX_ASKS = 1024  # under way in all; more are REFUSED, as Docker does

Reply = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Group:
    """Servers that are asked from one namespace (a descriptor; None: the host's). `key` tells their kept answers from those of other groups."""

    key: Hashable
    upstreams: Upstreams
    namespace: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What is to be found out, and for whom: `asker` names the sandbox, `size` is the longest reply, `stream` asks over TCP."""

    asker: Hashable
    data: bytes
    question: wire.Question
    size: int
    stream: bool
    reply: Reply


class Ask:
    """One question under way. An answer is taken at once if no server whose word counts before is waited for, else when that one has had its time."""

    def __init__(self, asking: Asking, group: Group, asked: Asked) -> None:
        self._asking, self._loop, self._group, self.asked = asking, asking.loop, group, asked
        self._way = group.upstreams.way(self._loop.now())
        later = [server for server in self._way.order if server not in self._way.at_once]
        self._waiting = later + list(self._way.order) * (0 if asked.stream else ROUNDS - 1)
        self._tries: dict[Try, None] = {}
        self._asked: set[str] = set()
        self._count = 0
        self._answers: dict[str, bytes] = {}  # that are held back
        self._failure = b""
        self._since = self._loop.now()
        self._deadline = self._loop.later(PATIENCE, self._give_up)
        self._hedge: Timer | None = None
        self._held: Timer | None = None

    def start(self) -> None:
        sent = [self._try(server) for server in self._way.at_once]
        if not any(sent):
            self._next()
        elif self._waiting:
            self._set_hedge()

    def _next(self) -> None:
        """Ask the next server; when none is left and none can still answer, the client is told of the failure."""
        if self._hedge:
            self._hedge.cancel()
        while self._waiting:
            if self._try(self._waiting.pop(0)):
                if self._waiting:
                    self._set_hedge()
                return
        if not self._tries and not self._answers:
            self._finish(self._failure or self._refusal(wire.SERVFAIL))

    def _set_hedge(self) -> None:
        """The time for the next server: early where it was not asked yet, else later each round: more questions do not help a slow one."""
        early = self._way.patience
        if self._waiting[0] in self._asked or early >= HEDGE:
            self._hedge = self._loop.later(HEDGE * 2 ** ((self._count - 1) // len(self._way.order)), self._next)
            return

        def due() -> None:
            if not self._waiting or self._group.upstreams.spend():
                self._next()
            else:
                self._hedge = self._loop.later(HEDGE - early, self._next)

        self._hedge = self._loop.later(early, due)

    def _try(self, server: str) -> bool:
        """Ask this server; False where it cannot be asked."""
        self._asked.add(server)
        self._count += 1
        data, question = self.asked.data, self.asked.question
        try:
            tried = Try(self._loop, server, data, question.end, self._group.namespace, stream=self.asked.stream, heard=self._heard)
        except OSError as error:
            if error.errno in NO_ROOM:
                self._waiting.clear()
            else:
                self._unreachable(server)
            return False
        except ValueError:  # not an address
            self._unreachable(server)
            return False
        self._tries[tried] = None
        return True

    def _heard(self, tried: Try, reply: bytes | None) -> None:
        self._end(tried)
        server = tried.server
        self._waiting = [other for other in self._waiting if other != server]
        if reply is None:
            self._unreachable(server)
        else:
            # One that refuses or fails has answered: it may know other names, and nobody else might.
            self._group.upstreams.answered(server, self._loop.now() - tried.since)
            # What cannot be read is no answer: it would win over those of others, and clients may stumble over it.
            read = wire.legible(reply, self.asked.question.end) if reply[4:6] != b"\0\0" else None
            if read is None:
                self._failure = self._failed(reply)
            elif wire.tells(read):
                self._answers[server] = read
            else:
                self._failure = self._failed(read) if read[3] & 15 == wire.REFUSED else read
        self._settle()

    def _settle(self) -> None:
        """Take the answer of the server whose word counts most, or go on waiting."""
        best = next((server for server in self._way.order if server in self._answers), None)
        if best is None:
            if not self._tries or (self._waiting and self._waiting[0] not in self._asked):
                self._next()
            return
        reply, before = self._answers[best], self._way.order[: self._way.order.index(best)]
        awaited = {tried.server for tried in self._tries}.union(self._waiting).intersection(before)
        # That a name has an address can be said by anybody; that it has none, a server that knows less says too.
        left = self._since + (self._way.patience if has_answers(reply) else HEDGE) - self._loop.now()
        if left <= 0 or not awaited:
            self._take(reply, before)
            return
        for timer in (self._hedge, self._held):
            if timer:
                timer.cancel()
        self._held = self._loop.later(left, self._settle)
        if not awaited & self._asked:
            self._next()

    def _take(self, reply: bytes, before: tuple[str, ...]) -> None:
        """This is the answer; what the others did is noted, and those that were asked and said nothing are listened to for a moment."""
        upstreams, latecomers = self._group.upstreams, self._asking.latecomers
        silent = {tried.server: tried for tried in self._tries if tried.server not in self._answers}
        for server, tried in silent.items():
            if server in before:
                upstreams.waited(server)
            if self.asked.stream:
                latecomers.miss(upstreams, server)
            elif server in before or server in self._way.at_once:
                del self._tries[tried]
                latecomers.take(tried, upstreams, self.asked.asker)
        self._asking.cache.put(self._group.key, self.asked.question, reply, self._loop.now())
        self._finish(reply)

    def _unreachable(self, server: str) -> None:
        if self._group.upstreams.unreachable(server, self._loop.now()):
            self._asking.log(f"name server {server} cannot be reached: it is asked last until it is well")

    def _give_up(self) -> None:
        for server in {tried.server for tried in self._tries}:
            self._asking.latecomers.miss(self._group.upstreams, server)
        self._finish(self._failure or self._refusal(wire.SERVFAIL))

    def refuse(self) -> None:
        self._finish(self._refusal(wire.REFUSED))

    def _refusal(self, rcode: int) -> bytes:
        return wire.refusal(self.asked.data, rcode, self.asked.question.end)

    def _failed(self, reply: bytes) -> bytes:
        """That no answer was to be had. Docker's word for a refusal too: REFUSED is what we say of our own accord, and it would be taken for that."""
        told = reply[3] & 15
        return self._refusal(told if told in (wire.FORMERR, wire.NOTIMP) else wire.SERVFAIL)

    def _end(self, tried: Try) -> None:
        del self._tries[tried]
        tried.close()

    def _finish(self, reply: bytes) -> None:
        self.close()
        self.asked.reply(fit(self.asked.data[:2] + reply[2:], self.asked.question, self.asked.size))

    def close(self) -> None:
        """End without a word."""
        for timer in (self._deadline, self._hedge, self._held):
            if timer:
                timer.cancel()
        for tried in list(self._tries):
            self._end(tried)
        self._asking.ended(self)


class Asking:
    """All questions under way, and the answers kept. When there are too many, those of whoever asks most are refused, oldest first."""

    def __init__(self, loop: Loop, log: Callable[[str], None]) -> None:
        self.loop, self.log = loop, log
        self.cache = Cache()
        self.latecomers = Latecomers(loop, log)
        self._asks: dict[Hashable, dict[Ask, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def kept(self, group: Group, data: bytes, question: wire.Question, size: int) -> Aged | None:
        """The answer where it is kept."""
        return self.cache.get(group.key, data, question, self.loop.now(), size=size)

    def ask(self, group: Group, asked: Asked) -> None:
        """Ask for what is not kept, and hand the answer to `asked.reply` later. Every question gets one reply, if only SERVFAIL."""
        if self._count >= MAX_ASKS:
            most = max(self._asks.values(), key=len)
            if len(most) <= len(self._asks.get(asked.asker, ())):
                asked.reply(wire.refusal(asked.data, wire.REFUSED, asked.question.end))
                return
            next(iter(most)).refuse()
        ask = Ask(self, group, asked)
        self._asks.setdefault(asked.asker, {})[ask] = None
        self._count += 1
        ask.start()

    def ended(self, ask: Ask) -> None:
        mine = self._asks[ask.asked.asker]
        del mine[ask]
        if not mine:
            del self._asks[ask.asked.asker]
        self._count -= 1

    def leave(self, asker: Hashable) -> None:
        """A sandbox is gone: nobody waits for its answers."""
        for ask in list(self._asks.get(asker, ())):
            ask.close()
        self.latecomers.leave(asker)


def has_answers(reply: bytes) -> bool:
    return bool(wire.counts(reply)[2])
