"""The resolver of the host itself: the same sockets and manners as a sandbox's, other names, and nobody is ever asked."""

from __future__ import annotations

import socket

from sanbashi.network.picture import HostResolver, Resolver
from sanbashi.resolver import wire
from sanbashi.resolver.forhost import answer_host

from .holding import FAMILIES
from .serving import Answering, Served, shuffle

NOBODY = "the host"  # in place of a sandbox's id


class HostServed(Served):
    """Serves the host at an address of its loopback; OSError where that is taken."""

    def __init__(self, shared: Answering, item: HostResolver) -> None:
        super().__init__(shared, Resolver(NOBODY, ()), *opened(item), None)
        shared.tell_host(True)

    def _own(self, data: bytes, question: wire.Question, size: int) -> tuple[bytes, ...]:
        return (answer_host(data, question, self._shared.directory, size=size, shuffle=shuffle),)

    def close(self) -> None:
        super().close()
        self._shared.tell_host(False)


def opened(item: HostResolver) -> tuple[socket.socket, socket.socket]:
    """UDP and TCP on the item's port; OSError."""
    family, place = FAMILIES[item.address.version], (str(item.address), item.port)
    udp = socket.socket(family, socket.SOCK_DGRAM)
    tcp = socket.socket(family, socket.SOCK_STREAM)
    try:
        udp.bind(place)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier keeper may linger
        tcp.bind(place)
        tcp.listen(128)
    except OSError:
        udp.close()
        tcp.close()
        raise
    return udp, tcp
