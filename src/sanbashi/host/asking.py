"""A name asked for from within a namespace, as its container would ask: of these servers, in order, for these spellings."""

from __future__ import annotations

import secrets
import socket
import struct
import time
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from ..network.model import IPAddress
from ..network.why.facts import NameAnswer
from ..resolver import wire
from .namespaces import inside

WITHIN = 1.0  # seconds for one server's answer
PATIENCE = 3.0  # for all of them
PORT = 53
TYPES = (wire.A, wire.AAAA)


def ask(namespace: Path, spellings: Sequence[str], servers: Sequence[str]) -> NameAnswer:
    """What the container is told of a name: the first spelling that has addresses. OSError where the namespace is gone."""
    until = time.monotonic() + PATIENCE
    worst = NameAnswer(outcome="timeout", by=", ".join(servers))
    for spelling in spellings:
        for server in servers:
            told = ask_one(namespace, spelling, server, until)
            if told.outcome == "ok":
                return told
            if told.outcome == "nxdomain":
                worst = told
                break  # this spelling is nobody's; a server that denies it settles that
            worst = told
    return worst


def ask_one(namespace: Path, name: str, server: str, until: float) -> NameAnswer:
    """One server's answer, of both families; IPv4 first."""
    encoded = wire.encode_name(name)
    if encoded is None:
        return NameAnswer(outcome="nxdomain", by=server)
    found: list[IPAddress] = []
    outcome = "nxdomain"
    for kind in TYPES:
        query = struct.pack(">HHHHHH", secrets.randbelow(1 << 16), wire.RD, 1, 0, 0, 0) + encoded + struct.pack(">HH", kind, wire.IN)
        reply = exchange(namespace, query, server, until)
        if reply is None:
            return NameAnswer(outcome="ok" if found else "timeout", addresses=tuple(found), by=server)
        code = reply[3] & 15
        if code not in (wire.NOERROR, wire.NXDOMAIN):
            return NameAnswer(outcome="ok" if found else "failed", addresses=tuple(found), by=server)
        if code == wire.NXDOMAIN:
            break
        try:
            answers = wire.records(reply, len(query), wire.counts(reply)[2])
        except ValueError:
            return NameAnswer(outcome="ok" if found else "failed", addresses=tuple(found), by=server)
        found += [ip_address(reply[at : at + length]) for _, each, _, _, length, at in answers if each == kind and length in (4, 16)]
    if found:
        outcome = "ok"
    return NameAnswer(outcome="ok" if outcome == "ok" else "nxdomain", addresses=tuple(found), by=server)


def exchange(namespace: Path, query: bytes, server: str, until: float) -> bytes | None:
    """The reply of a server to one question by UDP; None where none came in time."""
    address = ip_address(server.partition("%")[0])
    with inside(namespace):
        asking = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    with asking:
        try:
            asking.connect((server, PORT))
            asking.send(query)
            deadline = min(until, time.monotonic() + WITHIN)
            while (left := deadline - time.monotonic()) > 0:
                asking.settimeout(left)
                reply = asking.recv(4096)
                if wire.answers_to(reply, query, len(query)):
                    return reply
        except OSError:  # refused, unreachable, out of time: there is no answer of this server
            return None
    return None
