"""One server asked once, from a socket of its own: random port, random id, errors that concern it alone."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from sanbashi.resolver import wire

from .loop import READ, WRITE, Loop
from .namespaces import inside, scope

PORT = 53
BUFFER = 65535


class Try:
    """Calls `heard` with each reply that answers the question, or with None when none can come any more; who opened it closes it.

    `data`: the client's message, whose question section ends at `end`. OSError, ValueError where the server cannot be asked at all.
    """

    def __init__(
        self, loop: Loop, server: str, data: bytes, end: int, namespace: int | None, *, stream: bool, heard: Callable[[Try, bytes | None], None]
    ) -> None:
        self._loop, self.server, self.heard = loop, server, heard
        self._query, self._end = os.urandom(2) + data[2:], end
        self._out = len(self._query).to_bytes(2, "big") + self._query  # what is still to be sent over TCP
        self._got = bytearray()
        self.since = loop.now()
        self._socket = self._opened(namespace, stream)
        if stream:
            loop.watch(self._socket.fileno(), WRITE, self._stream)
        else:
            loop.watch(self._socket.fileno(), READ, self._datagram)

    def _opened(self, namespace: int | None, stream: bool) -> socket.socket:
        """A socket to the server, the question sent where it is UDP; OSError, ValueError."""
        with inside(namespace):
            family, address, interface = scope(self.server)
            opened = socket.socket(family, (socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) | socket.SOCK_NONBLOCK)
        try:
            opened.connect((address, PORT) if family == socket.AF_INET else (address, PORT, 0, interface))
            if not stream:
                opened.send(self._query)
        except BlockingIOError:
            return opened  # TCP connects in its own time; a datagram for which there is no room is lost
        except OSError:
            opened.close()
            raise
        return opened

    def _datagram(self, events: int) -> None:
        try:
            reply = self._socket.recv(BUFFER)
        except BlockingIOError:
            return
        except OSError:  # port unreachable, no route
            self.heard(self, None)
            return
        # What answers something else is left aside: it may be forged, and the true answer still come.
        if wire.answers_to(reply, self._query, self._end):
            self.heard(self, reply)

    def _stream(self, events: int) -> None:
        try:
            if self._out:
                self._out = self._out[self._socket.send(self._out) :]
                if not self._out:
                    self._loop.want(self._socket.fileno(), READ)
                return
            data = self._socket.recv(BUFFER)
        except BlockingIOError:
            return
        except OSError:
            self.heard(self, None)
            return
        self._got += data
        if len(self._got) >= 2 and len(self._got) >= 2 + int.from_bytes(self._got[:2], "big"):
            reply = bytes(self._got[2 : 2 + int.from_bytes(self._got[:2], "big")])
            self.heard(self, reply if wire.answers_to(reply, self._query, self._end) else None)
        elif not data:
            self.heard(self, None)

    def close(self) -> None:
        self._loop.forget(self._socket.fileno())
        self._socket.close()
