"""Which process holds a port of the host, found by walking /proc; only ever asked when a bind has failed."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from sanbashi.network.model import IPAddress
from sanbashi.network.spelling import bracketed

from .counts import Counts
from .netlink import DUMP, SOCK_DIAG, SOCK_DIAG_BY_FAMILY, Message, Netlink
from .peeking import opened, text

PROC = Path("/proc")
BOUND_INACTIVE = 1 << 13  # TCPF_BOUND_INACTIVE, net/tcp_states.h
ASKED = struct.Struct("=BBBxI HH 16s 16s I 8s")  # struct inet_diag_req_v2
TOLD = struct.Struct("=BBBB HH 16s 16s I 8s IIIII")  # struct inet_diag_msg
LISTEN, UNCONNECTED = "0A", "07"  # states in /proc/net/tcp and udp
WILDCARDS = (IPv4Address("0.0.0.0"), IPv6Address("::"))


def holder(protocol: str, address: IPAddress, port: int) -> str:
    """ "nginx (process 123) on 0.0.0.0:80" for what stands in the way of a bind, "" where /proc does not show it."""
    for version in ("", "6") if address.version == 4 else ("6", ""):  # the own family first: an IPv6 wildcard need not hold IPv4
        try:
            lines = (PROC / "thread-self/net" / f"{protocol}{version}").read_text().splitlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            words = line.split()
            local, taken = parsed(words[1])
            if taken == port and words[3] in (LISTEN, UNCONNECTED) and clashes(local, address):
                return described(words[9], local, port, protocol)
    if protocol == "tcp":
        for local, inode in silent(port):
            if clashes(local, address):
                return described(inode, local, port, protocol)
    return ""


def described(inode: str, local: IPAddress, port: int, protocol: str) -> str:
    return f"{owner(inode)} on {bracketed(local)}:{port}/{protocol}"


def silent(port: int) -> Iterator[tuple[IPAddress, str]]:
    """The sockets of TCP that are bound to a port and do not listen, which are in no file of /proc: address and inode.

    Linux tells of them since 6.8; an older one of none.
    """
    with contextlib.suppress(OSError), Netlink(SOCK_DIAG, Counts()) as asking:
        for family in (socket.AF_INET, socket.AF_INET6):
            body = ASKED.pack(family, socket.IPPROTO_TCP, 0, BOUND_INACTIVE, socket.htons(port), 0, b"", b"", 0, b"\xff" * 8)
            for kind, told in asking.ask(Message(SOCK_DIAG_BY_FAMILY, DUMP, body)):
                if kind == SOCK_DIAG_BY_FAMILY and len(told) >= TOLD.size:
                    found, *_, inode = TOLD.unpack_from(told)
                    yield ip_address(told[8:12] if found == socket.AF_INET else told[8:24]), str(inode)


def parsed(text: str) -> tuple[IPAddress, int]:
    """The address and port of a socket as /proc/net writes them: words in the machine's byte order, hexadecimal."""
    words, _, port = text.partition(":")
    packed = b"".join(int(words[i : i + 8], 16).to_bytes(4, "little") for i in range(0, len(words), 8))
    return ip_address(packed), int(port, 16)


def clashes(local: IPAddress, address: IPAddress) -> bool:
    """Whether sockets on both addresses exclude each other; an IPv6 wildcard may hold IPv4 as well."""
    if local.version != address.version:
        return local == WILDCARDS[1]
    return local == address or local in WILDCARDS or address in WILDCARDS


def owner(inode: str) -> str:
    """The process that has a socket open."""
    for pid, _ in opened({int(inode)}).values():
        if name := text(f"/proc/{pid}/comm").strip():
            return f"{name} (process {pid})"
    return "a process that cannot be seen from here"
