"""What listens on a port of a namespace (sock_diag), and which process that is."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Iterator
from ipaddress import ip_address
from pathlib import Path

from ..network.why.facts import Listener
from .holders import ASKED, TOLD
from .netlink import DUMP, SOCK_DIAG_BY_FAMILY, Message, Netlink, attributes
from .peeking import opened, text
from .surroundings import CGROUPS
from .usage import below, control_groups, hierarchy

NUMBERS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}
LISTENING, CLOSED = 1 << 10, 1 << 7  # TCPF_LISTEN; TCPF_CLOSE, in which a socket of UDP is that is connected to nobody
ONLY6 = 11  # INET_DIAG_SKV6ONLY


def listening(netlink: Netlink, protocol: str, port: int) -> dict[int, Listener]:
    """The sockets that take what comes to a port, by inode; in the namespace of the socket. OSError."""
    found = {}
    states = LISTENING if protocol == "tcp" else CLOSED
    for family in (socket.AF_INET, socket.AF_INET6):
        body = ASKED.pack(family, NUMBERS[protocol], 0, states, socket.htons(port), 0, b"", b"", 0, b"\xff" * 8)
        for kind, told in netlink.ask(Message(SOCK_DIAG_BY_FAMILY, DUMP, body)):
            if kind == SOCK_DIAG_BY_FAMILY and len(told) >= TOLD.size and socket.ntohs(TOLD.unpack_from(told)[4]) == port:
                only6 = attributes(told, TOLD.size).get(ONLY6, b"\0") != b"\0"
                address = ip_address(told[8:12] if family == socket.AF_INET else told[8:24])
                found[TOLD.unpack_from(told)[-1]] = Listener(address=address, only6=only6)
    return found


def named(found: dict[int, Listener], processes: Collection[int] | None) -> tuple[Listener, ...]:
    """The same with the process of each, where it is one of these; None: of all that /proc shows."""
    held = {inode: pid for inode, (pid, _) in opened(set(found), None if processes is None else sorted(processes)).items()}
    return tuple(
        Listener(
            address=one.address, only6=one.only6, process=f"{text(f'/proc/{held[inode]}/comm').strip()}, pid {held[inode]}" if inode in held else ""
        )
        for inode, one in found.items()
    )


def processes_of(container_id: str, pid: int) -> set[int]:
    """The processes of a container, told by its control group; of one that is in none of its own its first process alone."""
    found = {pid}
    groups = control_groups(text(f"/proc/{pid}/cgroup"))
    for controller, path in groups.items():
        parts = path.split("/")
        own = next((place for place, part in enumerate(parts, 1) if container_id in part), 0)
        if own:
            folder = below(hierarchy(controller) if controller else CGROUPS, "/".join(parts[:own]))
            found |= set(in_group(folder))
            break
    return found


def in_group(folder: Path) -> Iterator[int]:
    """The processes of a control group and of those below it."""
    for here, _, _ in os.walk(folder):
        yield from (int(word) for word in text(f"{here}/cgroup.procs").split())
