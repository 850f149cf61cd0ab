"""Bytes from anybody: a question, a refusal or silence, and never anything else."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.resolver import wire

label = st.text("abcXYZ019-_", min_size=1, max_size=63)
names = st.lists(label, min_size=1, max_size=4).map(".".join).filter(lambda name: len(name) < 250)


def header(flags: int = 0x0100, counts: tuple[int, ...] = (1, 0, 0, 0)) -> bytes:
    return struct.pack(">6H", 7, flags, *counts)


def reads(data: bytes) -> wire.Question | int | None:
    try:
        return wire.read_question(data)
    except wire.Unanswerable as no:
        return no.rcode


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    read = reads(data)
    if isinstance(read, wire.Question):
        assert 12 < read.end <= len(data)
        assert wire.refusal(data, wire.SERVFAIL, read.end)[:2] == data[:2]


@given(names, st.binary(max_size=60), st.integers(0, 3), st.integers(0, 3))
def test_any_bytes_behind_a_good_question(name: str, rest: bytes, answers: int, additional: int) -> None:
    wire_name = wire.encode_name(name)
    assert wire_name is not None
    read = reads(header(counts=(1, answers, 0, additional)) + wire_name + b"\0\1\0\1" + rest)
    assert read == wire.FORMERR or (isinstance(read, wire.Question) and read.name == name.lower())


@given(st.binary(min_size=12, max_size=120), st.integers(0, 12))
def test_records_of_any_bytes(data: bytes, count: int) -> None:
    try:
        found = wire.records(data, 12, count)
    except ValueError:
        return
    assert len(found) == count
    assert all(entry[5] + entry[4] <= len(data) for entry in found)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", None),
        (b"\0" * 11, None),
        (header(0x8100) + b"\1a\0\0\1\0\1", None),  # an answer
        (header(0x2900) + b"\1a\0\0\1\0\1", wire.NOTIMP),  # an update
        (header(counts=(0, 0, 0, 0)), wire.FORMERR),
        (header(counts=(2, 0, 0, 0)) + b"\1a\0\0\1\0\1" * 2, wire.FORMERR),
        (header() + b"\xc0\x0c\0\1\0\1", wire.FORMERR),  # a pointer at itself
        (header() + b"\x3fa", wire.FORMERR),  # a label cut short
        (header() + b"\1a\0\0\1", wire.FORMERR),  # no class
        (header() + b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 3 + b"\0\0\1\0\1", wire.FORMERR),  # 257 bytes
    ],
)
def test_no_question(data: bytes, expected: int | None) -> None:
    assert reads(data) == expected


def test_a_dot_inside_a_label_is_not_a_border() -> None:
    read = wire.read_question(header() + b"\3a.b\0\0\1\0\1")
    assert read.name == "a\\.b"


@pytest.mark.parametrize(
    ("options", "size", "plain"),
    [(struct.pack(">BHHIH", 0, 41, 4096, 0, 0), 4096, True), (struct.pack(">BHHIH", 0, 41, 100, 0, 4) + b"\0\x0a\0\0", 512, False)],
)
def test_edns(options: bytes, size: int, plain: bool) -> None:
    read = wire.read_question(header(counts=(1, 0, 0, 1)) + b"\1a\0\0\1\0\1" + options)
    assert (read.edns, read.size, read.plain) == (True, size, plain)


def test_answers_that_do_not_fit() -> None:
    data = header() + b"\1a\0\0\1\0\1"
    answers = [wire.record(wire.A, 1, bytes([10, 0, 0, i])) for i in range(40)]
    tail = wire.tail(data, len(data), answers, size=512)
    assert len(tail) + 2 <= 512
    assert tail[0] & 0x02  # TC
    assert int.from_bytes(tail[4:6], "big") == (512 - len(data)) // 16
    assert not wire.tail(data, len(data), answers)[0] & 0x02


def test_long_names_cannot_be_encoded() -> None:
    assert wire.encode_name("a" * 64) is None
    assert wire.encode_name("a..b") is None
    assert wire.encode_name(".".join(["a" * 60] * 5)) is None
    assert wire.encode_name("web01.app.") == b"\5web01\3app\0"


def test_replies_are_matched() -> None:
    query = header() + b"\1a\0\0\1\0\1"
    reply = b"\0\7\x81\x80\0\1\0\0\0\0\0\0\1A\0\0\1\0\1"
    assert wire.answers_to(reply, query, len(query))
    assert not wire.answers_to(b"\0\x08" + reply[2:], query, len(query))  # another id
    assert not wire.answers_to(reply[:13] + b"b" + reply[14:], query, len(query))  # another name
    assert not wire.answers_to(reply[:-4] + b"\0\x1c\0\1", query, len(query))  # another type
    assert not wire.answers_to(query, query, len(query))  # our own question
    assert wire.answers_to(b"\0\7\x81\x81\0\0\0\0\0\0\0\0", query, len(query))  # FORMERR without the question
    assert not wire.answers_to(b"\0\7\x81\x80\0\0\0\0\0\0\0\0", query, len(query))  # NOERROR without it


QUESTION = header() + b"\1a\0\0\1\0\1"


def replied(records: bytes, answers: int = 1, flags: int = 0x8180) -> bytes:
    return b"\0\7" + struct.pack(">5H", flags, 1, answers, 0, 0) + QUESTION[12:] + records


@pytest.mark.parametrize(
    "reply",
    [
        replied(b""),  # a record announced and none there
        replied(b"", 65535),
        replied(b"\xc0\x0c" + struct.pack(">HHIH", wire.A, 1, 60, 4) + b"\6\6\6"),  # cut in its data
        replied(b"\xc0\x13" + struct.pack(">HHIH", wire.A, 1, 60, 4) + bytes(4)),  # a name that is a pointer at itself
        replied(b"\xc0\x1f" + struct.pack(">HHIH", wire.A, 1, 60, 4) + b"\xc0\x13\0\0"),  # two that point at each other
        replied(b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 60, 2) + b"\xc0\x1f"),  # an alias for itself, by a pointer at itself
        replied(b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 60, 2) + b"\3ab"),  # an alias that runs out of its record
        replied(b"\xc0\x0c" + struct.pack(">HHIH", wire.MX, 1, 60, 4) + b"\0\1\xc0\x21"),
        replied(b"\xc0\x0c" + struct.pack(">HHIH", wire.MX, 1, 60, 1) + b"\0"),
    ],
)
def test_replies_that_nobody_can_read(reply: bytes) -> None:
    assert wire.answers_to(reply, QUESTION, len(QUESTION))
    assert wire.legible(reply, len(QUESTION)) is None
    cut = reply[:2] + b"\x83" + reply[3:]
    assert wire.legible(cut, len(QUESTION)) == cut[:6] + bytes(6) + QUESTION[12:]  # what is cut may end anywhere: come by TCP


@pytest.mark.parametrize(
    "reply",
    [
        replied(b"", 0),
        replied(b"\xc0\x0c" + struct.pack(">HHIH", wire.A, 1, 60, 4) + bytes(4)),
        replied(
            b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 60, 4) + b"\1b\xc0\x0c" + b"\xc0\x1f" + struct.pack(">HHIH", wire.A, 1, 60, 4) + bytes(4), 2
        ),
        replied(b"\xc0\x0c" + struct.pack(">HHIH", wire.MX, 1, 60, 5) + b"\0\1\1m\0" + b"something behind it"),
        replied(b"\xc0\x0c" + struct.pack(">HHIH", 16, 1, 60, 3) + b"\2hi"),
    ],
)
def test_replies_that_can_be_read_are_left_as_they_are(reply: bytes) -> None:
    assert wire.legible(reply, len(QUESTION)) == reply
    assert wire.legible(reply[:2] + b"\x83" + reply[3:], len(QUESTION)) == reply[:2] + b"\x83" + reply[3:]
