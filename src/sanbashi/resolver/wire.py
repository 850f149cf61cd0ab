"""DNS messages as bytes: what a question says, and replies made from it (RFC 1035, RFC 6891).

A *tail* is a reply without its first two bytes, the id: the same tail answers the same question of anybody, whatever the id.
"""

from __future__ import annotations

import struct

from ..records import dataclass

A, PTR, MX, TXT, AAAA, OPT, SOA = 1, 12, 15, 16, 28, 41, 6
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
QR, TC, RD, RA, AD, CD = 0x8000, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
DO = 0x8000  # in the TTL field of OPT
HEADER = 12
SMALLEST = 512  # what every client takes over UDP, RFC 1035 2.3.4
LARGEST = 65535
MAX_NAME = 255
OWN_SIZE = 1232  # the UDP size that we announce ourselves, DNS flag day 2020

counts = struct.Struct(">2xHHHHH").unpack_from  # of a whole message: flags, questions, answers, authorities, additional
_pair = struct.Struct(">HH").unpack_from
RECORD = struct.Struct(">HHIH")  # type, class, TTL, length of data
NAMES_IN = {
    2: (0, 1),
    5: (0, 1),
    SOA: (0, 2),
    PTR: (0, 1),
    MX: (2, 1),
    33: (6, 1),
    39: (0, 1),
}  # type -> bytes before the names in its data, and how many


class Unanswerable(Exception):
    """The bytes hold no question that we answer; `rcode` None means that not even a refusal is sent."""

    def __init__(self, rcode: int | None) -> None:
        super().__init__(rcode)
        self.rcode = rcode


@dataclass(frozen=True, slots=True)
class Question:
    """The one question of a message. `name` is lower case, without the last dot, a dot inside a label written "\\.".

    `end`: offset behind the question section. `size`: how long a UDP reply may be. `plain`: nothing in the message belongs to one client alone
    (no EDNS options, no signature), so that its bytes may be the key of a kept answer.
    """

    name: str
    type: int
    klass: int
    end: int
    size: int = SMALLEST
    edns: bool = False
    dnssec: bool = False
    checking_disabled: bool = False
    plain: bool = True


def read_question(data: bytes) -> Question:
    """The question in a message from a client; Unanswerable where there is none."""
    if len(data) < HEADER:
        raise Unanswerable(None)
    flags, questions, answers, authorities, additional = counts(data)
    if flags & QR:
        raise Unanswerable(None)  # an answer to an answer would go on for ever
    if flags & 0x7800:
        raise Unanswerable(NOTIMP)
    if questions != 1:
        raise Unanswerable(FORMERR)
    labels, offset = read_labels(data, HEADER)
    if offset + 4 > len(data):
        raise Unanswerable(FORMERR)
    kind, klass = _pair(data, offset)
    end = offset + 4
    name = dotted(labels)
    disabled = bool(flags & CD)
    if not (answers or authorities or additional):
        return Question(name, kind, klass, end, checking_disabled=disabled)
    size, edns, dnssec, plain = SMALLEST, False, False, True
    try:
        for start, record_type, record_class, ttl, length, _ in records(data, end, answers + authorities + additional):
            if record_type == OPT and not edns and data[start] == 0:
                edns, dnssec = True, bool(ttl & DO)
                size = max(SMALLEST, record_class)
                plain = plain and length == 0
            else:
                plain = False
    except ValueError:
        raise Unanswerable(FORMERR) from None
    return Question(name, kind, klass, end, size, edns, dnssec, disabled, plain)


def read_labels(data: bytes, offset: int) -> tuple[list[bytes], int]:
    """The labels of an uncompressed name and the offset behind it; Unanswerable(FORMERR) for anything else."""
    labels: list[bytes] = []
    limit = min(len(data), offset + MAX_NAME)
    while offset < limit:
        length = data[offset]
        offset += 1
        if length == 0:
            return labels, offset
        if length > 63 or offset + length > limit:
            break
        labels.append(data[offset : offset + length])
        offset += length
    raise Unanswerable(FORMERR)


def dotted(labels: list[bytes]) -> str:
    """Labels as one lower-case name; every byte has a character (Latin-1)."""
    return ".".join(label.decode("latin-1").replace(".", "\\.") for label in labels).translate(_LOWER)


# Only ASCII letters have case in DNS (RFC 4343); str.lower() would fold others too.
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def lower(name: str) -> str:
    """A name as it is compared."""
    return name.rstrip(".").translate(_LOWER)


def encode_name(name: str) -> bytes | None:
    """A dotted name in wire form; None where DNS cannot express it (an empty label, one over 63 bytes, more than 255 in all)."""
    parts = [label.encode("utf-8") for label in name.rstrip(".").split(".")]
    if any(not 0 < len(part) < 64 for part in parts):
        return None
    wire = b"".join(bytes((len(part),)) + part for part in parts) + b"\0"
    return wire if len(wire) <= MAX_NAME else None


def records(data: bytes, offset: int, count: int) -> list[tuple[int, int, int, int, int, int]]:
    """`count` resource records from `offset`: (start, type, class, TTL, data length, data offset) each; ValueError where they are not all there."""
    found = []
    for _ in range(count):
        start = offset
        offset = behind_name(data, offset)
        if offset + RECORD.size > len(data):
            raise ValueError("a record is cut short")
        kind, klass, ttl, length = RECORD.unpack_from(data, offset)
        offset += RECORD.size
        if offset + length > len(data):
            raise ValueError("a record's data are cut short")
        found.append((start, kind, klass, ttl, length, offset))
        offset += length
    return found


def behind_name(data: bytes, offset: int) -> int:
    """The offset behind a name, compressed or not; ValueError where it runs out of the message, or a pointer leads anywhere but back."""
    if data[offset : offset + 2] == b"\xc0\x0c":  # as nearly all are: the name in question, which has been read
        return offset + 2
    behind, begun = 0, offset
    while offset < len(data):
        length = data[offset]
        if length == 0:
            return behind or offset + 1
        if length >= 0xC0:
            behind = behind or offset + 2
            target = int.from_bytes(data[offset : offset + 2], "big") & 0x3FFF
            if target >= begun:
                break  # pointers that lead only back cannot lead round
            offset = begun = target
        elif length > 63:
            break
        else:
            offset += 1 + length
    raise ValueError("a name runs out of the message")


def record(kind: int, ttl: int, data: bytes) -> bytes:
    """A resource record whose owner is the name in question."""
    return b"\xc0\x0c" + RECORD.pack(kind, IN, ttl, len(data)) + data


def tail(question: bytes, end: int, answers: list[bytes], *, rcode: int = NOERROR, size: int = LARGEST) -> bytes:
    """The reply to `question` (whose question section ends at `end`), without the id; answers that do not fit in `size` are left out with TC set.

    Flags as Docker's resolver sets them: no AA, RA always, RD and CD as in the question; and no OPT record, even where the question has one.
    """
    flags = QR | RA | rcode | (int.from_bytes(question[2:4], "big") & (RD | CD))
    room = size - end
    fitting = answers
    if sum(map(len, answers)) > room:
        flags |= TC
        fitting = []
        for answer in answers:
            room -= len(answer)
            if room < 0:
                break
            fitting.append(answer)
    return struct.pack(">HHHHH", flags, 1, len(fitting), 0, 0) + question[HEADER:end] + b"".join(fitting)


def refusal(data: bytes, rcode: int, end: int = 0) -> bytes:
    """A whole reply that only says no; with the question where `end` says that it could be read."""
    if end:
        return data[:2] + tail(data, end, [], rcode=rcode)
    flags = QR | RA | rcode | (int.from_bytes(data[2:4], "big") & (0x7800 | RD))
    return data[:2] + struct.pack(">HHHHH", flags, 0, 0, 0, 0)


def tells(reply: bytes) -> bool:
    """Whether a reply says what there is or that there is nothing, and not that the server cannot or will not tell."""
    return reply[3] & 15 in (NOERROR, NXDOMAIN)


def legible(reply: bytes, end: int) -> bytes | None:
    """A reply whose question section ends at `end`, if its records can be read; one that is cut without them where not; else None."""
    flags, _, answers, authorities, additional = counts(reply)
    try:
        for _, kind, _, _, length, offset in records(reply, end, answers + authorities + additional):
            if kind in NAMES_IN:
                before, names = NAMES_IN[kind]
                behind = offset + before
                for _ in range(names):
                    behind = behind_name(reply, behind)
                if behind > offset + length:
                    raise ValueError("a name runs out of its record")
    except ValueError:
        return reply[:6] + bytes(6) + reply[HEADER:end] if flags & TC else None
    return reply


def answers_to(reply: bytes, query: bytes, end: int) -> bool:
    """Whether `reply` answers `query`: same id, same question; a server that could not read the question may leave it out."""
    if len(reply) < HEADER or reply[:2] != query[:2] or not reply[2] & 0x80:
        return False
    if reply[4:6] == b"\0\0":
        return reply[3] & 15 in (FORMERR, SERVFAIL, NOTIMP, REFUSED)
    name, kind = slice(HEADER, end - 4), slice(end - 4, end)
    return reply[4:6] == b"\0\1" and reply[kind] == query[kind] and reply[name].lower() == query[name].lower()
