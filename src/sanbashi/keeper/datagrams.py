"""The forwarder's UDP half: a session a client, a connected socket to the container each, ended by silence."""

from __future__ import annotations

import socket
import struct

from sanbashi.network.picture import Forwarder

from .holding import FAMILIES
from .loop import READ, Loop, Timer

IDLE = 90.0  # seconds without a datagram in either direction until a session ends; Docker's proxy waits as long
MAX_SESSIONS = 1024  # of one forwarder; the one longest silent makes room
BATCH = 32  # datagrams taken in one turn
LARGEST = 65535
IPV6_PKTINFO = 50  # linux/in6.h
IPV6_RECVPKTINFO = 49
IP_PKTINFO = 8  # linux/in.h

Address = tuple[str, int] | tuple[str, int, int, int]
Client = tuple[Address, bytes]  # where it sends from, and packet info of where it sent to: the reply must come from there


class Session:
    """One client's datagrams: `socket` is connected to the target."""

    __slots__ = ("last", "socket")

    def __init__(self, to_target: socket.socket, now: float) -> None:
        self.socket = to_target
        self.last = now


class DatagramForwarder:
    """Receives on one host port; sessions stand in the order of their last datagram."""

    def __init__(self, loop: Loop, item: Forwarder, served: socket.socket) -> None:
        self._loop, self._item = loop, item
        self._sessions: dict[Client, Session] = {}
        self._sweep: Timer | None = None
        self._begin(served)

    def _begin(self, served: socket.socket) -> None:
        self._socket = served
        if served.family == socket.AF_INET6:
            served.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
            self._info = (socket.IPPROTO_IPV6, IPV6_PKTINFO)
        else:
            served.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
            self._info = (socket.IPPROTO_IP, IP_PKTINFO)
        self._loop.watch(served.fileno(), READ, self._from_client)

    @property
    def bound(self) -> socket.socket:
        """The socket that receives."""
        return self._socket

    def move(self, to: socket.socket) -> None:
        """Receive on another socket from now on; the one before is closed, and sessions go on."""
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        self._begin(to)

    def __len__(self) -> int:
        return len(self._sessions)

    def _from_client(self, events: int) -> None:
        for _ in range(BATCH):
            try:
                data, ancillary, _flags, address = self._socket.recvmsg(LARGEST, 128)
            except OSError:  # nothing more, or an error of an earlier reply
                return
            info = next((bytes(value) for level, kind, value in ancillary if (level, kind) == self._info), b"")
            client = (address, from_there(info))
            session = self._sessions.pop(client, None) or self._open(client)
            if session is None:
                continue  # no descriptors left: the datagram is lost, as it may be
            self._sessions[client] = session
            session.last = self._loop.now()
            send(session.socket, data)

    def _open(self, client: Client) -> Session | None:
        if len(self._sessions) >= MAX_SESSIONS:
            self._end(next(iter(self._sessions)))
        try:
            to_target = socket.socket(FAMILIES[self._item.target.version], socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError:
            return None
        try:
            to_target.connect((str(self._item.target), self._item.target_port))
        except OSError:
            to_target.close()
            return None
        self._loop.watch(to_target.fileno(), READ, lambda events: self._from_target(client))
        if self._sweep is None:
            self._sweep = self._loop.later(IDLE, self._expire)
        return Session(to_target, self._loop.now())

    def _from_target(self, client: Client) -> None:
        session = self._sessions[client]
        for _ in range(BATCH):
            try:
                data = session.socket.recv(LARGEST)
            except OSError:  # nothing more, or the container's "port unreachable": the client's next datagram may find it open
                return
            address, info = client
            self._sessions[client] = self._sessions.pop(client)
            session.last = self._loop.now()
            try:
                self._socket.sendmsg([data], [(*self._info, info)] if info else [], 0, address)
            except OSError:
                return  # full or unreachable: lost

    def _expire(self) -> None:
        self._sweep = None
        now = self._loop.now()
        while self._sessions:
            client, session = next(iter(self._sessions.items()))
            if session.last + IDLE > now:
                self._sweep = self._loop.later(session.last + IDLE - now, self._expire)
                return
            self._end(client)

    def _end(self, client: Client) -> None:
        session = self._sessions.pop(client)
        self._loop.forget(session.socket.fileno())
        session.socket.close()

    def close(self) -> None:
        """Stop serving; sessions end."""
        if self._sweep:
            self._sweep.cancel()
        for client in list(self._sessions):
            self._end(client)
        self._loop.forget(self._socket.fileno())
        self._socket.close()


def from_there(info: bytes) -> bytes:
    """Packet info of a datagram received, as the info of its reply: the address it was sent to, no interface (routes decide)."""
    if len(info) == 20:  # struct in6_pktinfo: address, interface
        return info[:16] + b"\0\0\0\0"
    if len(info) == 12:  # struct in_pktinfo: interface, ipi_spec_dst (what a sender sets), address in the header
        return struct.pack("i4s4s", 0, info[4:8], b"\0\0\0\0")
    return b""


def send(to: socket.socket, data: bytes) -> None:
    """Send on a connected socket; what cannot be sent is lost, as datagrams may be."""
    try:
        to.send(data)
    except ConnectionRefusedError:
        # The error is of an earlier datagram and was cleared by reporting it; this one has not been sent.
        try:
            to.send(data)
        except OSError:
            return
    except OSError:
        return
