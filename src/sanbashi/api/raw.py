"""Below HTTP: the bytes of a hijacked connection, and what the kernel tells of its other end."""

from __future__ import annotations

import asyncio
import fcntl
import select
import socket
import sys
import termios
from typing import Any

from ..records import dataclass

PIECE = 64 * 1024  # bytes read at a time, and about what a connection may hold unread
HEAD_TAKEN = 1.0  # seconds that a client of a hijacked connection may take to read the head before the stream begins
RECHECK = 1.0  # seconds between looks at a unix client that closed its writing side only


@dataclass
class Raw:
    """The bytes of a hijacked connection: what came early first."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    early: bytes
    socket: Any

    async def read(self) -> bytes:
        if self.early:
            early, self.early = self.early, b""
            return early
        try:
            return await self.reader.read(PIECE)
        except ConnectionError:
            return b""

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def gone(self) -> None:
        # TCP does not tell a half-closed peer from a closed one: there only a failing write, or keep-alive, tells.
        while self.socket.family != socket.AF_UNIX or not hung_up(self.socket):
            await asyncio.sleep(RECHECK)


async def taken(sock: Any) -> None:
    """Until a unix client has read what was sent to it, for a moment at most.

    docker-py reads the head of a hijacked connection through a buffer and goes on without it: what came along with the head was lost.
    """
    loop = asyncio.get_running_loop()
    limit = loop.time() + HEAD_TAKEN
    while sock.family == socket.AF_UNIX and loop.time() < limit and unread(sock):
        await asyncio.sleep(0.001)


def unread(sock: Any) -> int:
    """What the other end of a unix connection has not read yet, as the kernel counts it: 0 for nothing, and where we have closed ours."""
    if sock.fileno() < 0:  # asyncio closes at once when the other end left something unread
        return 0
    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def hung_up(sock: Any) -> bool:
    """Whether the other end of a unix connection is gone altogether, not only its writing side."""
    if sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock.fileno(), 0)  # POLLHUP and POLLERR are always told
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))
