"""Gratuitous ARP and unsolicited neighbour advertisements: whoever remembers an address by its last holder's MAC address learns of the new one."""

from __future__ import annotations

import heapq
import itertools
import socket
import struct
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import field

from ..network.model import IPAddress
from ..network.picture import Announce
from ..records import dataclass

ARP, IPV6 = 0x0806, 0x86DD
EVERYBODY, ALL_NODES = b"\xff" * 6, b"\x33\x33\0\0\0\x01"
NODES = socket.inet_pton(socket.AF_INET6, "ff02::1")
OVERRIDE = 0x20000000


def frame(mac: bytes, address: IPAddress) -> bytes:
    """The frame that announces an address: an ARP request for itself (RFC 5227), or an advertisement to all nodes (RFC 4861, 7.2.6)."""
    if address.version == 4:
        packed = address.packed
        return EVERYBODY + mac + struct.pack("!HHHBBH", ARP, 1, 0x0800, 6, 4, 1) + mac + packed + bytes(6) + packed
    body = struct.pack("!BBHI", 136, 0, 0, OVERRIDE) + address.packed + b"\2\1" + mac
    pseudo = address.packed + NODES + struct.pack("!II", len(body), 58)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    return ALL_NODES + mac + struct.pack("!HIHBB", IPV6, 0x60000000, len(body), 58, 255) + address.packed + NODES + body


def checksum(data: bytes) -> int:
    """The internet checksum of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


@dataclass(order=True)
class Due:
    """Frames to be sent at a time, and how often from then on."""

    at: float
    number: int
    socket: socket.socket = field(compare=False)
    frames: Sequence[bytes] = field(compare=False)
    left: int = field(compare=False)
    every: float = field(compare=False)


class Announcer:
    """Sends from a thread that lives as long as there is something to send: a bridge's ports are many, and each has its copy made by the sender."""

    def __init__(self) -> None:
        self.waiting: list[Due] = []
        self.numbers = itertools.count()
        self.changed = threading.Condition()
        self.thread: threading.Thread | None = None

    def prepare(self, link: str, addresses: Iterable[IPAddress], plan: Announce) -> Due:
        """What announces addresses on a link of the calling thread's namespace, at once and again; OSError where the link is gone."""
        times, milliseconds = plan
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
        try:
            sender.bind((link, 0))
            frames = [frame(sender.getsockname()[4], address) for address in addresses]
        except OSError:
            sender.close()
            raise
        return Due(time.monotonic(), next(self.numbers), sender, frames, times, milliseconds / 1000)

    def take(self, due: Due) -> None:
        """Have it sent; not from within a container's namespace, where the thread that sends would stay."""
        with self.changed:
            heapq.heappush(self.waiting, due)
            if self.thread is None:
                self.thread = threading.Thread(target=self.run, name="announcer", daemon=True)
                self.thread.start()
            self.changed.notify()

    def run(self) -> None:
        while True:
            with self.changed:
                if not self.waiting:
                    self.thread = None
                    return
                wait = self.waiting[0].at - time.monotonic()
                if wait > 0:
                    self.changed.wait(wait)
                    continue
                due = heapq.heappop(self.waiting)
            try:
                send(due.socket, due.frames)
            except OSError:  # the link went with its container: nothing is left to announce
                due.left = 1
            due.left -= 1
            if due.left:
                due.at += due.every
                with self.changed:
                    heapq.heappush(self.waiting, due)
            else:
                due.socket.close()

    def close(self) -> None:
        """Drop what is still to be sent."""
        with self.changed:
            for due in self.waiting:
                due.socket.close()
            self.waiting.clear()
            self.changed.notify()


def send(sender: socket.socket, frames: Iterable[bytes]) -> None:
    for data in frames:
        sender.send(data)
