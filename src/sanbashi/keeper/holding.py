"""Host ports: reserved without being served, or bound for the forwarder.

A reservation as the datapath's proof found it: TCP is bound without SO_REUSEADDR and does not listen, so that nobody else can bind, nor are we let
past who has bound and does not listen yet; and a stray connection is refused at once. Where remains of connections forbid that (TIME_WAIT), the
option is set for the bind and off after it. UDP is bound behind a filter that drops all, so
that strays do not fill its buffer. [::] means IPv6 alone. SCTP the same where the kernel has it, else only our own book holds it.
"""

from __future__ import annotations

import errno
import socket
import struct
from array import array

from sanbashi.network.picture import Forwarder, HeldPort

from .remains import Remains

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
KINDS = {"tcp": (socket.SOCK_STREAM, 0), "udp": (socket.SOCK_DGRAM, 0), "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP)}
SO_ATTACH_FILTER = 26  # asm-generic/socket.h
NO_SCTP = (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT)


def hold(item: HeldPort, remains: Remains) -> socket.socket | None:
    """A socket that keeps the port from everybody else; None where the kernel has no sockets of that protocol. OSError as bind(2) gives it."""
    try:
        return bound(item, remains)
    except OSError as error:
        if item.protocol == "sctp" and error.errno in NO_SCTP:
            return None
        raise


def serve(item: Forwarder, remains: Remains) -> socket.socket:
    """A non-blocking socket bound to the forwarder's port, listening where it is TCP."""
    served = bound(item, remains)
    served.setblocking(False)
    if item.protocol == "tcp":
        # Connections have it from the listener: without it what they leave behind would keep the port from us as well, for a minute. Nor
        # could we listen beside remains.
        served.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        served.listen(1024)
    return served


def bound(item: HeldPort | Forwarder, remains: Remains) -> socket.socket:
    """A socket bound to the item's address and port. OSError."""
    if item.protocol != "tcp":
        return attempt(item, reuse=item.protocol == "sctp")
    for _ in range(2):  # remains may go between the bind and the look
        try:
            return attempt(item, reuse=False)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        reused = attempt(item, reuse=True)
        if remains.at(item.port):
            return reused
        reused.close()
    raise OSError(errno.EADDRINUSE, "bound by somebody who does not listen")


def attempt(item: HeldPort | Forwarder, *, reuse: bool) -> socket.socket:
    """Bind once; `reuse` for the bind alone. OSError."""
    kind, protocol = KINDS[item.protocol]
    unbound = socket.socket(FAMILIES[item.address.version], kind, protocol)
    try:
        if item.address.version == 6:
            unbound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if item.protocol == "udp" and isinstance(item, HeldPort):
            drop_everything(unbound)
        if reuse:
            unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        unbound.bind((str(item.address), item.port))
        if reuse:
            unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        unbound.close()
        raise
    return unbound


def drop_everything(receiver: socket.socket) -> None:
    """Attach the filter whose one instruction is `return 0`: no datagram is ever queued."""
    program = array("B", b"\x06\0\0\0\0\0\0\0")  # struct sock_filter: BPF_RET | BPF_K, 0
    receiver.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, program.buffer_info()[0]))  # struct sock_fprog
