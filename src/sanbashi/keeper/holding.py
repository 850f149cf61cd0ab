"""Host ports: reserved without being served, or bound for the forwarder.

A reservation as the datapath's proof found it: TCP is bound with SO_REUSEADDR set for the bind and off after it, and does not listen, so that nobody
else can bind, sockets in TIME_WAIT do not stop us, and a stray connection is refused at once. UDP is bound behind a filter that drops all, so
that strays do not fill its buffer. [::] means IPv6 alone. SCTP the same where the kernel has it, else only our own book holds it.
"""

from __future__ import annotations

import errno
import socket
import struct
from array import array

from sanbashi.network.picture import Forwarder, HeldPort

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
KINDS = {"tcp": (socket.SOCK_STREAM, 0), "udp": (socket.SOCK_DGRAM, 0), "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP)}
SO_ATTACH_FILTER = 26  # asm-generic/socket.h
NO_SCTP = (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT)


def hold(item: HeldPort) -> socket.socket | None:
    """A socket that keeps the port from everybody else; None where the kernel has no sockets of that protocol. OSError as bind(2) gives it."""
    try:
        held = opened(item)
    except OSError as error:
        if item.protocol == "sctp" and error.errno in NO_SCTP:
            return None
        raise
    if item.protocol == "udp":
        drop_everything(held)
    return bound(held, item)


def serve(item: Forwarder) -> socket.socket:
    """A non-blocking socket bound to the forwarder's port, listening where it is TCP."""
    served = bound(opened(item), item)
    served.setblocking(False)
    if item.protocol == "tcp":
        served.listen(1024)
    return served


def opened(item: HeldPort | Forwarder) -> socket.socket:
    kind, protocol = KINDS[item.protocol]
    return socket.socket(FAMILIES[item.address.version], kind, protocol)


def bound(unbound: socket.socket, item: HeldPort | Forwarder) -> socket.socket:
    """Bind to the item's address and port; the socket is closed if that fails."""
    try:
        if item.address.version == 6:
            unbound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if item.protocol != "udp":
            unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        unbound.bind((str(item.address), item.port))
        unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        unbound.close()
        raise
    return unbound


def drop_everything(receiver: socket.socket) -> None:
    """Attach the filter whose one instruction is `return 0`: no datagram is ever queued."""
    program = array("B", b"\x06\0\0\0\0\0\0\0")  # struct sock_filter: BPF_RET | BPF_K, 0
    receiver.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, program.buffer_info()[0]))  # struct sock_fprog
