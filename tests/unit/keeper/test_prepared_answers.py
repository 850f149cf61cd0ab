"""Kept answers of others over a real socket, the clock in hand: what is prepared says what the cache would say, and yields to what is new."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from sanbashi.keeper.asking import Asking
from sanbashi.keeper.hostservers import HostServers
from sanbashi.keeper.loop import Loop
from sanbashi.keeper.serving import Answering, Served
from sanbashi.network.picture import Names, Resolver
from sanbashi.resolver import wire
from sanbashi.resolver.forhost import SUFFIX

ABROAD, HERE, SERVER = ip_address("192.0.2.7"), ip_address("10.0.0.2"), "192.0.2.53"
SOA = wire.record(wire.SOA, 9, b"\0\0" + struct.pack(">5I", 1, 2, 3, 4, 60))


def question(name: str, edns: int = 0, identity: int = 1) -> bytes:
    extra = struct.pack(">BHHIH", 0, wire.OPT, edns, 0, 0) if edns else b""
    labels = wire.encode_name(name)
    assert labels
    return struct.pack(">6H", identity, 0x0100, 1, 0, 0, bool(edns)) + labels + struct.pack(">HH", wire.A, 1) + extra


class Town:
    """One sandbox's resolver, its question and answer in one step; `at` is the clock."""

    def __init__(self, tmp_path: Path) -> None:
        self.at = 1000.0
        self.loop = Loop()
        self.loop.now = lambda: self.at  # type: ignore[method-assign, assignment]
        self.file = tmp_path / "resolv.conf"
        self.file.write_text(f"nameserver {SERVER}\n")
        self.asking = Asking(self.loop, lambda line: None)
        self.answering = Answering(self.loop, self.asking, HostServers(self.asking, self.file))
        self.served = self.sandbox("a")
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.settimeout(30)

    def sandbox(self, name: str, **fields: tuple[str, ...]) -> Served:
        udp, tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
        for listener in (udp, tcp):
            listener.bind(("127.0.0.1", 0))
        tcp.listen()
        self.place = udp.getsockname()
        return Served(self.answering, Resolver(name, ("n1",), **fields), udp, tcp, None)  # type: ignore[arg-type]

    def keep(self, name: str, *records: bytes, key: str = HostServers.KEY, rcode: int = 0, authority: bytes = b"") -> None:
        """As if a server had said so now."""
        self.answering.host.group()
        data = question(name)
        counts = struct.pack(">5H", 0x8180 | rcode, 1, len(records), bool(authority), 0)
        self.asking.cache.put(key, wire.read_question(data), data[:2] + counts + data[12:] + b"".join(records) + authority, self.at)

    def ask(self, data: bytes) -> bytes:
        self.client.sendto(data, self.place)
        self.loop.turn(5)
        return self.client.recv(65535)

    def seen(self, name: str) -> tuple[int, list[tuple[int, str]]]:
        """Code, and (TTL, address) of each answer."""
        data = question(name, identity=int(self.at) & 0xFFFF)
        reply = self.ask(data)
        assert reply[:2] == data[:2]
        answers = wire.counts(reply)[2]
        found = wire.records(reply, len(data), answers)
        return reply[3] & 15, [(entry[3], str(ip_address(reply[entry[5] : entry[5] + 4]))) for entry in found]

    def asks_abroad(self, name: str) -> bool:
        """Whether a question goes to a server: it waits there, or was refused for want of a way."""
        self.client.sendto(question(name), self.place)
        self.loop.turn(5)
        waits = len(self.asking) == 1
        self.asking.leave(self.served.item.sandbox)
        self.client.setblocking(False)
        try:
            return waits or self.client.recv(512)[3] & 15 == wire.SERVFAIL
        except BlockingIOError:
            return waits
        finally:
            self.client.settimeout(30)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path)
    yield town
    town.client.close()
    town.served.close()


def address(ttl: int, packed: bytes = ABROAD.packed) -> bytes:
    return wire.record(wire.A, ttl, packed)


def test_ttls_count_down_and_end(town: Town) -> None:
    town.keep("www.abroad.example", address(3), address(5))
    for passed, left in ((0.0, 3), (0.0, 3), (0.9, 3), (0.999, 3), (1.0, 2), (1.5, 2), (1.999, 2), (2.0, 1), (2.999, 1)):
        town.at = 1000.0 + passed
        assert town.seen("www.abroad.example") == (0, [(left, str(ABROAD)), (left + 2, str(ABROAD))])
        assert len(town.answering.prepared) == 1
    town.at = 1003.0
    assert town.asks_abroad("www.abroad.example")


def test_a_reply_that_is_prepared_needs_no_cache(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.keep("www.abroad.example", address(30))
    before = town.seen("www.abroad.example")

    def refuse(*_: object) -> None:
        raise AssertionError("not prepared")

    monkeypatch.setattr(town.asking, "kept", refuse)
    assert town.seen("www.abroad.example") == before


def test_a_no_is_prepared_as_well(town: Town) -> None:
    town.keep("nosuch.example", rcode=wire.NXDOMAIN, authority=SOA)
    for passed in (0.0, 0.5, 8.9):
        town.at = 1000.0 + passed
        assert town.seen("nosuch.example") == (wire.NXDOMAIN, [])
        assert len(town.answering.prepared) == 1
    town.at = 1009.0
    assert town.asks_abroad("nosuch.example")


def test_each_size_gets_its_own(town: Town) -> None:
    town.keep("many.example", *[address(30)] * 60)
    for _ in range(2):
        small, large = town.ask(question("many.example")), town.ask(question("many.example", edns=4096))
        assert (len(small) <= 512, small[2] & 2, wire.counts(small)[2]) == (True, 2, 0)
        assert (large[2] & 2, wire.counts(large)[2]) == (0, 60)


def test_a_name_of_ours_wins_at_once(town: Town) -> None:
    town.keep("db", address(600))
    for _ in range(2):
        assert town.seen("db") == (0, [(600, str(ABROAD))])
    town.answering.directory.add(Names("n1", "e1", ("db",), (HERE,)))
    town.answering.changed("n1")
    assert town.seen("db") == (0, [(1, str(HERE))])
    town.answering.directory.remove(Names("n1", "e1", ("db",), (HERE,)))
    town.answering.changed("n1")
    assert town.seen("db") == (0, [(600, str(ABROAD))])


def test_what_is_meant_for_the_host_is_not_told_once_the_host_asks_us(town: Town) -> None:
    name = f"db.{SUFFIX}"
    town.keep(name, address(600))
    for told in (False, True, False):
        town.answering.tell_host(told)
        for _ in range(2):
            assert town.seen(name) == ((wire.NXDOMAIN, []) if told else (0, [(600, str(ABROAD))]))


def test_other_servers_of_the_host_are_seen_as_soon_as_without(town: Town) -> None:
    town.keep("www.abroad.example", address(600))
    town.at = 1000.9
    assert town.seen("www.abroad.example") == (0, [(600, str(ABROAD))])
    town.file.write_text("nameserver 192.0.2.54\n# another\n")
    town.at = 1000.99
    assert town.seen("www.abroad.example") == (0, [(600, str(ABROAD))])
    town.at = 1001.0
    assert town.asks_abroad("www.abroad.example")


def test_another_resolver_begins_anew(town: Town) -> None:
    town.keep("www.abroad.example", address(600))
    for item in (Resolver("a", ("n1",), upstreams=(SERVER,)), Resolver("a", ("n1",), forward=False), Resolver("a", ("n1",))):
        assert town.seen("www.abroad.example") == (0, [(600, str(ABROAD))])
        town.served.change(item, None)
        assert len(town.answering.prepared) == 0
        if item.upstreams:
            assert town.asks_abroad("www.abroad.example")
            town.keep("www.abroad.example", address(600), key=item.sandbox)
        elif not item.forward:
            assert town.seen("www.abroad.example") == (wire.SERVFAIL, [])
            town.served.change(Resolver("a", ("n1",)), None)
    town.served.close()
    assert len(town.answering.prepared) == 0
    town.served = town.sandbox("a")


def test_what_one_sandbox_was_told_is_not_anothers(town: Town) -> None:
    town.keep("www.abroad.example", address(600))
    assert town.seen("www.abroad.example") == (0, [(600, str(ABROAD))])
    other = town.sandbox("b", upstreams=("192.0.2.99",))
    try:
        town.keep("www.abroad.example", address(60, HERE.packed), key="b")
        for _ in range(2):
            assert town.seen("www.abroad.example") == (0, [(60, str(HERE))])
    finally:
        other.close()
