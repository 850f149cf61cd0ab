"""WebSocket (RFC 6455) on a hijacked connection: the handshake's answer, frames in and out."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from dataclasses import field

from ..errors import Invalid
from ..records import dataclass
from .messages import Request, Stream

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
LARGEST = 1 << 20  # bytes of one frame of a client
NORMAL, PROTOCOL_ERROR = 1000, 1002


def handshake(request: Request) -> bytes:
    """The head that answers an upgrade; Invalid where the request is none."""
    headers = request.headers
    key = headers.get("sec-websocket-key", "")
    if headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in headers.get("connection", "").lower():
        raise Invalid("not websocket protocol")
    try:
        whole = len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        whole = False
    if not whole or headers.get("sec-websocket-version") != "13":
        raise Invalid("bad websocket handshake: version 13 and a key of 16 bytes are wanted")
    accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
    return f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode()


def frame(opcode: int, data: bytes) -> bytes:
    """One whole message of a server's."""
    size = len(data)
    length = bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2) if size < 1 << 16 else b"\x7f" + size.to_bytes(8)
    return bytes((0x80 | opcode,)) + length + data


class Broken(Exception):
    """What came is no WebSocket."""


@dataclass
class Frames:
    """A client's bytes as frames."""

    waiting: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(opcode, payload) of every frame that is whole by these bytes; Broken."""
        self.waiting += data
        while (found := self.first()) is not None:
            yield found

    def first(self) -> tuple[int, bytes] | None:
        head = self.waiting
        if len(head) < 2:
            return None
        opcode, size, at = head[0] & 0x0F, head[1] & 0x7F, 2
        if head[0] & 0x70 or not head[1] & 0x80:
            raise Broken("a client's frames are masked and use no extensions")
        if size > 125:
            if opcode >= CLOSE:
                raise Broken("control frames are short")
            at = 4 if size == 126 else 10
            if len(head) < at:
                return None
            size = int.from_bytes(head[2:at])
        if size > LARGEST:
            raise Broken("the frame is too large")
        end = at + 4 + size
        if len(head) < end:
            return None
        mask = bytes(head[at : at + 4])
        data = bytes(head[at + 4 : end])
        del self.waiting[:end]
        keys = mask * (size // 4 + 1)
        return opcode, (int.from_bytes(data) ^ int.from_bytes(keys[:size])).to_bytes(size)


@dataclass
class WebSocket:
    """The messages of a hijacked connection as a stream of bytes: pings are answered, a close is the end."""

    raw: Stream
    frames: Frames = field(default_factory=Frames)
    ready: list[bytes] = field(default_factory=list)
    closed: bool = False

    async def read(self) -> bytes:
        while not self.ready:
            data = b"" if self.closed else await self.raw.read()
            if not data:
                return b""
            try:
                for opcode, payload in self.frames.feed(data):
                    await self.take(opcode, payload)
            except Broken as error:
                await self.close(PROTOCOL_ERROR, str(error))
        return self.ready.pop(0)

    async def take(self, opcode: int, payload: bytes) -> None:
        if opcode in (CONTINUATION, TEXT, BINARY):
            if payload and not self.closed:
                self.ready.append(payload)
        elif opcode == PING:
            await self.raw.write(frame(PONG, payload))
        elif opcode == CLOSE:
            await self.close(NORMAL)
        elif opcode != PONG:
            raise Broken("unknown opcode")

    async def write(self, data: bytes) -> None:
        if not self.closed:
            await self.raw.write(frame(BINARY, data))

    async def gone(self) -> None:
        if not self.closed:
            await self.raw.gone()

    async def close(self, code: int, reason: str = "") -> None:
        """Say that it is over; once."""
        if not self.closed:
            self.closed = True
            await self.raw.write(frame(CLOSE, code.to_bytes(2) + reason.encode()))
