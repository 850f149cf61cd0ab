"""One real packet from within a namespace, and what became of it; bounded in time, and nothing of it is left, be it a flow that is tracked."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import select
import socket
import struct
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from ..network.model import IPAddress
from ..network.why.facts import Probe
from .conntrack import deletion
from .counts import Counts
from .namespaces import inside
from .netlink import NETFILTER, Message, Netlink

log = logging.getLogger("sanbashi.host")

WITHIN = 1.0  # seconds
ECHO = {4: (8, 0), 6: (128, 129)}  # request, reply
UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM, errno.ENONET)
Outcome = Literal["answered", "refused", "unreachable", "silent", "failed"]


def probe(namespace: Path | None, protocol: str, address: IPAddress, port: int) -> Probe:
    """Try it from a namespace, the host's where None: a connection that is broken off at once, an empty datagram, an echo."""
    begun = time.monotonic()
    try:
        made = open_there(namespace, protocol, address)
    except OSError as error:
        return Probe(outcome="failed", words=words(error))
    with made:
        if protocol == "icmp":
            number = secrets.randbelow(1 << 16)
            outcome, said = echo(made, address, number)
        else:
            outcome, said = knock(made, protocol, address, port)
        began = origin(made, address)
    if began is not None:
        forget(namespace, deletion(protocol, began[0], address, (number, 0) if protocol == "icmp" else (began[1], port)))
    return Probe(outcome=outcome, words=said, milliseconds=(time.monotonic() - begun) * 1000)


def open_there(namespace: Path | None, protocol: str, address: IPAddress) -> socket.socket:
    """A socket of a namespace; it stays one wherever it is used."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}.get(protocol, socket.SOCK_RAW)
    number = 0 if protocol != "icmp" else socket.IPPROTO_ICMP if address.version == 4 else socket.IPPROTO_ICMPV6
    with entered(namespace):
        return socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, number)


def entered(namespace: Path | None) -> contextlib.AbstractContextManager[None]:
    """To be within a namespace, the host's where None."""
    return inside(namespace) if namespace is not None else contextlib.nullcontext()


def knock(made: socket.socket, protocol: str, address: IPAddress, port: int) -> tuple[Outcome, str]:
    """TCP: whether a connection comes about; it is reset. UDP: whether something comes back, be it that nobody is there."""
    if protocol == "tcp":
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed by a reset: nothing lingers
    try:
        made.connect((str(address), port))
        if protocol == "udp":
            made.send(b"")
    except BlockingIOError:
        pass
    except OSError as error:
        return judged(error)
    event = select.POLLIN if protocol == "udp" else select.POLLOUT
    if not waited(made, event, WITHIN):
        return "silent", f"nothing came within {WITHIN:.0f} s"
    code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        return judged(OSError(code, os.strerror(code)))
    return "answered", ""


def waited(made: socket.socket, event: int, seconds: float) -> bool:
    """Whether a socket has something to tell within some time."""
    waiting = select.poll()
    waiting.register(made, event)
    return bool(waiting.poll(max(0.0, seconds) * 1000))


def judged(error: OSError) -> tuple[Outcome, str]:
    """What a refusal means."""
    if error.errno == errno.ECONNREFUSED:
        return "refused", words(error)
    if error.errno in UNREACHABLE:
        return "unreachable", words(error)
    return ("silent" if error.errno == errno.ETIMEDOUT else "failed"), words(error)


def words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def origin(made: socket.socket, address: IPAddress) -> tuple[IPAddress, int] | None:
    """(address, port) that a packet to an address was sent from; None where none was."""
    try:
        if made.type == socket.SOCK_RAW:
            made.connect((str(address), 0))  # after the answer: from now on it hears of nobody else
        found, port = made.getsockname()[:2]
    except OSError:  # there is no way to it
        return None
    source = ip_address(found.partition("%")[0])
    return None if source.is_unspecified else (source, port)


def forget(namespace: Path | None, flow: Message) -> None:
    """Have the flow of a probe forgotten where it began and where it passed, whatever became of it; where that cannot be it expires by itself."""
    for place in dict.fromkeys((namespace, None)):
        try:
            with entered(place), Netlink(NETFILTER, Counts()) as netlink:
                refusals = [str(r) for r in netlink.send([flow]) if r is not None and r.errno != errno.ENOENT]
        except OSError as error:  # the namespace went meanwhile
            refusals = [words(error)]
        for refusal in refusals:
            log.warning("the flow of a probe is not forgotten: %s", refusal)


def echo(made: socket.socket, address: IPAddress, number: int) -> tuple[Outcome, str]:
    """An echo request and its reply, told from those of others by number and content."""
    asking, answering = ECHO[address.version]
    content = secrets.token_bytes(16)
    plain = struct.pack("!BBHHH", asking, 0, 0, number, 1) + content
    # Of ICMPv6 the kernel computes the sum, which covers addresses that it chooses.
    packet = plain if address.version == 6 else plain[:2] + struct.pack("!H", checksum(plain)) + plain[4:]
    until = time.monotonic() + WITHIN
    try:
        made.sendto(packet, (str(address), 0))
        while waited(made, select.POLLIN, until - time.monotonic()):
            reply, _ = made.recvfrom(4096)
            body = reply[(reply[0] & 15) * 4 :] if address.version == 4 else reply
            if body[:1] == bytes([answering]) and body[4:6] == struct.pack("!H", number) and body[8:] == content:
                return "answered", ""
            if content in body and body[0] in (1, 3):  # destination unreachable, which quotes what it is about
                return "unreachable", f"icmp destination unreachable, code {body[1]}"
    except OSError as error:
        return judged(error)
    return "silent", f"nothing came within {WITHIN:.0f} s"


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
