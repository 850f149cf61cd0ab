"""The forwarder's TCP half: bytes both ways between an accepted connection and the container, one buffer a direction."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Protocol as TypingProtocol

from sanbashi.network.picture import Forwarder

from .holding import BACKLOG, FAMILIES, listen
from .loop import HUNG, READ, WRITE, Loop, Timer

CHUNK = 65536  # bytes under way in one direction
CONNECT_PATIENCE = 10.0  # seconds
BREATH = 0.1  # seconds without accepting when there are no descriptors left
MAX_CONNECTIONS = 1024  # of one forwarder; more wait in the backlog
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close sends a reset
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Peer(TypingProtocol):
    """Whoever wants to know that a connection ended."""

    def ended(self, connection: Connection) -> None: ...


class Side:
    """One end of a connection: its socket, the bytes read from it that the other end has not taken, and how far it has closed."""

    __slots__ = ("finished", "pending", "shut", "socket")

    def __init__(self, ended: socket.socket) -> None:
        self.socket = ended
        self.pending: memoryview = memoryview(b"")
        self.finished = False  # it sent its last byte
        self.shut = False  # we told it that there is no more


class Connection:
    """A client's connection and ours to the target. Each half is closed when the other side closed it, and all when both are."""

    def __init__(self, loop: Loop, listener: Peer, client: socket.socket, target: socket.socket) -> None:
        self._loop, self._listener = loop, listener
        self._client, self._target = Side(client), Side(target)
        self._timer: Timer | None = loop.later(CONNECT_PATIENCE, self.abort)
        for side in (self._client, self._target):
            side.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a peer that vanished is noticed some day
            side.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.watch(client.fileno(), 0, lambda events: self._move(self._client, self._target, events))
        loop.watch(target.fileno(), WRITE, self._connected)

    def _connected(self, events: int) -> None:
        target = self._target.socket
        if target.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.abort()
            return
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._loop.forget(target.fileno())
        self._loop.watch(target.fileno(), 0, lambda events: self._move(self._target, self._client, events))
        self._interest()

    def _move(self, side: Side, other: Side, events: int) -> None:
        """Something happened on `side`: read from it for the other, or write to it what the other sent."""
        try:
            if events & WRITE and other.pending:
                other.pending = other.pending[side.socket.send(other.pending) :]
            if events & (READ | HUNG) and not side.pending and not side.finished:
                data = side.socket.recv(CHUNK)
                if data:
                    side.pending = memoryview(data)
                    side.pending = side.pending[self._send(other.socket, data) :]
                else:
                    side.finished = True
            self._close_halves()
        except BlockingIOError:
            pass
        except OSError:
            self.abort()
            return
        if self._client.shut and self._target.shut:
            self.close()
        else:
            self._interest()

    @staticmethod
    def _send(to: socket.socket, data: bytes) -> int:
        try:
            return to.send(data)
        except BlockingIOError:
            return 0

    def _close_halves(self) -> None:
        for side, other in ((self._client, self._target), (self._target, self._client)):
            if side.finished and not side.pending and not other.shut:
                other.socket.shutdown(socket.SHUT_WR)
                other.shut = True

    def _interest(self) -> None:
        for side, other in ((self._client, self._target), (self._target, self._client)):
            reading = READ if not side.pending and not side.finished else 0
            self._loop.want(side.socket.fileno(), reading | (WRITE if other.pending else 0))

    def abort(self) -> None:
        """End with a reset: the one side must not take the other's failure for an orderly end."""
        for side in (self._client, self._target):
            side.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        self.close()

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()
        for side in (self._client, self._target):
            self._loop.forget(side.socket.fileno())
            side.socket.close()
        self._listener.ended(self)


class StreamForwarder:
    """Accepts on one host port. The container sees the bridge's address as the source: the client's is lost, as with Docker's proxy."""

    def __init__(self, loop: Loop, item: Forwarder, listener: socket.socket) -> None:
        self._loop, self._item, self._listener = loop, item, listener
        self._connections: set[Connection] = set()
        self._timer: Timer | None = None
        loop.watch(listener.fileno(), READ, self._accept)

    @property
    def bound(self) -> socket.socket:
        """The socket that listens."""
        return self._listener

    def move(self, to: socket.socket) -> None:
        """Accept on another socket, which is bound, from now on; the one before is closed, and connections go on.

        OSError where the other cannot listen: then nothing is accepted any more, and all that is left is `close`.
        """
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        self._listener = to
        listen(to)
        accepting = self._timer is None and len(self._connections) < MAX_CONNECTIONS
        self._loop.watch(to.fileno(), READ if accepting else 0, self._accept)

    def __len__(self) -> int:
        return len(self._connections)

    def drain(self) -> None:
        """Accept all who wait, as far as there is room: when the listener ends, those who still wait are reset."""
        for _ in range(BACKLOG + 1):  # so many may wait, listen(2)
            if self._timer is not None or len(self._connections) >= MAX_CONNECTIONS or not self._take():
                return

    def _accept(self, events: int) -> None:
        self._take()

    def _take(self) -> bool:
        """Accept one connection; False where none waits."""
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in NO_ROOM:
                self._pause()
            return True  # anything else concerns the one connection that is already gone, accept(2)
        client.setblocking(False)
        try:
            target = socket.socket(FAMILIES[self._item.target.version], socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            client.close()
            self._pause()
            return True
        code = target.connect_ex((str(self._item.target), self._item.target_port))
        if code not in (0, errno.EINPROGRESS):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            client.close()
            target.close()
            return True
        self._connections.add(Connection(self._loop, self, client, target))
        if len(self._connections) >= MAX_CONNECTIONS:
            self._loop.want(self._listener.fileno(), 0)
        return True

    def _pause(self) -> None:
        self._loop.want(self._listener.fileno(), 0)
        self._timer = self._loop.later(BREATH, self._resume)

    def _resume(self) -> None:
        self._timer = None
        if len(self._connections) < MAX_CONNECTIONS:
            self._loop.want(self._listener.fileno(), READ)

    def ended(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if self._timer is None and self._listener.fileno() >= 0:
            self._resume()

    def close(self) -> None:
        """Stop serving; connections that are open end with a reset."""
        if self._timer:
            self._timer.cancel()
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        for connection in list(self._connections):
            connection.abort()
