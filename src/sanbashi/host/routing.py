"""Which way the kernel sends a packet: its own answer (RTM_GETROUTE), for one that is sent from here or one that came in by a link."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

from ..network.model import IPAddress
from ..network.why.facts import Hop
from . import rtnetlink
from .netlink import Message, Netlink, attribute, attributes, number

TO, FROM, COMING, OUTGOING, GATEWAY, PREFERRED = 1, 2, 3, 4, 5, 7  # linux/rtnetlink.h
SOMEWHERE = (IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1"))  # nobody's: what leads there leads outside
KINDS = {code: name for name, code in rtnetlink.KINDS.items()}


def hop(netlink: Netlink, to: IPAddress, *, source: IPAddress | None = None, come: str = "") -> Hop:
    """The way to an address in the namespace of the calling thread and of the socket; `come`: of a packet of `source` that came in by this link."""
    body = attribute(TO, to.packed)
    length = 0
    if source is not None:
        length = source.max_prefixlen
        body += attribute(FROM, source.packed)
    try:
        if come:
            body += number(COMING, socket.if_nametoindex(come))
        header = rtnetlink.RT.pack(rtnetlink.family(to), to.max_prefixlen, length, 0, 0, 0, 0, 0, 0)
        answers = [answer for _, answer in netlink.ask(Message(rtnetlink.GETROUTE, 0, header + body))]
    except OSError as error:
        return Hop(errno=error.errno or 1, words=(error.strerror or str(error)).lower())
    return parsed(answers[0]) if answers else Hop(errno=1, words="the kernel gives no answer")


def parsed(body: bytes) -> Hop:
    """An RTM_NEWROUTE that answers."""
    kind = rtnetlink.RT.unpack_from(body)[7]
    found = attributes(body, rtnetlink.RT.size)
    index = rtnetlink.integer(found.get(OUTGOING))
    try:
        link = socket.if_indextoname(index) if index else ""
    except OSError:
        link = ""
    via, source = (ip_address(found[k]) if k in found else None for k in (GATEWAY, PREFERRED))
    return Hop(link=link, via=via, source=source, kind=KINDS.get(kind, str(kind)))


def uplink(netlink: Netlink, version: int, ours: frozenset[str]) -> tuple[str, IPAddress | None]:
    """(the link to the outside, an address of a neighbour there): by the way that leads anywhere, else the first link that is none of ours."""
    out = hop(netlink, SOMEWHERE[version == 6])
    if not out.errno and out.kind == "unicast" and out.via is not None:
        return out.link, out.via
    for held in rtnetlink.addresses(netlink):
        address = held.address
        if address.version != version or address.ip.is_loopback or address.ip.is_link_local:
            continue
        link = socket.if_indextoname(held.index)
        if link not in ours and address.network.num_addresses > 1:
            neighbour = next((a for a in (address.network[1], address.network[2 % address.network.num_addresses]) if a != address.ip), None)
            return link, neighbour
    return "", None
