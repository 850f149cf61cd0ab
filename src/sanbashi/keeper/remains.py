"""What connections leave behind at a port of TCP, TIME_WAIT above all: in the way of a plain bind, and no reason to refuse the port.

The kernel's sock_diag is asked for the ports in question alone. The tables of /proc hold every connection of the host, and take many times as long:
half a second and more for 300,000, in which the keeper hears nobody.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
LISTEN = 10  # TCP_LISTEN, net/tcp_states.h
# Up to TCP_NEW_SYN_RECV: after it come those that are bound and no more.
CONNECTIONS = 0x1FFE & ~(1 << LISTEN)
# linux/netlink.h, linux/sock_diag.h
SOCK_DIAG, BY_FAMILY, ERROR, DONE, REQUEST_DUMP = 4, 20, 2, 3, 0x301
HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
ASKED = struct.Struct("=BBBxI48x")  # struct inet_diag_req_v2: family, protocol, extensions, states, and a socket of which nothing is asked
LOCAL, PORT = 4, struct.Struct("!H")  # where the local port is in struct inet_diag_msg
# linux/inet_diag.h: a comparison is two struct inet_diag_bc_op, the operation and the port; bytes to go on where it holds, and where it does not
FILTER, AT_LEAST, AT_MOST = 1, 2, 3
BETWEEN = struct.Struct("=HH BBH BBH BBH BBH")
NEAR = 100  # ports no further apart are asked for at once, with what is between them


class Remains:
    """At which ports of a change sockets stand that do not listen.

    They are looked for when one is first asked for, with those near it. Where a look does not show a port they may have come since: for it there is
    one more, and no other.
    """

    def __init__(self, ports: Collection[int]) -> None:
        self._asked = ports
        self._runs: list[tuple[int, int]] = []
        self._ports: set[int] = set()
        self._without: set[int] = set()

    def at(self, port: int) -> bool:
        """Whether connections are there, or were a moment ago."""
        if port not in self._ports and port not in self._without:
            self._runs = self._runs or runs(self._asked)
            self._ports.update(*(seen(first, last) for first, last in self._runs if first <= port <= last))
            if port not in self._ports:
                self._without.add(port)
        return port in self._ports


def runs(ports: Iterable[int]) -> list[tuple[int, int]]:
    """Ports that are near each other, from the first to the last."""
    found: list[tuple[int, int]] = []
    for port in sorted(ports):
        first = found.pop()[0] if found and port - found[-1][1] <= NEAR else port
        found.append((first, port))
    return found


def seen(first: int, last: int) -> set[int]:
    """The local ports in this range of all connections, whatever their state; perhaps others besides. What is bound and does not listen has none."""
    try:
        return set(told(first, last))
    except OSError:  # a kernel without tcp_diag, or a policy that forbids to ask it: the tables show the same
        return set(printed())


def told(first: int, last: int) -> Iterator[int]:
    """What sock_diag tells of the ports from the first to the last. OSError."""
    between = BETWEEN.pack(BETWEEN.size, FILTER, AT_LEAST, 8, 20, 0, 0, first, AT_MOST, 8, 12, 0, 0, last)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, SOCK_DIAG) as asking:
        for family in (socket.AF_INET, socket.AF_INET6):
            body = ASKED.pack(family, socket.IPPROTO_TCP, 0, CONNECTIONS) + between
            asking.send(HEADER.pack(HEADER.size + len(body), BY_FAMILY, REQUEST_DUMP, 0, 0) + body)
            yield from answers(asking)


def answers(asking: socket.socket) -> Iterator[int]:
    """The local ports of one dump. OSError."""
    while True:
        data, at = asking.recv(1 << 16), 0
        while at < len(data):
            length, kind, _, _, _ = HEADER.unpack_from(data, at)
            if kind in (ERROR, DONE):
                code = -struct.unpack_from("=i", data, at + HEADER.size)[0]
                if code:
                    raise OSError(code, os.strerror(code))
                return
            yield PORT.unpack_from(data, at + HEADER.size + LOCAL)[0]
            at += (length + 3) & ~3


def printed() -> Iterator[int]:
    """The same of all ports, as the tables of /proc show it."""
    for table in TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for line in lines:
            _, local, _, state, _ = line.split(None, 4)
            if int(state, 16) != LISTEN:
                yield int(local.rpartition(":")[2], 16)
