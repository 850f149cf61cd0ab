"""The forwarder's TCP half: bytes both ways between an accepted connection and the container, one buffer a direction."""

from __future__ import annotations

import errno
import socket
import struct
from socket import SocketType
from typing import Protocol as TypingProtocol

from sanbashi.network.picture import Forwarder

from .holding import BACKLOG, FAMILIES, listen
from .loop import ENDED, HUNG, READ, WRITE, Loop, Timer

CHUNK = 65536  # bytes under way in one direction
CONNECT_PATIENCE = 10.0  # seconds
BREATH = 0.1  # seconds without accepting when there are no descriptors left
MAX_CONNECTIONS = 1024  # of one forwarder; more wait in the backlog
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close sends a reset
NONBLOCKING = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
AT_ONCE, MORE = socket.MSG_DONTWAIT, socket.MSG_DONTWAIT | socket.MSG_MORE
BUFFER, NOTHING = memoryview(bytearray(CHUNK)), memoryview(b"")  # one buffer for all: what is not passed on at once is copied
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Peer(TypingProtocol):
    """Whoever wants to know that a connection ended."""

    def ended(self, connection: Connection) -> None: ...


class Side:
    """One end of a connection: its socket, the bytes read from it that the other end has not taken, and how far it has closed."""

    __slots__ = ("finished", "pending", "shut", "socket")

    def __init__(self, ended: SocketType) -> None:
        self.socket = ended
        self.pending: memoryview = NOTHING
        self.finished = False  # it sent its last byte
        self.shut = False  # we told it that there is no more


class Connection:
    """A client's connection and ours to the target. Each half is closed when the other side closed it, and all when both are."""

    __slots__ = ("_client", "_listener", "_loop", "_target", "_timer")

    def __init__(self, loop: Loop, listener: Peer, client: SocketType, target: SocketType, *, connected: bool) -> None:
        self._loop, self._listener = loop, listener
        self._client, self._target = Side(client), Side(target)
        self._timer: Timer | None = None
        target.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a peer that vanished is noticed some day
        target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if connected:
            self._begin()
        else:
            self._timer = loop.later(CONNECT_PATIENCE, self.abort)
            loop.watch(client.fileno(), 0, self._from_client)
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
        self._begin()

    def _begin(self) -> None:
        self._loop.watch(self._client.socket.fileno(), READ | ENDED, self._from_client)
        self._loop.watch(self._target.socket.fileno(), READ | ENDED, self._from_target)

    def _from_client(self, events: int) -> None:
        self._move(self._client, self._target, events)

    def _from_target(self, events: int) -> None:
        self._move(self._target, self._client, events)

    def _move(self, side: Side, other: Side, events: int) -> None:
        """Something happened on `side`: read from it for the other, or write to it what the other sent."""
        try:
            if events & WRITE and other.pending:
                other.pending = other.pending[side.socket.send(other.pending, AT_ONCE) :]
            if events & (READ | HUNG) and not side.pending and not side.finished:
                size = side.socket.recv_into(BUFFER, CHUNK, AT_ONCE)
                if size and size < CHUNK and events & (ENDED | HUNG) == ENDED:
                    # The end was told before we read, so it is here or right behind: urgent data cuts a read short. Not so after a reset.
                    more = side.socket.recv_into(BUFFER[size:], 0, AT_ONCE)
                    size, side.finished = size + more, not more
                elif not size:
                    side.finished = True
                if size and (rest := self._rest(other.socket, size, MORE if side.finished else AT_ONCE)):
                    side.pending = rest
                elif not side.finished and not events & WRITE:
                    return  # the usual: all is passed on, and nothing else has changed
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
    def _rest(to: SocketType, size: int, flags: int) -> memoryview:
        """Send so many bytes of the buffer; what the other end does not take. With MORE they leave with the end that is told next."""
        try:
            sent = to.send(BUFFER[:size], flags)
        except BlockingIOError:
            sent = 0
        return memoryview(bytes(BUFFER[sent:size])) if sent < size else NOTHING

    def _close_halves(self) -> None:
        client, target = self._client, self._target
        if client.finished and target.finished and not client.pending and not target.pending:
            client.shut = target.shut = True  # by closing
            return
        for side, other in ((client, target), (target, client)):
            if side.finished and not side.pending and not other.shut:
                other.socket.shutdown(socket.SHUT_WR)
                other.shut = True

    def _interest(self) -> None:
        for side, other in ((self._client, self._target), (self._target, self._client)):
            reading = READ | ENDED if not side.pending and not side.finished else 0
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
            self._loop.forget(side.socket.fileno(), closing=True)
            side.socket.close()
        self._listener.ended(self)


class StreamForwarder:
    """Accepts on one host port. The container sees the bridge's address as the source: the client's is lost, as with Docker's proxy."""

    def __init__(self, loop: Loop, item: Forwarder, listener: socket.socket) -> None:
        self._loop, self._item, self._listener = loop, item, listener
        self._connections: set[Connection] = set()
        self._timer: Timer | None = None
        self._target = (str(item.target), item.target_port)
        self._family, self._from = FAMILIES[item.target.version], FAMILIES[item.address.version]
        self._heed(listener, READ)

    def _heed(self, listener: socket.socket, mask: int) -> None:
        # Connections have these from their listener: a peer that vanished is noticed some day, and nothing waits to be sent.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.watch(listener.fileno(), mask, self._accept)

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
        self._heed(to, READ if accepting else 0)

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
            # What socket.accept calls; half of its time, for that makes enums, and a socket that has yet to be told not to block.
            descriptor, _ = self._listener._accept()  # type: ignore[attr-defined]
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in NO_ROOM:
                self._pause()
            return True  # anything else concerns the one connection that is already gone, accept(2)
        client = SocketType(self._from, NONBLOCKING, 0, descriptor)
        try:
            target = SocketType(self._family, NONBLOCKING)
        except OSError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            client.close()
            self._pause()
            return True
        code = target.connect_ex(self._target)
        if code == errno.EINPROGRESS:
            code = target.connect_ex(self._target)  # over a veth pair the answer has come by now, as a second call is told
        if code not in (0, errno.EALREADY):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            client.close()
            target.close()
            return True
        self._connections.add(Connection(self._loop, self, client, target, connected=code == 0))
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
