"""A netlink socket: messages batched into one send, refusals told apart by message, dumps read to their end.

A socket belongs to the network namespace in which it was opened, whatever its thread enters later.
"""

from __future__ import annotations

import errno as codes
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType

from ..records import dataclass
from .counts import Counts

# linux/netlink.h
ROUTE, SOCK_DIAG, NETFILTER = 0, 4, 12
SOCK_DIAG_BY_FAMILY = 20  # linux/sock_diag.h
REQUEST, ACK, DUMP, REPLACE, EXCLUSIVE, CREATE, APPEND = 0x1, 0x4, 0x300, 0x100, 0x200, 0x400, 0x800
CAPPED, ACK_TLVS = 0x100, 0x200
NESTED = 0x8000
NLMSG_ERROR, NLMSG_DONE = 2, 3
SOL_NETLINK, CAP_ACK, EXT_ACK, STRICT_CHECK = 270, 10, 11, 12
HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
ATTRIBUTE = struct.Struct("=HH")  # length, kind
BATCH = 64  # messages in one send; each may answer with an error that has to fit the receive buffer
RECEIVE = 1 << 17


@dataclass(frozen=True, slots=True)
class Message:
    """One request; `body` is the fixed struct and the attributes."""

    kind: int
    flags: int
    body: bytes

    def encode(self, sequence: int, *, acknowledged: bool = False) -> bytes:
        flags = self.flags | REQUEST | (ACK if acknowledged else 0)
        return HEADER.pack(HEADER.size + len(self.body), self.kind, flags, sequence, 0) + self.body


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the kernel did not do what a message asked; `text` is its own words where it has any."""

    errno: int
    text: str

    def __str__(self) -> str:
        return f"{os.strerror(self.errno)}{f' ({self.text})' if self.text else ''}"


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return ATTRIBUTE.pack(4 + len(data), kind) + data + bytes(-len(data) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """A string attribute, ended by a zero byte."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """A 32-bit attribute in the host's order."""
    return attribute(kind, struct.pack("=I", value))


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes that begin at `offset`, by kind, without the nesting mark."""
    found: dict[int, bytes] = {}
    last, unpack = len(data) - 4, ATTRIBUTE.unpack_from  # a start reads a hundred thousand of them
    while offset <= last:
        length, kind = unpack(data, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


class Netlink:
    """A netlink socket in the namespace of the calling thread; close it, or use it with `with`."""

    def __init__(self, protocol: int, counts: Counts) -> None:
        self.counts = counts
        self.sequence = 0
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        for option in (CAP_ACK, EXT_ACK, STRICT_CHECK):
            try:
                self.socket.setsockopt(SOL_NETLINK, option, 1)
            except OSError as error:  # an older kernel: fewer words, the same work
                if error.errno != codes.ENOPROTOOPT:
                    raise

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.socket.close()

    def send(self, messages: Sequence[Message]) -> list[Refusal | None]:
        """Carry the messages out in order, in one send for each 64; what was refused, by message. A refusal does not stop the rest."""
        outcome: list[Refusal | None] = []
        for start in range(0, len(messages), BATCH):
            outcome += self.send_batch(messages[start : start + BATCH])
        return outcome

    def send_batch(self, messages: Sequence[Message]) -> list[Refusal | None]:
        first, last = self.sequence + 1, len(messages) - 1
        self.sequence += len(messages)
        # Only the last is acknowledged: errors come unasked for, and the kernel answers in order.
        self.socket.send(b"".join(m.encode(first + i, acknowledged=i == last) for i, m in enumerate(messages)))
        self.counts.add(netlink_messages=len(messages))
        outcome: list[Refusal | None] = [None] * len(messages)
        while True:
            for kind, flags, sequence, body in self.receive():
                index = sequence - first
                if kind != NLMSG_ERROR or not 0 <= index <= last:
                    continue
                outcome[index] = refusal(flags, body)
                if index == last:
                    return outcome

    def ask(self, message: Message) -> Iterator[tuple[int, bytes]]:
        """The answers to one get or dump, each (kind, body); OSError where the kernel refuses."""
        self.sequence += 1
        wanted, dumping = self.sequence, message.flags & DUMP == DUMP
        self.socket.send(message.encode(wanted, acknowledged=not dumping))
        self.counts.add(netlink_messages=1)
        while True:
            for kind, flags, sequence, body in self.receive():
                if sequence != wanted:
                    continue
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    problem = refusal(flags, body) if len(body) >= 4 else None
                    if problem is not None:
                        raise OSError(problem.errno, str(problem))
                    return
                yield kind, body

    def receive(self) -> Iterable[tuple[int, int, int, bytes]]:
        """One datagram's messages: (kind, flags, sequence, body)."""
        data, offset = self.socket.recv(RECEIVE), 0
        while offset + HEADER.size <= len(data):
            length, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
            yield kind, flags, sequence, data[offset + HEADER.size : offset + length]
            offset += (length + 3) & ~3


def refusal(flags: int, body: bytes) -> Refusal | None:
    """What an NLMSG_ERROR or NLMSG_DONE says; None for success."""
    code = -struct.unpack_from("=i", body)[0]
    if not code:
        return None
    words = ""
    if flags & ACK_TLVS and len(body) >= 20:
        length = HEADER.size if flags & CAPPED else (struct.unpack_from("=I", body, 4)[0] + 3) & ~3
        words = attributes(body, 4 + length).get(1, b"").rstrip(b"\0").decode(errors="replace")  # NLMSGERR_ATTR_MSG
    return Refusal(code, words)
