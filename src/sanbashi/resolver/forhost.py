"""What the host itself is told: names of containers on all networks, under one suffix, and nothing else.

Everything ends with SUFFIX, bare names included (`web01` is completed by a search domain): so a name says by itself whom to ask, which is what
systemd-resolved and dnsmasq route by, and containers can be kept from what is meant for the host. What is not ours is REFUSED and never
asked of anybody: the host's own servers are in front of us or beside us, and to ask them for it could come back to us. A client with several
servers goes on to the next.
"""

from __future__ import annotations

import struct

from . import wire
from .answer import FAMILIES, NAME_TTL, Shuffle, reverse_address
from .names import Directory

SUFFIX = "sanbashi.internal"  # .internal is kept out of the public tree for private use (ICANN board, 29 July 2024)
SUFFIX_LENGTH = len(SUFFIX) + 2  # bytes in wire form, the root label included


def is_for_host(question: wire.Question, directory: Directory) -> bool:
    """Whether the host's listener would answer: containers, whose own views say what they see, are not told by way of the host's servers."""
    if question.type == wire.PTR and (address := reverse_address(question.name)) is not None:
        return directory.anywhere_name_of(address) is not None
    # A dot inside a label, written "\\.", is no border: such a name ends otherwise.
    return question.name == SUFFIX or (question.name.endswith(f".{SUFFIX}") and not question.name.endswith(f"\\.{SUFFIX}"))


def answer_host(data: bytes, question: wire.Question, directory: Directory, *, size: int, shuffle: Shuffle) -> bytes:
    """The tail of the reply to a question of the host.

    With OPT where the question has one (RFC 6891): without it systemd-resolved takes us for a server that is too old for it.
    """
    if not question.edns:
        return find(data, question, directory, size, shuffle)
    options = b"\0" + wire.RECORD.pack(wire.OPT, wire.OWN_SIZE, wire.DO if question.dnssec else 0, 0)
    tail = find(data, question, directory, size - len(options), shuffle)
    return tail[:8] + struct.pack(">H", 1) + tail[10:] + options


def find(data: bytes, question: wire.Question, directory: Directory, size: int, shuffle: Shuffle) -> bytes:
    """The same without OPT."""
    if question.klass != wire.IN or not is_for_host(question, directory):
        return wire.tail(data, question.end, [], rcode=wire.REFUSED)
    if question.type == wire.PTR and (address := reverse_address(question.name)) is not None:
        target = wire.encode_name(f"{directory.anywhere_name_of(address)}.{SUFFIX}")
        records = [wire.record(wire.PTR, NAME_TTL, target)] if target else []
        return wire.tail(data, question.end, records, size=size)
    if question.name == SUFFIX:
        return wire.tail(data, question.end, [authority(question)]) if question.type == wire.SOA else nothing(data, question)
    name = question.name.removesuffix(f".{SUFFIX}")
    addresses = directory.find_anywhere(name)
    found = [address for address in addresses if len(address) == FAMILIES.get(question.type)]
    if found:
        shuffle(found)
        return wire.tail(data, question.end, [wire.record(question.type, NAME_TTL, a) for a in found], size=size)
    return nothing(data, question, exists=bool(addresses) or directory.is_zone(name))


def nothing(data: bytes, question: wire.Question, *, exists: bool = True) -> bytes:
    """A negative answer, with the SOA from which a cache takes how long it may be kept (RFC 2308)."""
    tail = wire.tail(data, question.end, [], rcode=wire.NOERROR if exists else wire.NXDOMAIN)
    return tail[:6] + struct.pack(">H", 1) + tail[8:] + authority(question)


def authority(question: wire.Question) -> bytes:
    """The SOA record of SUFFIX, which the name in question ends with."""
    owner = struct.pack(">H", 0xC000 | question.end - 4 - SUFFIX_LENGTH)
    fields = struct.pack(">5I", 1, 3600, 600, 86400, NAME_TTL)  # serial, refresh, retry, expire, minimum
    return owner + wire.RECORD.pack(wire.SOA, wire.IN, NAME_TTL, 4 + len(fields)) + owner + owner + fields
