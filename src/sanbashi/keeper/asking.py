"""Questions asked of other servers for the containers, each from a socket of its own: random port, random id, errors that concern it alone."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from sanbashi.resolver import wire
from sanbashi.resolver.cache import Aged, Cache, fit
from sanbashi.resolver.upstreams import HEDGE, PATIENCE, ROUNDS, Upstreams

from .loop import READ, WRITE, Loop, Timer
from .namespaces import inside, scope
from .streams import NO_ROOM

MAX_ASKS = 1024  # under way in all; more are REFUSED, as Docker does
PORT = 53
BUFFER = 65535

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


class Try:
    """One server asked once; `out` is what is still to be sent over TCP, `got` what has come."""

    __slots__ = ("got", "out", "query", "server", "socket")

    def __init__(self, server: str, query: bytes, opened: socket.socket) -> None:
        self.server, self.query, self.socket = server, query, opened
        self.out = len(query).to_bytes(2, "big") + query
        self.got = bytearray()


class Ask:
    """One question under way: servers are tried in order, the next after a while or at once on a failure, until one answers."""

    def __init__(self, asking: Asking, group: Group, asked: Asked) -> None:
        self._asking, self._loop, self._group, self.asked = asking, asking.loop, group, asked
        self._servers = group.upstreams.order(self._loop.now())
        self._waiting = [server for _ in range(1 if asked.stream else ROUNDS) for server in self._servers]
        self._tries: dict[int, Try] = {}
        self._count = 0
        self._failure = b""
        self._deadline = self._loop.later(PATIENCE, self._give_up)
        self._hedge: Timer | None = None

    def next(self) -> None:
        """Ask the next server; when none is left and none can still answer, the client is told of the failure."""
        if self._hedge:
            self._hedge.cancel()
        while self._waiting:
            server = self._waiting.pop(0)
            try:
                self._try(server)
            except OSError as error:
                if error.errno in NO_ROOM:
                    break
                self._unreachable(server)
            except ValueError:  # not an address
                self._unreachable(server)
            else:
                return
        if not self._tries:
            self._finish(self._failure or self._refusal(wire.SERVFAIL))

    def _try(self, server: str) -> None:
        """Ask this server, and set the time for the one after it; OSError, ValueError."""
        query = os.urandom(2) + self.asked.data[2:]
        opened = self._open(server, query)
        tried = Try(server, query, opened)
        self._tries[opened.fileno()] = tried
        if self.asked.stream:
            self._loop.watch(opened.fileno(), WRITE, lambda events: self._stream(tried))
        else:
            self._loop.watch(opened.fileno(), READ, lambda events: self._datagram(tried))
        # Each round waits twice as long as the one before it: a server that is slow is not helped by more questions.
        delay = HEDGE * 2 ** (self._count // len(self._servers))
        self._count += 1
        self._hedge = self._loop.later(delay, self.next) if self._waiting else None

    def _open(self, server: str, query: bytes) -> socket.socket:
        """A socket to the server, the question sent where it is UDP; OSError, ValueError."""
        kind = socket.SOCK_STREAM if self.asked.stream else socket.SOCK_DGRAM
        with inside(self._group.namespace):
            family, address, interface = scope(server)
            opened = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        try:
            opened.connect((address, PORT) if family == socket.AF_INET else (address, PORT, 0, interface))
            if not self.asked.stream:
                opened.send(query)
        except BlockingIOError:
            return opened  # TCP connects in its own time; a datagram for which there is no room is lost
        except OSError:
            opened.close()
            raise
        return opened

    def _datagram(self, tried: Try) -> None:
        try:
            reply = tried.socket.recv(BUFFER)
        except BlockingIOError:
            return
        except OSError:  # port unreachable, no route
            self._failed(tried)
            return
        self._judge(tried, reply)

    def _stream(self, tried: Try) -> None:
        try:
            if tried.out:
                tried.out = tried.out[tried.socket.send(tried.out) :]
                if not tried.out:
                    self._loop.want(tried.socket.fileno(), READ)
                return
            data = tried.socket.recv(BUFFER)
        except BlockingIOError:
            return
        except OSError:
            self._failed(tried)
            return
        tried.got += data
        if len(tried.got) >= 2 and len(tried.got) >= 2 + int.from_bytes(tried.got[:2], "big"):
            self._judge(tried, bytes(tried.got[2 : 2 + int.from_bytes(tried.got[:2], "big")]))
        elif not data:
            self._failed(tried)

    def _judge(self, tried: Try, reply: bytes) -> None:
        """Take a server's reply, or leave it aside where it answers something else: it may be forged, and the true one still come."""
        question = self.asked.question
        if not wire.answers_to(reply, tried.query, question.end):
            if self.asked.stream:
                self._failed(tried)
            return
        rcode = reply[3] & 15
        if rcode not in (wire.NOERROR, wire.NXDOMAIN):
            self._failure = reply if reply[4:6] != b"\0\0" else self._refusal(rcode)
            self._end(tried)
            self._skip(tried.server)
            return
        self._group.upstreams.answered(tried.server)
        for earlier in self._tries.values():
            if earlier is tried:
                break
            if earlier.server != tried.server:
                self._silent(earlier.server)
        self._asking.cache.put(self._group.key, question, reply, self._loop.now())
        self._finish(reply)

    def _failed(self, tried: Try) -> None:
        self._end(tried)
        self._unreachable(tried.server)
        self._skip(tried.server)

    def _skip(self, server: str) -> None:
        """Go on without a server that has said no."""
        self._waiting = [other for other in self._waiting if other != server]
        self.next()

    def _unreachable(self, server: str) -> None:
        if self._group.upstreams.unreachable(server, self._loop.now()):
            self._asking.log(f"name server {server} cannot be reached: it is asked last for a while")

    def _silent(self, server: str) -> None:
        if self._group.upstreams.silent(server, self._loop.now()):
            self._asking.log(f"name server {server} does not answer: it is asked last for a while")

    def _give_up(self) -> None:
        for server in {tried.server for tried in self._tries.values()}:
            self._silent(server)
        self._finish(self._failure or self._refusal(wire.SERVFAIL))

    def refuse(self) -> None:
        self._finish(self._refusal(wire.REFUSED))

    def _refusal(self, rcode: int) -> bytes:
        return wire.refusal(self.asked.data, rcode, self.asked.question.end)

    def _end(self, tried: Try) -> None:
        del self._tries[tried.socket.fileno()]
        self._loop.forget(tried.socket.fileno())
        tried.socket.close()

    def _finish(self, reply: bytes) -> None:
        self.close()
        self.asked.reply(fit(self.asked.data[:2] + reply[2:], self.asked.question, self.asked.size))

    def close(self) -> None:
        """End without a word."""
        self._deadline.cancel()
        if self._hedge:
            self._hedge.cancel()
        for tried in list(self._tries.values()):
            self._end(tried)
        self._asking.ended(self)


class Asking:
    """All questions under way, and the answers kept. When there are too many, those of whoever asks most are refused, oldest first."""

    def __init__(self, loop: Loop, log: Callable[[str], None]) -> None:
        self.loop, self.log = loop, log
        self.cache = Cache()
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
        ask.next()

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
