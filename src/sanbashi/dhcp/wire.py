"""DHCP messages: bytes to values and back (RFC 2131, 2132, 3396, 3397, 3442). Whatever a server sends, only Malformed comes of it."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from ..network.lease import Lease, LeaseRoute
from ..records import dataclass

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE = 1, 2, 3, 4, 5, 6, 7
# Options by their number.
MASK, ROUTER, DNS, HOSTNAME, DOMAIN, MTU = 1, 3, 6, 12, 15, 26
ADDRESS, LEASE_TIME, OVERLOAD, KIND, SERVER, PARAMETERS, LARGEST, RENEWAL, REBINDING, CLIENT = 50, 51, 52, 53, 54, 55, 57, 58, 59, 61
SEARCH, ROUTES = 119, 121
PAD, END = 0, 255
# A server fills the reply in this order; classless routes stand before the router, which they replace (RFC 3442).
WISHED = (MASK, ROUTES, ROUTER, DNS, DOMAIN, SEARCH, MTU, LEASE_TIME, SERVER, RENEWAL, REBINDING)

HEAD = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
COOKIE = b"\x63\x82\x53\x63"
SHORTEST = 300  # bytes of a BOOTP message; some relays drop shorter ones
LARGEST_REPLY = 1472  # fits an Ethernet frame
BOOTREQUEST, BOOTREPLY, ETHERNET = 1, 2, 1
FOREVER = 0xFFFFFFFF
LEAST_TIME = 4  # seconds that a lease lasts for us at the least, so that nobody is kept busy renewing; dhcpcd takes 20, udhcpc 16
LEAST_MTU = 576  # RFC 791: what every host must take
NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*")
MOST_SEARCHED = 6  # as resolv.conf(5) had it, and enough

NOWHERE = IPv4Address(0)


class Malformed(ValueError):
    """Bytes that are no DHCP message, or a message that offers nothing usable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message without what we never look at. `hardware` are the six bytes of the client's MAC address."""

    kind: int
    xid: int
    hardware: bytes
    reply: bool = False
    seconds: int = 0
    client: IPv4Address = NOWHERE  # ciaddr: what the client has and answers to
    given: IPv4Address = NOWHERE  # yiaddr
    options: Mapping[int, bytes] = field(default_factory=dict)


def write(message: Message) -> bytes:
    """A message as bytes; options in their order, those longer than 255 bytes in parts."""
    head = HEAD.pack(
        BOOTREPLY if message.reply else BOOTREQUEST, ETHERNET, 6, 0, message.xid, min(message.seconds, 0xFFFF), 0,
        message.client.packed, message.given.packed, NOWHERE.packed, NOWHERE.packed, message.hardware, b"", b"", COOKIE,
    )  # fmt: skip
    body = bytearray()
    for number, value in {KIND: bytes((message.kind,)), **message.options}.items():
        for start in range(0, max(1, len(value)), 255):
            part = value[start : start + 255]
            body += bytes((number, len(part))) + part
    body.append(END)
    return (head + bytes(body)).ljust(SHORTEST, b"\0")


def read(data: bytes) -> Message:
    """The message in these bytes; Malformed."""
    if len(data) < HEAD.size:
        raise Malformed(f"{len(data)} bytes are no DHCP message")
    op, hardware_type, length, _, xid, seconds, _, client, given, _, _, hardware, name, file, cookie = HEAD.unpack_from(data)
    if op not in (BOOTREQUEST, BOOTREPLY) or (hardware_type, length) != (ETHERNET, 6) or cookie != COOKIE:
        raise Malformed("not DHCP over Ethernet")
    options: dict[int, bytes] = {}
    take(options, data[HEAD.size :])
    overload = options.get(OVERLOAD, b"\0")[:1]
    if overload in (b"\1", b"\3"):
        take(options, file)
    if overload in (b"\2", b"\3"):
        take(options, name)
    kind = options.get(KIND, b"")
    if len(kind) != 1:
        raise Malformed("no message type")
    return Message(
        kind=kind[0], xid=xid, hardware=hardware[:6], reply=op == BOOTREPLY, seconds=seconds,
        client=IPv4Address(client), given=IPv4Address(given), options=options,
    )  # fmt: skip


def take(options: dict[int, bytes], data: bytes) -> None:
    """Read options up to the end; the parts of one that comes several times are one value (RFC 3396). Malformed where one is cut."""
    place = 0
    while place < len(data):
        number = data[place]
        place += 1
        if number == PAD:
            continue
        if number == END:
            return
        if place >= len(data) or place + 1 + data[place] > len(data):
            raise Malformed(f"option {number} is cut")
        options[number] = options.get(number, b"") + data[place + 1 : place + 1 + data[place]]
        place += 1 + data[place]


# -- what a server lends


def lease_in(message: Message, now: float, server_mac: str = "", *, link_mtu: int = 0) -> Lease:
    """The lease that an offer or an acknowledgement carries; Malformed where it cannot be used. `link_mtu`: more than this is not taken."""
    options = message.options
    length = seconds(options.get(LEASE_TIME))
    if not length:
        raise Malformed("no lease time")
    server = one_address(options.get(SERVER))
    if server is None:
        raise Malformed("no server identifier")
    address = IPv4Interface((message.given, mask_length(message.given, options.get(MASK))))
    if not is_host(message.given) or (address.network.prefixlen < 31 and message.given in ends_of(address.network)):
        raise Malformed(f"{address} is no address for a host")
    routes = tuple(classless_routes(options.get(ROUTES, b"")))
    # Where there are classless routes the router option means nothing (RFC 3442).
    ways = [via for to, via in routes if not to.prefixlen and via is not None] if routes else addresses(options.get(ROUTER, b""))
    mtu = int.from_bytes(options[MTU], "big") if len(options.get(MTU, b"")) == 2 else 0
    renew, rebind, ends = times(length, seconds(options.get(RENEWAL)), seconds(options.get(REBINDING)))
    return Lease(
        address=address,
        server=server,
        server_mac=server_mac,
        router=next((way for way in ways if is_host(way) and way != message.given), None),
        dns=tuple(dict.fromkeys(a for a in addresses(options.get(DNS, b"")) if is_host(a))),
        domain=domain(options.get(DOMAIN, b"")),
        search=tuple(search(options.get(SEARCH, b""))),
        mtu=mtu if LEAST_MTU <= mtu <= (link_mtu or 0xFFFF) else 0,
        routes=tuple((to, via) for to, via in dict(routes).items() if to.prefixlen or via is None),
        begun=now,
        renew=renew,
        rebind=rebind,
        ends=ends,
    )


def times(length: int, renew: int, rebind: int) -> tuple[float, float, float]:
    """When to renew, to rebind and to end: the server's wish where it makes sense, else RFC 2131's halves and seven eighths; zeros for ever."""
    if length == FOREVER:
        return 0.0, 0.0, 0.0
    length = max(length, LEAST_TIME)
    if not 0 < rebind < length:
        rebind = 0
    if not 0 < renew < (rebind or length):
        renew = 0
    second = float(rebind or max(length * 7 / 8, renew))
    first = float(renew or min(length / 2, second))
    return first, second, float(length)


def seconds(value: bytes | None) -> int:
    return int.from_bytes(value, "big") if value is not None and len(value) == 4 else 0


def addresses(value: bytes) -> tuple[IPv4Address, ...]:
    return tuple(IPv4Address(value[place : place + 4]) for place in range(0, len(value) - 3, 4))


def one_address(value: bytes | None) -> IPv4Address | None:
    return IPv4Address(value) if value is not None and len(value) == 4 and is_host(IPv4Address(value)) else None


def is_host(address: IPv4Address) -> bool:
    """Whether a machine outside can have it: name servers and routers on our own loopback would be ourselves."""
    return not (address.is_multicast or address.is_loopback or int(address) >> 24 == 0 or int(address) == 0xFFFFFFFF)


def ends_of(network: IPv4Network) -> tuple[IPv4Address, IPv4Address]:
    return network.network_address, network.broadcast_address


def mask_length(address: IPv4Address, value: bytes | None) -> int:
    """The length of the prefix; the class's where the server says nothing, as RFC 2131's clients have it. Malformed for a mask with holes."""
    if value is None:
        first = int(address) >> 24
        return 8 if first < 128 else 16 if first < 192 else 24
    holes = ~int.from_bytes(value, "big") & 0xFFFFFFFF
    if len(value) != 4 or not any(value) or holes & (holes + 1):
        raise Malformed("a mask that is none")
    return 32 - holes.bit_length()


def classless_routes(value: bytes) -> Iterator[LeaseRoute]:
    """Option 121 as far as it can be read: length of the prefix, its significant bytes, the gateway (0.0.0.0 is on-link)."""
    place = 0
    while place < len(value):
        length = value[place]
        size = (length + 7) // 8
        if length > 32 or place + 1 + size + 4 > len(value):
            return
        network = int.from_bytes(value[place + 1 : place + 1 + size].ljust(4, b"\0"), "big") & ~(0xFFFFFFFF >> length)
        via = IPv4Address(value[place + 1 + size : place + 5 + size])
        place += 5 + size
        if int(via) == 0 or is_host(via):
            yield IPv4Network((network & 0xFFFFFFFF, length)), via if int(via) else None


def domain(value: bytes) -> str:
    """A domain name, "" where it is none: it is written into resolv.conf, so nothing else may be in it."""
    text = value.rstrip(b"\0").decode("ascii", "replace").rstrip(".")
    return text.lower() if len(text) <= 253 and NAME.fullmatch(text) else ""


def search(value: bytes) -> Iterator[str]:
    """Option 119's names, compressed as in DNS (RFC 1035 4.1.4); what cannot be read ends the list."""
    place = found = 0
    while place < len(value) and found < MOST_SEARCHED:
        labels: list[bytes] = []
        at, jumped = place, False
        while True:
            if at >= len(value):
                return
            size = value[at]
            if size >= 0xC0:
                if at + 1 >= len(value):
                    return
                target = (size & 0x3F) << 8 | value[at + 1]
                # A pointer leads backwards only, so that no ring of them can be followed for ever.
                if target >= at:
                    return
                place, jumped, at = (place if jumped else at + 2), True, target
                continue
            if size >= 0x40 or at + 1 + size > len(value) or len(labels) > 127:
                return
            if not size:
                place = place if jumped else at + 1
                break
            labels.append(value[at + 1 : at + 1 + size])
            at += 1 + size
        if name := domain(b".".join(labels)):
            found += 1
            yield name
