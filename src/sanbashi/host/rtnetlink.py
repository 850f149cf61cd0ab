"""Links, addresses, routes and neighbours as rtnetlink messages, and what the kernel answers as values."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network, ip_address, ip_interface, ip_network

from ..network.model import IPAddress, IPInterface, IPNetwork
from ..records import dataclass
from .netlink import APPEND, CREATE, DUMP, EXCLUSIVE, REPLACE, Message, Netlink, attribute, attributes, nested, number, text

PROTOCOL = 83  # route protocol number of ours; also marks our addresses and neighbours
CONNECTED = 2  # RTPROT_KERNEL: the route to a subnet, which comes with an address

# linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h, linux/neighbour.h
NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWNEIGH, DELNEIGH, GETNEIGH = 28, 29, 30
LINK, ADDR, RT, NEIGH = struct.Struct("=BxHiII"), struct.Struct("=BBBBi"), struct.Struct("=BBBBBBBBI"), struct.Struct("=BxxxiHBB")
IFF_UP, LINK_ADDRESS, LINK_NAME, LINK_MTU, LINK_PEER, LINK_MASTER, LINK_INFO = 1, 1, 3, 4, 5, 10, 18
IFF_RUNNING = 0x40  # linux/if.h
LINK_QUEUE, LINK_ALIAS, LINK_SPEC, LINK_NETNS, LINK_EXT_MASK = 13, 20, 26, 28, 29
SKIP_STATISTICS = 8
INFO_KIND, INFO_DATA, INFO_SLAVE_KIND, INFO_SLAVE_DATA = 1, 2, 4, 5
BRIDGE_FORWARD_DELAY, BRIDGE_STP, BRIDGE_SNOOPING = 1, 5, 23
PORT_HAIRPIN = 4
VETH_PEER = 1
AF_INET6_ADDR_GEN_MODE, ADDR_GEN_NONE = 8, 1
ADDRESS, LOCAL, BROADCAST, FLAGS, ADDRESS_PROTOCOL = 1, 2, 4, 8, 11
NODAD, PERMANENT_ADDRESS = 0x02, 0x80
DESTINATION, OUTGOING, GATEWAY, PRIORITY, SOURCE, TABLE = 1, 4, 5, 6, 7, 15
CONNECTED_METRIC6 = 256  # IP6_RT_PRIO_ADDRCONF
KINDS = {"unicast": 1, "local": 2, "broadcast": 3, "blackhole": 6, "unreachable": 7, "prohibit": 8}
TABLES = {"": 254, "main": 254, "local": 255, "default": 253}
NEIGHBOUR_ADDRESS, NEIGHBOUR_MAC, NEIGHBOUR_PROTOCOL = 1, 2, 12
PERMANENT_NEIGHBOUR = 0x80
SCOPE_LINK, SCOPE_HOST, SCOPE_NOWHERE = 253, 254, 255


def family(address: IPAddress | IPInterface | IPNetwork) -> int:
    """AF_INET or AF_INET6."""
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def mac_bytes(mac: str) -> bytes:
    """Six bytes of a MAC address."""
    return bytes.fromhex(mac.replace(":", ""))


def link_local(mac: bytes) -> IPv6Interface:
    """The link-local address that a MAC address gives (RFC 4291, appendix A)."""
    return IPv6Interface((b"\xfe\x80" + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:], 64))


# -- requests


def new_bridge(name: str, mac: bytes) -> Message:
    """A bridge without spanning tree; its MAC is set, for one left to the kernel changes with the ports.

    An MTU is set afterwards: one given here would change with the ports as well.
    """
    data = nested(INFO_DATA, number(BRIDGE_FORWARD_DELAY, 0), number(BRIDGE_STP, 0), attribute(BRIDGE_SNOOPING, b"\0"))
    body = text(LINK_NAME, name) + attribute(LINK_ADDRESS, mac) + number(LINK_QUEUE, 0)
    return Message(NEWLINK, CREATE | EXCLUSIVE, LINK.pack(0, 0, 0, 0, 0) + body + nested(LINK_INFO, text(INFO_KIND, "bridge"), data))


def new_veth(name: str, master: int, peer: str, mac: bytes, netns: int, mtu: int) -> Message:
    """A veth pair: `name` a port of the link `master`, its peer straight in the namespace of descriptor `netns`."""
    mtus = (number(LINK_MTU, mtu) if mtu else b"") + number(LINK_QUEUE, 0)  # a queue of none, as Docker's links have
    there = LINK.pack(0, 0, 0, 0, 0) + text(LINK_NAME, peer) + attribute(LINK_ADDRESS, mac) + mtus + number(LINK_NETNS, netns)
    info = nested(LINK_INFO, text(INFO_KIND, "veth"), nested(INFO_DATA, attribute(VETH_PEER, there)))
    body = text(LINK_NAME, name) + mtus + number(LINK_MASTER, master) + info
    return Message(NEWLINK, CREATE | EXCLUSIVE, LINK.pack(0, 0, 0, 0, 0) + body)


def set_link(name: str, *, up: bool | None = None, alias: str | None = None, mtu: int = 0, master: int = 0, hairpin: bool | None = None) -> Message:
    """Change attributes of a link, found by its name; what is None or 0 stays."""
    body = text(LINK_NAME, name)
    if alias is not None:
        body += attribute(LINK_ALIAS, alias.encode())
    if mtu:
        body += number(LINK_MTU, mtu)
    if master:
        body += number(LINK_MASTER, master)
    if hairpin is not None:
        slave = nested(INFO_SLAVE_DATA, attribute(PORT_HAIRPIN, bytes([hairpin])))
        body += nested(LINK_INFO, text(INFO_SLAVE_KIND, "bridge"), slave)
    return Message(NEWLINK, 0, LINK.pack(0, 0, 0, IFF_UP if up else 0, 0 if up is None else IFF_UP) + body)


def no_link_local(name: str) -> Message:
    """Let the kernel make no link-local address: we add one of the same form that no duplicate detection delays."""
    spec = nested(LINK_SPEC, nested(socket.AF_INET6, attribute(AF_INET6_ADDR_GEN_MODE, bytes([ADDR_GEN_NONE]))))
    return Message(NEWLINK, 0, LINK.pack(0, 0, 0, 0, 0) + text(LINK_NAME, name) + spec)


def del_link(name: str) -> Message:
    """Delete a link by its name; a veth takes its peer with it."""
    return Message(DELLINK, 0, LINK.pack(0, 0, 0, 0, 0) + text(LINK_NAME, name))


def del_link_at(index: int) -> Message:
    """Delete the link of this index, whatever its name is by then."""
    return Message(DELLINK, 0, LINK.pack(0, 0, index, 0, 0))


def address(kind: int, index: int, value: IPInterface, *, protocol: int = PROTOCOL) -> Message:
    """NEWADDR or DELADDR; with broadcast as every other tool sets it, and without duplicate detection."""
    packed = value.ip.packed
    flags, body = 0, attribute(LOCAL, packed) + attribute(ADDRESS, packed)
    if isinstance(value, IPv4Interface):
        if value.network.prefixlen < 31:
            body += attribute(BROADCAST, value.network.broadcast_address.packed)
    else:
        flags = NODAD
    if kind == NEWADDR:
        body += number(FLAGS, flags) + (attribute(ADDRESS_PROTOCOL, bytes([protocol])) if protocol else b"")
    host = value.ip.is_loopback
    scope = SCOPE_HOST if host else SCOPE_LINK if value.ip.is_link_local and value.version == 6 else 0
    header = ADDR.pack(family(value), value.network.prefixlen, flags, scope, index)
    return Message(kind, CREATE | EXCLUSIVE if kind == NEWADDR else 0, header + body)


def route(kind: int, index: int, to: IPNetwork, *, via: IPAddress | None, metric: int, what: str, table: str, replace: bool = False) -> Message:
    """NEWROUTE or DELROUTE with our protocol number; `replace` takes the place of a route to the same target, else it stands beside it."""
    number_of_table = TABLES.get(table) or int(table)
    scope = SCOPE_NOWHERE if kind == DELROUTE else SCOPE_HOST if what == "local" else 0 if via or to.version == 6 else SCOPE_LINK
    header = RT.pack(family(to), to.prefixlen, 0, 0, number_of_table if number_of_table < 256 else 0, PROTOCOL, scope, KINDS[what], 0)
    body = attribute(DESTINATION, to.network_address.packed) if to.prefixlen else b""
    body += number(OUTGOING, index) + number(TABLE, number_of_table)
    if via is not None:
        body += attribute(GATEWAY, via.packed)
    if metric:
        body += number(PRIORITY, metric)
    return Message(kind, (CREATE | (REPLACE if replace else APPEND)) if kind == NEWROUTE else 0, header + body)


def connected(index: int, value: IPInterface) -> Message:
    """The route to the subnet of an address, as the kernel makes it with the address."""
    four = value.version == 4
    header = RT.pack(family(value), value.network.prefixlen, 0, 0, TABLES["main"], CONNECTED, SCOPE_LINK if four else 0, KINDS["unicast"], 0)
    body = attribute(DESTINATION, value.network.network_address.packed) + number(OUTGOING, index)
    body += attribute(SOURCE, value.ip.packed) if four else number(PRIORITY, CONNECTED_METRIC6)
    return Message(NEWROUTE, CREATE | EXCLUSIVE, header + body)


def rename(index: int, name: str) -> Message:
    """Another name for a link, found by its index."""
    return Message(NEWLINK, 0, LINK.pack(0, 0, index, 0, 0) + text(LINK_NAME, name))


def neighbour(kind: int, index: int, value: IPAddress, mac: str = "") -> Message:
    """NEWNEIGH (permanent) or DELNEIGH."""
    body = attribute(NEIGHBOUR_ADDRESS, value.packed)
    if kind == NEWNEIGH:
        body += attribute(NEIGHBOUR_MAC, mac_bytes(mac)) + attribute(NEIGHBOUR_PROTOCOL, bytes([PROTOCOL]))
    header = NEIGH.pack(family(value), index, PERMANENT_NEIGHBOUR, 0, 0)
    return Message(kind, CREATE | REPLACE if kind == NEWNEIGH else 0, header + body)


# -- answers


@dataclass(frozen=True, slots=True)
class Link:
    """A link as the kernel has it; `peer` is the index of the other end, or of the link below, in its own namespace."""

    index: int
    name: str
    kind: str
    alias: str
    mac: str
    mtu: int
    up: bool
    running: bool  # up, with a carrier, and its queue begun: it sends what it is given
    master: int
    peer: int
    hairpin: bool
    data: Mapping[int, bytes] = field(default_factory=dict)  # what is of its kind alone


@dataclass(frozen=True, slots=True)
class HeldAddress:
    """An address on the link `index`; `ours` where we set it (kernels before 5.18 do not keep that)."""

    index: int
    address: IPInterface
    ours: bool


@dataclass(frozen=True, slots=True)
class HeldRoute:
    """A route as the kernel has it."""

    index: int
    to: IPNetwork
    via: IPAddress | None
    metric: int
    kind: str
    table: str
    protocol: int
    scope: int


@dataclass(frozen=True, slots=True)
class HeldNeighbour:
    """A permanent neighbour entry."""

    index: int
    address: IPAddress
    mac: str


def parse_link(body: bytes) -> Link:
    """An RTM_NEWLINK."""
    _, _, index, flags, _ = LINK.unpack_from(body)
    found = attributes(body, LINK.size)
    info = attributes(found[LINK_INFO]) if LINK_INFO in found else {}
    slave = attributes(info[INFO_SLAVE_DATA]) if INFO_SLAVE_DATA in info else {}
    return Link(
        index=index,
        name=string(found.get(LINK_NAME, b"")),
        kind=string(info.get(INFO_KIND, b"")),
        alias=string(found.get(LINK_ALIAS, b"")),
        mac=found.get(LINK_ADDRESS, b"").hex(":"),
        mtu=integer(found.get(LINK_MTU)),
        up=bool(flags & IFF_UP),
        running=bool(flags & IFF_RUNNING),
        master=integer(found.get(LINK_MASTER)),
        peer=integer(found.get(LINK_PEER)),
        hairpin=slave.get(PORT_HAIRPIN, b"\0") != b"\0",
        data=attributes(info[INFO_DATA]) if INFO_DATA in info else {},
    )


def link(netlink: Netlink, name: str) -> Link | None:
    """The link of this name, None where there is none."""
    body = LINK.pack(0, 0, 0, 0, 0) + text(LINK_NAME, name) + number(LINK_EXT_MASK, SKIP_STATISTICS)
    try:
        return next((parse_link(b) for _, b in list(netlink.ask(Message(GETLINK, 0, body)))), None)
    except OSError as error:
        if error.errno == 19:  # ENODEV
            return None
        raise


def links(netlink: Netlink) -> Iterator[Link]:
    """Every link of the namespace."""
    body = LINK.pack(0, 0, 0, 0, 0) + number(LINK_EXT_MASK, SKIP_STATISTICS)
    return (parse_link(b) for _, b in netlink.ask(Message(GETLINK, DUMP, body)))


def addresses(netlink: Netlink, index: int = 0) -> Iterator[HeldAddress]:
    """The addresses of one link, or of all."""
    for _, body in netlink.ask(Message(GETADDR, DUMP, ADDR.pack(0, 0, 0, 0, index))):
        _, prefix, _, _, at = ADDR.unpack_from(body)
        found = attributes(body, ADDR.size)
        packed = found.get(LOCAL) or found.get(ADDRESS, b"")
        if index in (0, at) and packed:
            ours = found.get(ADDRESS_PROTOCOL, b"\0")[0] == PROTOCOL
            yield HeldAddress(at, ip_interface((packed, prefix)), ours)


def routes(netlink: Netlink, *, table: int = 0, index: int = 0, protocol: int = PROTOCOL) -> Iterator[HeldRoute]:
    """The routes of one protocol (0: any), of one table and link where given."""
    for number_of_family in (socket.AF_INET, socket.AF_INET6):
        header = RT.pack(number_of_family, 0, 0, 0, table if table < 256 else 0, protocol, 0, 0, 0)
        body = header + (number(TABLE, table) if table else b"") + (number(OUTGOING, index) if index else b"")
        try:
            answers = list(netlink.ask(Message(GETROUTE, DUMP, body)))
        except OSError as error:
            if error.errno in (2, 97):  # ENOENT: no such table yet; EAFNOSUPPORT: no IPv6
                continue
            raise
        for _, answer in answers:
            held = parse_route(answer)
            if protocol in (0, held.protocol) and index in (0, held.index):
                yield held


def parse_route(body: bytes) -> HeldRoute:
    """An RTM_NEWROUTE."""
    number_of_family, prefix, _, _, table, protocol, scope, kind, _ = RT.unpack_from(body)
    found = attributes(body, RT.size)
    size = 4 if number_of_family == socket.AF_INET else 16
    table = integer(found.get(TABLE)) or table
    kinds = {number: name for name, number in KINDS.items()}
    tables = {254: "", 255: "local", 253: "default"}
    packed = found.get(DESTINATION, bytes(size))
    to: IPv4Network | IPv6Network = ip_network((packed, prefix))
    via: IPv4Address | IPv6Address | None = ip_address(found[GATEWAY]) if GATEWAY in found else None
    name = tables.get(table, str(table))
    return HeldRoute(integer(found.get(OUTGOING)), to, via, integer(found.get(PRIORITY)), kinds.get(kind, str(kind)), name, protocol, scope)


def neighbour_word(link: str, address: object) -> str:
    """What a neighbour is called beside links in a set of names."""
    return f"{address} on {link}"


def neighbours(netlink: Netlink, index: int) -> Iterator[HeldNeighbour]:
    """The permanent entries of ours on one link."""
    master = NEIGH.pack(0, 0, 0, 0, 0) + number(8, index)  # NDA_IFINDEX
    for _, body in netlink.ask(Message(GETNEIGH, DUMP, master)):
        held = parse_neighbour(body)
        if held is not None and held.index == index:
            yield held


def neighbour_at(netlink: Netlink, index: int, value: IPAddress) -> HeldNeighbour | None:
    """The permanent entry for one address on one link."""
    body = NEIGH.pack(family(value), index, 0, 0, 0) + attribute(NEIGHBOUR_ADDRESS, value.packed)
    try:
        return next((held for _, b in list(netlink.ask(Message(GETNEIGH, 0, body))) if (held := parse_neighbour(b))), None)
    except OSError as error:
        if error.errno in (2, 19):  # ENOENT, ENODEV
            return None
        raise


def parse_neighbour(body: bytes) -> HeldNeighbour | None:
    """An RTM_NEWNEIGH that is permanent and ours."""
    _, index, state, _, _ = NEIGH.unpack_from(body)
    found = attributes(body, NEIGH.size)
    if not state & PERMANENT_NEIGHBOUR or found.get(NEIGHBOUR_PROTOCOL, b"\0")[0] != PROTOCOL:
        return None
    return HeldNeighbour(index, ip_address(found[NEIGHBOUR_ADDRESS]), found.get(NEIGHBOUR_MAC, b"").hex(":"))


def string(data: bytes) -> str:
    """A string attribute's text."""
    return data.rstrip(b"\0").decode(errors="replace")


def integer(data: bytes | None) -> int:
    """A 32-bit attribute's number; 0 where it is absent."""
    return int(struct.unpack_from("=i", data)[0]) if data and len(data) >= 4 else 0
