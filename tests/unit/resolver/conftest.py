"""Questions as bytes and replies as one line, written without the code under test."""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import ip_address

import pytest

TYPES = {"A": 1, "NS": 2, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "HTTPS": 65, "ANY": 255}
NAMES = {number: name for name, number in TYPES.items()}
RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")
FLAGS = ((0x8000, "qr"), (0x0400, "aa"), (0x0200, "tc"), (0x0100, "rd"), (0x0080, "ra"), (0x0020, "ad"), (0x0010, "cd"))


def name_bytes(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def build(name: str, kind: str = "A", *, edns: int = 0, options: bytes = b"", flags: int = 0x0100, identity: int = 0xBEEF, klass: int = 1) -> bytes:
    extra = b"\0" + struct.pack(">HHIH", 41, edns, 0, len(options)) + options if edns else b""
    return struct.pack(">6H", identity, flags, 1, 0, 0, 1 if edns else 0) + name_bytes(name) + struct.pack(">HH", TYPES[kind], klass) + extra


def read_name(data: bytes, offset: int) -> tuple[str, int]:
    labels = []
    after = 0
    while data[offset]:
        if data[offset] >= 0xC0:
            after = after or offset + 2
            offset = int.from_bytes(data[offset : offset + 2], "big") & 0x3FFF
            continue
        labels.append(data[offset + 1 : offset + 1 + data[offset]].decode())
        offset += 1 + data[offset]
    return ".".join(labels) + ".", after or offset + 1


def show(data: bytes) -> str:
    """As dig prints it, on one line: status, flags, records."""
    _, flags, questions, *counts = struct.unpack(">6H", data[:12])
    offset = 12
    parts = [f"{RCODES[flags & 15]} {' '.join(name for bit, name in FLAGS if flags & bit)}"]
    for _ in range(questions):
        _, offset = read_name(data, offset)
        offset += 4
    for _ in range(sum(counts)):
        owner, offset = read_name(data, offset)
        kind, _klass, ttl, length = struct.unpack_from(">HHIH", data, offset)
        offset += 10
        value = data[offset : offset + length]
        offset += length
        if kind == 41:
            parts.append(f"EDNS udp {_klass}")
        elif kind in (1, 28):
            parts.append(f"{owner} {ttl} {NAMES[kind]} {ip_address(value)}")
        elif kind == 12:
            parts.append(f"{owner} {ttl} PTR {read_name(data, offset - length)[0]}")
        else:
            parts.append(f"{owner} {ttl} {NAMES.get(kind, kind)}")
    assert offset == len(data)
    return "; ".join(parts)


@pytest.fixture
def query() -> Callable[..., bytes]:
    return build


@pytest.fixture
def shown() -> Callable[[bytes], str]:
    return show
