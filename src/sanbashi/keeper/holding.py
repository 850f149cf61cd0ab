"""Host ports: reserved without being served, or bound for the forwarder.

A reservation as the datapath's proof found it: TCP is bound without SO_REUSEADDR and does not listen, so that nobody else can bind, nor are we let
past who has bound and does not listen yet; and a stray connection is refused at once. Where remains of connections forbid that (TIME_WAIT), the
option is set for the bind and off after it. UDP is bound behind a filter that drops all, so that strays do not fill its buffer. [::] means
IPv6 alone. SCTP the same where the kernel has it, else only our own book holds it.

A port that is published on every address of both families is held by one socket that is bound for both. Where the forwarder listens on it, a
filter keeps IPv4 out: that is translated by our rules, and where these are gone for a moment a connection has to wait for them.
"""

from __future__ import annotations

import errno
import socket

from sanbashi.network.picture import Forwarder, HeldPort
from sanbashi.network.spelling import spelled

from .filters import DROP_ALL, DROP_IPV4, attach
from .remains import Remains

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
KINDS = {"tcp": (socket.SOCK_STREAM, 0), "udp": (socket.SOCK_DGRAM, 0), "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP)}
NO_SCTP = (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT)
BACKLOG = 1024


def hold(item: HeldPort, remains: Remains, *, both: bool = False) -> socket.socket | None:
    """A socket that keeps the port from everybody else; None where the kernel has no sockets of that protocol. OSError as bind(2) gives it.

    `both`: every address of both families; the item is the IPv6 one.
    """
    try:
        return bound(item, remains, both=both)
    except OSError as error:
        if item.protocol == "sctp" and error.errno in NO_SCTP:
            return None
        raise


def serve(item: Forwarder, remains: Remains, *, both: bool = False) -> socket.socket:
    """A non-blocking socket bound to the forwarder's port, listening where it is TCP. OSError; `both` as above."""
    served = bound(item, remains, both=both)
    served.setblocking(False)
    if item.protocol == "tcp":
        listen(served)
    return served


def listen(served: socket.socket) -> None:
    """Have a bound socket listen.

    Connections have SO_REUSEADDR from the listener: without it what they leave behind would keep the port from us as well, for a minute. Nor could
    we listen beside remains.
    """
    served.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    served.listen(BACKLOG)


def hold_beside(item: HeldPort | Forwarder, other: socket.socket) -> socket.socket:
    """A socket for one port of two, which `other` holds both and is to be closed now: the port is never free in between. OSError.

    `other` no longer listens; nor does the new one, which cannot before `other` is closed.
    """
    listening = other.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    try:
        if listening:
            other.shutdown(socket.SHUT_RDWR)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone = attempt(item, reuse=True)
    except OSError:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        if listening:
            listen(other)
        raise
    alone.setblocking(False)
    return alone


def bound(item: HeldPort | Forwarder, remains: Remains, *, both: bool) -> socket.socket:
    """A socket bound to the item's address and port. OSError."""
    if item.protocol != "tcp":
        return attempt(item, reuse=item.protocol == "sctp", both=both)
    for _ in range(2):  # remains may go between the bind and the look
        try:
            return attempt(item, reuse=False, both=both)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        reused = attempt(item, reuse=True, both=both)
        if remains.at(item.port):
            return reused
        reused.close()
    raise OSError(errno.EADDRINUSE, "bound by somebody who does not listen")


def attempt(item: HeldPort | Forwarder, *, reuse: bool, both: bool = False) -> socket.socket:
    """Bind once; `reuse` for the bind alone. OSError."""
    kind, protocol = KINDS[item.protocol]
    unbound = socket.socket(FAMILIES[item.address.version], kind, protocol)
    try:
        if item.address.version == 6:
            unbound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
        if item.protocol == "udp" and isinstance(item, HeldPort):
            attach(unbound, DROP_ALL)
        elif both and isinstance(item, Forwarder):
            attach(unbound, DROP_IPV4)
        if reuse:
            unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        unbound.bind((spelled(item.address), item.port))
        if reuse:
            unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        unbound.close()
        raise
    return unbound
