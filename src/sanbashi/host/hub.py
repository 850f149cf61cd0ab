"""The one connection to a container's conmon, shared by all clients that are attached to the container.

conmon closes a container's standard input when a connection ends (where it may be closed at all), so a client that only looks on must not
have a connection of its own: the hub keeps one and decides. A hub can wait for a container that is not created yet: clients attach first and
miss nothing.
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from .attachment import Attachment

PACKET = 8192  # conmon reads 32 KiB at a time from a client and cuts what is longer
FROM_CONMON = 1 << 16  # one packet is a byte that names the pipe (2 stdout, 3 stderr) and at most 8 KiB


class Hub:
    """The clients of one container and the connection that serves them; `closable` where conmon closes stdin at our half-close."""

    def __init__(self, *, closable: bool = False) -> None:
        self.closable = closable
        self.clients: list[Attachment] = []
        self._socket: socket.socket | None = None
        self._connected = asyncio.Event()
        self._reading = False
        self._stdin_closed = False
        self._turn = asyncio.Lock()
        self.ended = False

    def attach(self, *, stdin: bool) -> Attachment:
        """A new client; it sees what comes from now on."""
        client = Attachment(self, stdin=stdin)
        if self.ended:
            client.end()
        else:
            self.clients.append(client)
        return client

    @property
    def connected(self) -> bool:
        return self._socket is not None

    def connect(self, bundle: Path) -> None:
        """Connect to the attach socket in `bundle`; through a descriptor, since a socket's path has at most 107 bytes."""
        directory = os.open(bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(f"/proc/self/fd/{directory}/attach")
        except OSError:
            connection.close()
            raise
        finally:
            os.close(directory)
        connection.setblocking(False)
        self._socket = connection
        self._connected.set()
        self._resume()
        if self._stdin_closed:
            self._shut_stdin()

    def _resume(self) -> None:
        if self._socket is not None and not self._reading:
            asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)
            self._reading = True

    def _pause(self) -> None:
        if self._socket is not None and self._reading:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._reading = False

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            packet = self._socket.recv(FROM_CONMON)
        except BlockingIOError:
            return
        except ConnectionResetError:
            packet = b""
        if not packet:
            self.end()
            return
        stream, block = packet[0] - 1, packet[1:]
        for client in self.clients:
            client.put(stream, block)
        if any(client.full for client in self.clients):
            self._pause()

    # What the clients call.

    async def write(self, data: bytes) -> None:
        """Input from a client; waits for the container to be there and to read."""
        await self._connected.wait()
        loop = asyncio.get_running_loop()
        async with self._turn:
            for start in range(0, len(data), PACKET):
                if self._socket is None or self._stdin_closed:
                    return
                try:
                    await loop.sock_sendall(self._socket, data[start : start + PACKET])
                except (BrokenPipeError, ConnectionResetError):
                    return

    def close_stdin(self) -> None:
        """The client that feeds the container has no more input."""
        if self.closable and not self._stdin_closed:
            self._stdin_closed = True
            self._shut_stdin()

    def _shut_stdin(self) -> None:
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_WR)

    def left(self, attachment: Attachment) -> None:
        """A client is gone: a container whose stdin is for one client loses it. The connection stays, and is drained, till the container ends."""
        if attachment in self.clients:
            self.clients.remove(attachment)
        if attachment.stdin:
            self.close_stdin()
        self.taken()

    def taken(self) -> None:
        """A client took something, or went: read on when none is full."""
        if not any(client.full for client in self.clients):
            self._resume()

    def container_ended(self) -> None:
        """Its conmon says so; what it still has to say comes before its end of the connection, if there is one."""
        if self._socket is None:
            self.end()

    def end(self) -> None:
        """The container's output is over, or there will be none."""
        self.ended = True
        self._pause()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._connected.set()
        for client in self.clients:
            client.end()
        self.clients = []
