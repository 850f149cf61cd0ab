"""A client's TCP connection to the resolver: questions with their length before them, answered in whatever order the answers come (RFC 7766)."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol as TypingProtocol

from .loop import HUNG, READ, WRITE, Loop, Timer

IDLE = 5.0  # seconds without a whole question until the connection is closed
MAX_PENDING = 32  # questions under way; no more is read until some are answered
BUFFER = 65536 + 2


class Answerer(TypingProtocol):
    """Who answers (b"" where there is no answer to give), and wants to know of the end."""

    def consider(self, data: bytes, reply: Callable[[bytes], None]) -> None: ...

    def ended(self, conversation: Conversation) -> None: ...


class Conversation:
    """Never holds up anybody: what a client does not take is bounded by what it may ask, and silence ends it."""

    def __init__(self, loop: Loop, answerer: Answerer, client: socket.socket) -> None:
        self._loop, self._answerer, self._client = loop, answerer, client
        self._in, self._out = bytearray(), bytearray()
        self._pending = 0
        self._finished = False  # the client has sent its last question
        self._taking = False  # inside _take, which sends and goes on by itself
        self._closed = False
        self._last = loop.now()
        self._timer: Timer = loop.later(IDLE, self._look)
        loop.watch(client.fileno(), READ, self._ready)

    def _ready(self, events: int) -> None:
        try:
            if events & WRITE and self._out:
                del self._out[: self._client.send(self._out)]
            if events & (READ | HUNG) and not self._full() and not self._finished:
                data = self._client.recv(BUFFER)
                self._finished = not data
                self._in += data
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._take()

    def _full(self) -> bool:
        return self._pending >= MAX_PENDING or bool(self._out)

    def _take(self) -> None:
        """Hand on the whole questions that have come, send what is answered, then wait for what is wanted next."""
        self._taking = True
        while not self._closed and not self._full() and len(self._in) >= 2:
            length = int.from_bytes(self._in[:2], "big")
            if len(self._in) < 2 + length:
                break
            data = bytes(self._in[2 : 2 + length])
            del self._in[: 2 + length]
            self._pending += 1
            self._last = self._loop.now()
            self._answerer.consider(data, self._reply)
            self._flush()
        self._taking = False
        if self._closed:
            return
        if self._finished and not self._pending and not self._out:
            self.close()
            return
        reading = READ if not self._finished and not self._full() else 0
        self._loop.want(self._client.fileno(), reading | (WRITE if self._out else 0))

    def _reply(self, whole: bytes) -> None:
        if self._closed:
            return
        if not whole:  # not a question: nothing sensible can follow
            self.close()
            return
        self._pending -= 1
        self._out += len(whole).to_bytes(2, "big") + whole
        if not self._taking:
            self._last = self._loop.now()
            self._flush()
            self._take()

    def _flush(self) -> None:
        try:
            if self._out and not self._closed:
                del self._out[: self._client.send(self._out)]
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def _look(self) -> None:
        """Close if nothing happened for long; a timer a question would be far more than one that looks again."""
        left = self._last + IDLE - self._loop.now()
        if left <= 0:
            self.close()
        else:
            self._timer = self._loop.later(left, self._look)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._timer.cancel()
            self._loop.forget(self._client.fileno())
            self._client.close()
            self._answerer.ended(self)
