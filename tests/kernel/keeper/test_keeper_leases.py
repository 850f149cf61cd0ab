"""A lease's client on a real wire whose link goes down in the middle of it; the clock is ours, and so is the server."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from tests.dhcpserver import options_of, reply

from sanbashi.dhcp.client import PROBE_WAIT, RELUCTANT
from sanbashi.keeper import leases, namespaces
from sanbashi.keeper.leases import Leases
from sanbashi.keeper.loop import Loop
from sanbashi.network.picture import Leasing

pytestmark = pytest.mark.root
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
EVERYTHING, IP, ARP, FILLER = 3, b"\x08\x00", b"\x08\x06", b"\x88\xb5"  # linux/if_ether.h
OURS, SERVER, GIVEN = b"\2\0\0\0\0\1", "10.7.0.1", "10.7.0.50"
OFFER, ACK = 2, 5


def ip(line: str) -> None:
    subprocess.run(["ip", *line.split()], check=True)


class Lan:
    """A veth pair: box0 is the client's, lan0 the server's; `now` is the client's clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ip("link add lan0 address 02:00:00:00:00:01 type veth peer name box0")
        ip("link set lan0 up")
        ip("link set box0 up")
        self.now = 0.0
        self.loop = Loop()
        self.loop.now = lambda: self.now  # type: ignore[method-assign, assignment]
        monkeypatch.setattr(leases, "clock", lambda: self.now)
        # Where the keeper comes home to is found once in a process, and ours has been, or will be, elsewhere.
        self.home: list[int] = []
        monkeypatch.setattr(namespaces, "_home", self.home)
        self.lines: list[str] = []
        self.leases = Leases(self.loop, self.lines.append)
        self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(EVERYTHING))
        self.wire.bind(("lan0", EVERYTHING))

    def until(self, wanted: Callable[[bytes], bool], meanwhile: Callable[[], object] = lambda: None) -> bytes:
        """The next frame on the wire that is so."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            meanwhile()
            self.loop.turn(0.01)
            while True:
                try:
                    data, sender = self.wire.recvfrom(2048)
                except BlockingIOError:
                    break
                if sender[2] != socket.PACKET_OUTGOING and wanted(data):
                    return data
        raise AssertionError(f"nothing of the kind came: {self.lines}")

    def until_said(self, kind: int) -> bytes:
        """The next DHCP message of a kind."""
        return self.until(lambda data: data[12:14] == IP and data[36:38] == b"\0\x43" and options_of(data[42:])[53][0] == kind)[42:]

    def until_it_flows(self) -> None:
        """A link that has just come up loses what is sent for a moment."""
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as filler:
            filler.bind(("box0", 0))
            self.until(lambda data: data[12:14] == FILLER, lambda: filler.send(b"\xff" * 6 + OURS + FILLER + bytes(46)))

    def say(self, asked: bytes, kind: int) -> None:
        times = {51: struct.pack("!I", 600), 54: socket.inet_aton(SERVER), 1: socket.inet_aton("255.255.255.0")}
        payload = reply(asked, kind, GIVEN, times)
        udp = struct.pack("!HHHH", 67, 68, 8 + len(payload), 0) + payload
        addresses = socket.inet_aton(SERVER) + b"\xff" * 4
        self.wire.send(b"\xff" * 6 + OURS + IP + struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + addresses + udp)

    def have(self, probe: bytes) -> None:
        """Somebody answers a question for an address."""
        self.wire.send(probe[6:12] + OURS + probe[12:20] + b"\0\2" + OURS + probe[38:42] + probe[22:28] + bytes(4))

    def close(self) -> None:
        self.leases.close()
        self.wire.close()
        for descriptor in self.home:
            os.close(descriptor)


@pytest.fixture
def lan(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lan]:
    if os.geteuid():
        pytest.skip("needs root")
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    assert LIBC.unshare(CLONE_NEWNET) == 0
    try:
        made = Lan(monkeypatch)
        yield made
        made.close()
    finally:
        assert LIBC.setns(home, CLONE_NEWNET) == 0
        os.close(home)


def test_a_link_that_goes_down_between_two_probes(lan: Lan) -> None:
    """Every socket is lost with it; what asks for the address anew is none to hear a server by."""
    lan.until_it_flows()
    lan.leases.add(Leasing("box", "e1", "box0", "01020000000002"), os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
    lan.say(lan.until_said(1), OFFER)
    lan.say(lan.until_said(3), ACK)
    lan.until(lambda data: data[12:14] == ARP)
    ip("link set box0 down")
    lan.loop.turn(0)
    lan.loop.turn(0)
    ip("link set box0 up")
    lan.until_it_flows()
    lan.now += PROBE_WAIT
    lan.have(lan.until(lambda data: data[12:14] == ARP))
    lan.until_said(4)
    lan.now += RELUCTANT
    lan.say(lan.until_said(1), OFFER)
    asked = options_of(lan.until_said(3))
    assert socket.inet_ntoa(asked[50]) == GIVEN
