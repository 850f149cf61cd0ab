"""Leases: DHCP clients for containers' interfaces. A socket is open only while a server is asked; between that a lease is a timer."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

from sanbashi.dhcp import client as dhcp
from sanbashi.dhcp import deeds, frames, wire
from sanbashi.network.lease import Lease, LeaseReport
from sanbashi.network.picture import Leasing

from .filters import DROP_ALL, attach, attach_copy
from .loop import READ, Loop, Timer
from .namespaces import inside

NO_LINK = 1.0  # seconds until a link that is not there is looked for again
LONGEST_SLEEP = 300.0  # seconds; the loop's clock stands while the machine sleeps, a lease's does not
SIOCGIFMTU = 0x8921  # linux/sockios.h
BATCH = 16  # messages read before others have their turn
# `udp and dst port 68`, not a fragment; linux/filter.h: (code, if true, if false, value).
TO_CLIENT = (
    (0x28, 0, 0, 12), (0x15, 0, 8, 0x0800), (0x30, 0, 0, 23), (0x15, 0, 6, 17), (0x28, 0, 0, 20), (0x45, 4, 0, 0x3FFF),
    (0xB1, 0, 0, 14), (0x48, 0, 0, 16), (0x15, 0, 1, frames.CLIENT_PORT), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0),
)  # fmt: skip

Tell = Callable[[LeaseReport], None]


def clock() -> float:
    """Seconds since boot, sleep included: what a lease's times are on, for this keeper and the next."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Leases:
    """The leases of all endpoints; `tell` is called with each change of one."""

    def __init__(self, loop: Loop, log: Callable[[str], None]) -> None:
        self.loop, self.log = loop, log
        self.tell: Tell = lambda report: None
        self._holders: dict[str, Holder] = {}

    def reports(self) -> list[LeaseReport]:
        """How it stands with each."""
        return [holder.report for holder in self._holders.values()]

    def add(self, item: Leasing, namespace: int) -> None:
        """Get a lease and keep it; of an endpoint that has one already it is kept under the new item's terms."""
        before = self._holders.pop(item.endpoint, None)
        if before is not None:
            item = replace(item, lease=before.report.lease)
            before.close()
        holder = Holder(self, item, namespace)
        self._holders[item.endpoint] = holder
        holder.start()

    def remove(self, endpoint: str) -> None:
        """Give a lease back."""
        holder = self._holders.pop(endpoint)
        holder.release()
        holder.close()

    def close(self) -> None:
        """Keep them no longer, and tell no server: whoever has the addresses goes on."""
        for holder in self._holders.values():
            holder.close()
        self._holders.clear()


class Holder:
    """One endpoint's client. `namespace` is a descriptor of where its interface is."""

    def __init__(self, leases: Leases, item: Leasing, namespace: int) -> None:
        self._leases, self._loop, self.item, self._namespace = leases, leases.loop, item, namespace
        self._client: dhcp.Client | None = None
        self._sockets: list[socket.socket] = []
        self._arp: socket.socket | None = None  # while an address is probed; never one to ask a server by
        self._timer: Timer | None = None
        self.report = LeaseReport(endpoint=item.endpoint, word="bound" if item.lease else "waiting", lease=item.lease)

    def start(self) -> None:
        """Begin as soon as the interface is there."""
        try:
            opened = self._open()
            address, mtu = opened.getsockname()[4], mtu_of(opened, self.item.link)
        except OSError:  # the interface is being made anew
            self._timer = self._loop.later(NO_LINK, self.start)
            return
        wish = dhcp.Wish(
            hardware=address,
            client_id=bytes.fromhex(self.item.client_id),
            hostname=self.item.hostname,
            ask=self.item.ask,
            insist=self.item.insist,
            link_mtu=mtu,
        )
        self._follow(dhcp.begin(wish, clock(), random.random(), self.item.lease))

    # -- what the client says is done

    def _follow(self, turn: dhcp.Turn) -> None:
        self._client, todo = turn
        for deed in todo:
            if isinstance(deed, deeds.Send):
                self._send(deed)
            elif isinstance(deed, deeds.Probe):
                self._probe(deed.address)
            elif isinstance(deed, deeds.Bound):
                self._bound(deed.lease)
            elif isinstance(deed, deeds.Lost):
                self._log(f"lost its address: {deed.reason}")
                self._tell(LeaseReport(endpoint=self.item.endpoint, word="lost", reason=deed.reason))
            else:
                if deed.reason:
                    self._log(f"does not take {deed.offered}: {deed.reason}")
                self._tell(LeaseReport(endpoint=self.item.endpoint, word="refused", offered=str(deed.offered), reason=deed.reason))
        if self._client.phase == "bound":
            self._shut()
        if self._timer is not None:
            self._timer.cancel()
        left = self._client.due - clock()
        self._timer = self._loop.later(min(max(0.0, left), LONGEST_SLEEP), self._wake) if left != dhcp.NEVER else None

    def _bound(self, lease: Lease) -> None:
        before = self.report.lease
        if before is None or before.address != lease.address:
            self._log(f"has {lease.address} from {lease.server}, for {f'{lease.ends:.0f} s' if lease.ends else 'ever'}")
        self._tell(LeaseReport(endpoint=self.item.endpoint, word="bound", lease=lease))

    def _tell(self, report: LeaseReport) -> None:
        self.report = report
        self._leases.tell(report)

    def _log(self, words: str) -> None:
        self._leases.log(f"{self.item.link} of endpoint {self.item.endpoint[:12]} {words}")

    def _wake(self) -> None:
        self._timer = None
        if self._client is not None:
            self._follow(dhcp.wake(self._client, clock(), random.random()))

    def _receive(self, events: int) -> None:
        for _ in range(BATCH):
            if not self._sockets or self._client is None:
                return
            try:
                data = self._sockets[0].recv(2048)
            except BlockingIOError:
                return
            except OSError:  # the link went down or away: the next question opens another socket
                self._shut()
                return
            heard = frames.heard(data)
            if heard is None:
                continue
            try:
                message = wire.read(heard.payload)
            except wire.Malformed:
                continue
            self._follow(dhcp.hear(self._client, message, heard.sender, clock(), random.random()))

    def _send(self, deed: deeds.Send) -> None:
        """Put a question on the wire; what is lost on the way is asked again."""
        client = self._client
        assert client is not None
        to, hardware = deed.target or frames.BROADCAST, bytes.fromhex(deed.hardware.replace(":", "")) or frames.EVERYBODY
        try:
            opened = self._sockets[0] if self._sockets else self._open()
            opened.send(frames.frame(deed.message, client.wish.hardware, deed.source, to, hardware))
        except OSError:
            self._shut()

    def _probe(self, address: IPv4Address) -> None:
        """Ask everybody for an address. Where that cannot be done the server's word has to do."""
        assert self._client is not None
        try:
            if self._arp is None:
                with inside(self._namespace):
                    self._arp = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
                self._arp.bind((self.item.link, frames.ARP))
                self._loop.watch(self._arp.fileno(), READ, self._receive_arp)
            self._arp.send(frames.arp_probe(address, self._client.wish.hardware))
        except OSError as error:
            self._log(f"cannot ask whether somebody has {address}: {error}")

    def _receive_arp(self, events: int) -> None:
        for _ in range(BATCH):
            if self._arp is None or self._client is None:
                return
            try:
                data = self._arp.recv(128)
            except BlockingIOError:
                return
            except OSError:  # the link went down or away
                self._shut()
                return
            if (said := frames.heard_arp(data)) is not None:
                self._follow(dhcp.hear_arp(self._client, said, clock()))

    def release(self) -> None:
        """Tell the server that the address is free."""
        if self._client is not None:
            for deed in dhcp.release(self._client, random.random()):
                if isinstance(deed, deeds.Send):
                    self._send(deed)

    # -- sockets

    def _open(self) -> socket.socket:
        """Sockets on the interface: one for packets, one that holds the port so that the kernel does not call it closed. OSError."""
        self._shut()
        with inside(self._namespace):
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            self._sockets.append(opened)
            held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._sockets.append(held)
        try:
            attach_copy(opened, TO_CLIENT)
            opened.bind((self.item.link, frames.IP))
        except OSError:
            self._shut()
            raise
        try:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.item.link.encode())
            attach(held, DROP_ALL)
            held.bind(("", frames.CLIENT_PORT))
        except OSError:  # the container itself listens there, and then it is not closed
            self._sockets.remove(held)
            held.close()
        self._loop.watch(opened.fileno(), READ, self._receive)
        return opened

    def _shut(self) -> None:
        for opened in (*self._sockets, self._arp):
            if opened is not None:
                self._loop.forget(opened.fileno())
                opened.close()
        self._sockets.clear()
        self._arp = None

    def close(self) -> None:
        """Let go of everything but the lease."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._shut()
        os.close(self._namespace)


def mtu_of(opened: socket.socket, link: str) -> int:
    """The MTU of a link in the namespace that a socket is of. OSError."""
    answer = fcntl.ioctl(opened, SIOCGIFMTU, struct.pack("16si12x", link.encode(), 0))
    return int(struct.unpack("16si12x", answer)[1])
