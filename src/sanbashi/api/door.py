"""Where the clients of a unix socket come in.

Docker's clients open a connection for each command and first ask for a ping. It is answered here, before the connection costs anything; what the
connection needs is made while the client thinks about the answer.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Coroutine
from dataclasses import field
from typing import Any

from ..records import dataclass
from .plain import plain_request
from .raw import PIECE

log = logging.getLogger("sanbashi.api")

PATIENCE = 1.0  # seconds that a client may stand here without a word; then it is in, and idle as any other
CROWD = 256  # clients without a word; where there are more, the longest here is in
PAUSE = 1.0  # seconds without accepting, where descriptors or memory are short
SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
PINGS = frozenset({b"GET", b"HEAD"})


@dataclass(eq=False)
class Door:
    """A listening socket. `enter` serves a client that has sent these bytes; `ping` is the answer to a ping, with its body or without."""

    sock: socket.socket
    enter: Callable[[socket.socket, bytes], Coroutine[Any, Any, object]]
    ping: Callable[[bool], bytes]
    waiting: dict[socket.socket, asyncio.TimerHandle] = field(default_factory=dict)
    entering: set[asyncio.Task[None]] = field(default_factory=set)
    paused: asyncio.TimerHandle | None = None

    def open(self, backlog: int) -> None:
        """Begin to accept."""
        self.sock.setblocking(False)
        self.sock.listen(backlog)
        asyncio.get_running_loop().add_reader(self.sock, self.accept)

    def accept(self) -> None:
        """Let one client in; the loop tells of the next."""
        loop = asyncio.get_running_loop()
        try:
            client, _ = self.sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in SHORT:
                raise
            log.warning("no client is let in for %g s: %s", PAUSE, error.strerror)
            loop.remove_reader(self.sock)
            self.paused = loop.call_later(PAUSE, loop.add_reader, self.sock, self.accept)
            return
        client.setblocking(False)
        self.waiting[client] = loop.call_later(PATIENCE, self.pass_on, client, b"")
        # By number: what asyncio says to itself of a socket that it does not know yet spells out both of its addresses, twice.
        loop.add_reader(client.fileno(), self.hear, client)
        if len(self.waiting) > CROWD:
            self.pass_on(next(iter(self.waiting)), b"")

    def hear(self, client: socket.socket) -> None:
        """A client's first words."""
        try:
            data = client.recv(PIECE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.leave(client)
            client.close()
            return
        request = plain_request(data)
        if request is not None and request.target == b"/_ping" and request.method in PINGS and not request.content:
            answer = self.ping(request.method == b"GET")
            try:
                client.sendall(answer)  # some hundred bytes, for which a new connection has room
            except OSError:  # it has gone already
                self.leave(client)
                client.close()
                return
            data = b""
        self.pass_on(client, data)

    def leave(self, client: socket.socket) -> None:
        self.waiting.pop(client).cancel()
        asyncio.get_running_loop().remove_reader(client)

    def pass_on(self, client: socket.socket, data: bytes) -> None:
        """Make a connection of it."""
        self.leave(client)
        task = asyncio.get_running_loop().create_task(self.begin(client, data))
        self.entering.add(task)
        task.add_done_callback(self.entering.discard)

    async def begin(self, client: socket.socket, data: bytes) -> None:
        try:
            await self.enter(client, data)
        except OSError as error:
            log.warning("a client was lost: %s", error)
            client.close()

    def close(self) -> None:
        """Let nobody in any more; who has not said a word has to go."""
        if self.paused is not None:
            self.paused.cancel()
        if self.sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.sock)
            self.sock.close()
        for client in list(self.waiting):
            self.leave(client)
            client.close()
