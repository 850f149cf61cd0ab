"""Answers of other servers, kept as long as their TTLs allow (RFC 2181, negative ones RFC 2308); the clock is an argument."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from ..records import dataclass
from . import wire

CAPACITY = 2048  # answers; about 200 bytes each
LONGEST = 3600  # seconds; an answer is asked anew at least so often
LONGEST_NEGATIVE = 300


@dataclass(frozen=True, slots=True)
class Kept:
    """A reply from its flags on, without OPT; `ttls`: where its TTL fields are, counted from the start of the message."""

    tail: bytes
    ttls: tuple[int, ...]
    since: float
    until: float
    section: int  # offset behind the question


class Aged(NamedTuple):
    """A whole reply, and until when it says the truth: then a TTL is one less, or the answer is over."""

    reply: bytes
    until: float


class Cache:
    """Kept answers by (who was asked, question); the oldest go when it is full."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._kept: dict[tuple[Hashable, tuple[object, ...]], Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, asked: Hashable, data: bytes, question: wire.Question, now: float, *, size: int) -> Aged | None:
        """The reply to the message `data`, TTLs less by its age, cut to `size`; None where nothing fresh is kept."""
        key = (asked, identity(question))
        kept = self._kept.get(key)
        if kept is None:
            return None
        if now >= kept.until:
            del self._kept[key]
            return None
        age = int(now - kept.since)
        reply = bytearray(data[:2] + kept.tail)
        for offset in kept.ttls:
            ttl = max(0, int.from_bytes(reply[offset : offset + 4], "big") - age)
            reply[offset : offset + 4] = ttl.to_bytes(4, "big")
        reply[wire.HEADER : kept.section] = data[wire.HEADER : question.end]  # the client's own upper and lower case
        reply[2] = (reply[2] & 0xFE) | (data[2] & 0x01)  # RD
        extra = b""
        if question.edns:
            extra = b"\0" + wire.RECORD.pack(wire.OPT, wire.OWN_SIZE, wire.DO if question.dnssec else 0, 0)
            additional = int.from_bytes(reply[10:12], "big") + 1
            reply[10:12] = additional.to_bytes(2, "big")
        return Aged(fit(bytes(reply + extra), question, size), min(kept.until, kept.since + age + 1))

    def put(self, asked: Hashable, question: wire.Question, reply: bytes, now: float) -> None:
        """Keep a server's reply if it may be kept at all: whole, NOERROR or NXDOMAIN, with a TTL."""
        if len(self._kept) >= self._capacity:
            del self._kept[next(iter(self._kept))]
        if (kept := keepable(reply, question, now)) is not None:
            self._kept[(asked, identity(question))] = kept

    def forget(self, asked: Hashable) -> None:
        """Drop what one group of servers said, because the group changed."""
        for key in [key for key in self._kept if key[0] == asked]:
            del self._kept[key]


def identity(question: wire.Question) -> tuple[object, ...]:
    """What makes two questions one."""
    return (question.name, question.type, question.klass, question.dnssec, question.checking_disabled)


def keepable(reply: bytes, question: wire.Question, now: float) -> Kept | None:
    """The reply as it may be kept, None where it may not."""
    flags, questions, answers, authorities, additional = wire.counts(reply)
    rcode = flags & 15
    if flags & wire.TC or rcode not in (wire.NOERROR, wire.NXDOMAIN) or questions != 1:
        return None
    try:
        found = wire.records(reply, question.end, answers + authorities + additional)
    except ValueError:
        return None
    end = len(reply)
    options = [entry for entry in found if entry[1] == wire.OPT]
    if options:
        # Only a last OPT can be cut off without moving what compressed names point at.
        if options != found[-1:] or found[-1][4] + found[-1][5] != end:
            return None
        end = options[0][0]
        found = found[:-1]
        if options[0][3] >> 24:  # extended rcode
            return None
    life = lifetime(reply, found, answers, authorities, rcode)
    if life <= 0:
        return None
    counted = reply[2:10] + (additional - len(options)).to_bytes(2, "big")
    return Kept(counted + reply[wire.HEADER : end], tuple(entry[5] - 6 for entry in found), now, now + life, question.end)


def lifetime(reply: bytes, found: list[tuple[int, int, int, int, int, int]], answers: int, authorities: int, rcode: int) -> int:
    """Seconds that a reply may be kept: the least TTL of its answers, or for a negative one what the zone's SOA says; 0 is not at all."""
    positive = [signed(entry[3]) for entry in found[:answers]]
    if rcode == wire.NOERROR and positive:
        return min(*positive, LONGEST)
    for entry in found[answers : answers + authorities]:
        if entry[1] == wire.SOA and entry[4] >= 20:
            minimum = int.from_bytes(reply[entry[5] + entry[4] - 4 : entry[5] + entry[4]], "big")
            return min(signed(entry[3]), signed(minimum), LONGEST_NEGATIVE, *positive)
    return 0


def signed(ttl: int) -> int:
    """A TTL with the highest bit set means 0 (RFC 2181, section 8)."""
    return 0 if ttl & 0x80000000 else ttl


def fit(reply: bytes, question: wire.Question, size: int) -> bytes:
    """The reply, or an empty one with TC where it measures more than `size`."""
    if len(reply) <= size:
        return reply
    return reply[:2] + bytes((reply[2] | wire.TC >> 8, reply[3])) + b"\0\1\0\0\0\0\0\0" + reply[wire.HEADER : question.end]
