"""Answers of others: aged, cut to the client, and forgotten in time."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.resolver import wire
from sanbashi.resolver.cache import LONGEST, LONGEST_NEGATIVE, Cache, keepable

Query = Callable[..., bytes]
Shown = Callable[[bytes], str]
SOA = b"\0\0" + struct.pack(">5I", 1, 2, 3, 4, 60)


def reply_to(data: bytes, *records: bytes, rcode: int = 0, authority: tuple[bytes, ...] = (), opt: bool = False, flags: int = 0x8180) -> bytes:
    end = wire.read_question(data).end
    extra = struct.pack(">BHHIH", 0, 41, 8192, 0, 0) if opt else b""
    counts = struct.pack(">5H", flags | rcode, 1, len(records), len(authority), int(opt))
    return data[:2] + counts + data[12:end] + b"".join((*records, *authority)) + extra


def address(ttl: int) -> bytes:
    return wire.record(wire.A, ttl, b"\1\2\3\4")


def test_ttl_runs_down(query: Query, shown: Shown) -> None:
    cache = Cache()
    data = query("example.com", edns=1232)
    question = wire.read_question(data)
    cache.put("host", question, reply_to(data, address(30), opt=True), 100.0)
    other = query("EXAMPLE.com", identity=5)
    kept = cache.get("host", other, wire.read_question(other), 110.5, size=512)
    assert kept is not None
    assert kept.reply[:2] == other[:2]
    assert (shown(kept.reply), kept.until) == ("NOERROR qr rd ra; EXAMPLE.com. 20 A 1.2.3.4", 111.0)
    kept = cache.get("host", data, question, 129.0, size=512)
    assert kept is not None
    assert (shown(kept.reply), kept.until) == ("NOERROR qr rd ra; example.com. 1 A 1.2.3.4; EDNS udp 1232", 130.0)
    assert cache.get("elsewhere", data, question, 110.0, size=512) is None
    assert cache.get("host", data, question, 130.0, size=512) is None
    assert len(cache) == 0


@pytest.mark.parametrize(
    ("records", "authority", "rcode", "lives"),
    [
        ((address(30), address(10)), (), 0, 10),
        ((address(10**6),), (), 0, LONGEST),
        ((address(0),), (), 0, 0),
        ((address(2**31 + 5),), (), 0, 0),
        ((), (wire.record(wire.SOA, 1000, SOA),), 3, 60),
        ((), (wire.record(wire.SOA, 20, SOA),), 0, 20),
        ((), (wire.record(wire.SOA, 10**6, SOA[:-4] + b"\0\xff\xff\xff"),), 3, LONGEST_NEGATIVE),
        ((), (), 3, 0),
        ((address(30),), (), 2, 0),
    ],
)
def test_how_long(query: Query, records: tuple[bytes, ...], authority: tuple[bytes, ...], rcode: int, lives: int) -> None:
    data = query("example.com")
    kept = keepable(reply_to(data, *records, authority=authority, rcode=rcode), wire.read_question(data), 0.0)
    assert (kept.until if kept else 0) == lives


def test_cut_answers_are_not_kept(query: Query) -> None:
    data = query("example.com")
    assert keepable(reply_to(data, address(30), flags=0x8380), wire.read_question(data), 0.0) is None


def test_too_long_for_this_client(query: Query, shown: Shown) -> None:
    cache = Cache()
    data = query("example.com", edns=4096)
    cache.put("host", wire.read_question(data), reply_to(data, *[address(30)] * 60), 0.0)
    small = query("example.com")
    kept = cache.get("host", small, wire.read_question(small), 1.0, size=512)
    assert kept is not None
    assert shown(kept.reply) == "NOERROR qr tc rd ra"


def test_the_oldest_makes_room(query: Query) -> None:
    cache = Cache(2)
    for name in ("a", "b", "c"):
        data = query(name)
        cache.put("host", wire.read_question(data), reply_to(data, address(30)), 0.0)
    assert len(cache) == 2
    data = query("a")
    assert cache.get("host", data, wire.read_question(data), 1.0, size=512) is None
    cache.forget("host")
    assert len(cache) == 0


@given(st.binary(max_size=150), st.tuples(*[st.integers(0, 3)] * 3))
def test_any_bytes(rest: bytes, counts: tuple[int, int, int]) -> None:
    data = struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + b"\1a\0\0\1\0\1"
    question = wire.read_question(data)
    reply = data[:2] + struct.pack(">5H", 0x8180, 1, *counts) + data[12:] + rest
    cache = Cache()
    cache.put("host", question, reply, 0.0)
    kept = cache.get("host", data, question, 0.5, size=65535)
    assert kept is None or wire.answers_to(kept.reply, data, question.end)
