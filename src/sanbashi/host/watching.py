"""The kernel's own notifications: who else changes rules, links, addresses and routes of the namespace we run in."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Literal

from ..network.ruleset import TABLE
from ..records import dataclass
from . import rtnetlink
from .netlink import ATTRIBUTE, HEADER, NETFILTER, ROUTE, SOL_NETLINK, attributes

ADD_MEMBERSHIP = 1
NFTABLES_GROUP = 7  # NFNLGRP_NFTABLES
LINK_GROUP, NEIGHBOUR_GROUP, ADDRESS4_GROUP, ROUTE4_GROUP, ADDRESS6_GROUP, ROUTE6_GROUP, SETTING4_GROUP, SETTING6_GROUP = 1, 3, 5, 7, 9, 11, 24, 25
ROUTE_GROUPS = (LINK_GROUP, NEIGHBOUR_GROUP, ADDRESS4_GROUP, ROUTE4_GROUP, ADDRESS6_GROUP, ROUTE6_GROUP, SETTING4_GROUP, SETTING6_GROUP)
NFTABLES = 10  # NFNL_SUBSYS_NFTABLES
NEWGEN = 15  # linux/netfilter/nf_tables.h
NEWNETCONF, DELNETCONF = 80, 81
NETCONF_INDEX, NETCONF_FORWARDING, EVERY_LINK, COMING_LINKS = 1, 2, struct.pack("=i", -1), struct.pack("=i", -2)
EVERYTHING = 0xFFFFFFFF
SO_RCVBUFFORCE = 33
ROOM = 1 << 20  # bytes of notifications that may wait; more and the kernel says that some were lost
RECEIVE = 1 << 16

What = Literal["rules", "others' rules", "link", "neighbour", "renamed", "forwarding", "lost"]


@dataclass(frozen=True, slots=True)
class Noticed:
    """Somebody changed our rules, those of others, a link, a neighbour on it, forwarding (of one link, or of all), or too much to be told."""

    what: What
    link: str = ""
    gone: bool = False  # the link or the neighbour itself
    now: str = ""  # what a renamed link is called
    address: str = ""  # the neighbour's

    @property
    def word(self) -> str:
        """What it is called where we say what goes by ourselves."""
        return rtnetlink.neighbour_word(self.link, self.address) if self.address else self.link


class Watch:
    """Two sockets that hear of changes. `own` gives the netlink ports of our own sockets, whose changes of rules are left out.

    Made in the namespace that is watched; never blocks. Close it, or use it with `with`.
    """

    def __init__(self, own: Callable[[], frozenset[int]]) -> None:
        self.own = own
        self.rules = listening(NETFILTER, (NFTABLES_GROUP,))
        self.routes = listening(ROUTE, ROUTE_GROUPS)
        self.names = dict(socket.if_nameindex())

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hear no more."""
        self.rules.close()
        self.routes.close()

    def noticed_rules(self) -> Iterator[Noticed]:
        """What came of changes of rules."""
        own = self.own()
        for kind, port, body in messages(self.rules):
            if kind < 0:
                yield Noticed("lost")
            elif port not in own and kind >> 8 == NFTABLES and kind & 0xFF != NEWGEN:
                # The first attribute of every object but a generation is the name of its table.
                table = attributes(body, 4).get(1, b"").rstrip(b"\0").decode(errors="replace")
                yield Noticed("rules" if table == TABLE else "others' rules")

    def noticed_links(self) -> Iterator[Noticed]:
        """What came of links that went or went down, addresses and routes of ours that went, and forwarding that was turned off."""
        for kind, _, body in messages(self.routes):
            if kind < 0:
                self.names = dict(socket.if_nameindex())
                yield Noticed("lost")
            elif kind == rtnetlink.NEWLINK and (renamed := self.renamed(body)):
                yield renamed
            elif found := reader(kind, body):
                if found.gone and found.what == "link":
                    self.names.pop(rtnetlink.LINK.unpack_from(body)[2], None)
                yield found

    def renamed(self, body: bytes) -> Noticed | None:
        """What a message of a link says of its name, which the kernel puts first in it."""
        index = rtnetlink.LINK.unpack_from(body)[2]
        name = first_string(body, rtnetlink.LINK.size, rtnetlink.LINK_NAME)
        before = self.names.get(index, name)
        self.names[index] = name or before
        return Noticed("renamed", before, now=name) if name and before != name else None


def first_string(body: bytes, offset: int, kind: int) -> str:
    """The text of the attribute at an offset, "" where that is of another kind."""
    length, found = ATTRIBUTE.unpack_from(body, offset)
    return body[offset + ATTRIBUTE.size : offset + length].rstrip(b"\0").decode(errors="replace") if found == kind else ""


def reader(kind: int, body: bytes) -> Noticed | None:
    """What one message of rtnetlink says of things that are not to be; None for all the rest, at little cost."""
    if kind in (rtnetlink.NEWLINK, rtnetlink.DELLINK):
        family, _, _, flags, changed = rtnetlink.LINK.unpack_from(body)
        # A new link is down as well, and says that everything of it has changed.
        fell = changed & rtnetlink.IFF_UP and changed != EVERYTHING and not flags & rtnetlink.IFF_UP
        if kind == rtnetlink.NEWLINK and not fell:
            return None
        name = attributes(body, rtnetlink.LINK.size).get(rtnetlink.LINK_NAME, b"").rstrip(b"\0").decode(errors="replace")
        # Of the bridge family it is a port that left its bridge.
        return Noticed("link", name, gone=kind == rtnetlink.DELLINK and family != socket.AF_BRIDGE)
    if kind in (rtnetlink.NEWNEIGH, rtnetlink.DELNEIGH):
        return neighbour(kind, body)
    if kind == rtnetlink.DELADDR:
        return by_index(rtnetlink.ADDR.unpack_from(body)[4])
    if kind == rtnetlink.DELROUTE and (body[5] == rtnetlink.PROTOCOL or (body[5] == rtnetlink.CONNECTED and body[4] == rtnetlink.TABLES["main"])):
        found = attributes(body, rtnetlink.RT.size)
        index = found.get(rtnetlink.OUTGOING)
        # Those to link-local addresses go with every container's link that does.
        return by_index(struct.unpack("=I", index)[0]) if index and found.get(rtnetlink.DESTINATION, b"")[:1] != b"\xfe" else None
    if kind == NEWNETCONF:
        found = attributes(body, 4)
        index = found.get(NETCONF_INDEX)
        if index is None or found.get(NETCONF_FORWARDING) != bytes(4):
            return None
        if index == EVERY_LINK:
            return Noticed("forwarding")
        # Of IPv6 it is one setting for all that counts; a link's own says whether it listens to routers.
        one = by_index(struct.unpack("=i", index)[0]) if body[0] == socket.AF_INET and index != COMING_LINKS else None
        return Noticed("forwarding", one.link) if one else None
    return None


def neighbour(kind: int, body: bytes) -> Noticed | None:
    """What is told of a neighbour: a permanent one of ours that is so no more. Of a bridge's ports as of others there are many."""
    family, index, state, _, _ = rtnetlink.NEIGH.unpack_from(body)
    if family == socket.AF_BRIDGE or (kind == rtnetlink.NEWNEIGH and state & rtnetlink.PERMANENT_NEIGHBOUR):
        return None
    found = attributes(body, rtnetlink.NEIGH.size)
    if found.get(rtnetlink.NEIGHBOUR_PROTOCOL, b"\0")[0] != rtnetlink.PROTOCOL or (one := by_index(index)) is None:
        return None
    return Noticed("neighbour", one.link, gone=kind == rtnetlink.DELNEIGH, address=str(ip_address(found[rtnetlink.NEIGHBOUR_ADDRESS])))


def by_index(index: int) -> Noticed | None:
    """Of the link of this index; None where it has gone, which is told by itself."""
    try:
        return Noticed("link", socket.if_indextoname(index))
    except OSError:
        return None


def listening(protocol: int, groups: tuple[int, ...]) -> socket.socket:
    """A netlink socket that hears the notifications of groups."""
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
        made.bind((0, 0))
        for group in groups:
            made.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
    except OSError:
        made.close()
        raise
    return made


def messages(source: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """Everything that waits: (kind, port of who did it, body); kind -1 where the kernel had to leave out some."""
    while True:
        try:
            data = source.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            yield -1, 0, b""
            continue
        offset = 0
        while offset + HEADER.size <= len(data):
            length, kind, _, _, port = HEADER.unpack_from(data, offset)
            if length < HEADER.size:
                break
            yield kind, port, data[offset + HEADER.size : offset + length]
            offset += (length + 3) & ~3
