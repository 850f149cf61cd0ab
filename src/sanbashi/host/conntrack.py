"""Forgetting tracked flows over ctnetlink: an old UDP flow else stays with the target that it began with."""

from __future__ import annotations

import errno
import socket
import struct
import threading
from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Address
from typing import cast

from ..network.model import IPAddress, Protocol
from ..records import dataclass
from .counts import Counts
from .leavers import Leavers
from .netlink import DUMP, NESTED, NETFILTER, Message, Netlink, attribute, attributes, nested

NUMBERS: dict[Protocol, int] = {"tcp": 6, "udp": 17, "sctp": 132}
# linux/netfilter/nfnetlink_conntrack.h; the subsystem stands in the upper byte of a message's kind
GET, DELETE = 1 << 8 | 1, 1 << 8 | 2
ORIGINAL, REPLY, ID, FILTER = 1, 2, 12, 25
TUPLE_IP, TUPLE_PROTO = 1, 2
SOURCE4, SOURCE6 = 1, 3
PROTO_NUMBER, PROTO_SOURCE, PROTO_DESTINATION = 1, 2, 3
ECHO_ATTRIBUTES = {4: (4, 5, 6), 6: (7, 8, 9)}  # identifier, type, code
ECHO = {4: (1, 8), 6: (58, 128)}  # protocol number, type of a request
FILTER_ORIGINAL, FILTER_REPLY = 1, 2
BY_SOURCE, BY_PROTOCOL, BY_DESTINATION_PORT = 1 << 0, 1 << 3, 1 << 5
FEW = 3  # a filtered flush walks the whole table for each mapping; more than these are found in one dump


@dataclass(frozen=True, slots=True)
class Flows:
    """The flows to one published port; `address` is the container they were translated to, None for those that were not."""

    protocol: Protocol
    port: int
    address: IPAddress | None = None


class Conntrack:
    """The tracked flows of the namespace in which it was made; any thread may call.

    Its socket stays open: closing one of nfnetlink just after a deletion of rules makes the kernel wait for all readers, 15 ms.
    """

    def __init__(self, counts: Counts) -> None:
        self.netlink = Netlink(NETFILTER, counts)
        self.lock = threading.Lock()
        self.late = Netlink(NETFILTER, Counts())  # what is done with it is in nobody's request
        self.leavers = Leavers(lambda gone: seek(self.late, socket.AF_INET6, (), gone))

    def close(self) -> None:
        """Close its sockets."""
        self.leavers.settle()
        self.netlink.socket.close()
        self.late.socket.close()

    def forget(self, flows: Collection[Flows], left: Collection[IPAddress] = ()) -> None:
        """Forget all flows of these mappings, and those that the addresses `left` began; none there is success. OSError where the kernel refuses.

        Those of IPv6 addresses are forgotten soon: `await_leavers`.
        """
        self.leavers.add(address.packed for address in left if address.version == 6)
        # The kernel's filter takes an IPv6 address for its opposite (seen on 6.18: what does not match is flushed), so those are looked for.
        quick = [f for f in flows if f.address is not None and f.address.version == 4]
        with self.lock:
            few = quick if len(quick) <= FEW else []
            flushes = [*map(filtered_flush, few), *(flush_from(address) for address in left if isinstance(address, IPv4Address))]
            # A kernel that takes no filter (before 5.8) keeps what IPv4 addresses began until it expires.
            outcome = self.netlink.send(flushes)[: len(few)] if flushes else []
            if few and all(r is None or r.errno == errno.ENOENT for r in outcome):
                flows = [f for f in flows if f not in quick]
            # Many mappings, flows that were never translated, or a kernel that takes no filter with a flush: find them, delete each.
            for family, version in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
                if sought := [f for f in flows if f.address is None or f.address.version == version]:
                    seek(self.netlink, family, sought)

    def await_leavers(self, addresses: Iterable[IPAddress]) -> None:
        """Wait until what these began when others had them is forgotten."""
        if arriving := [address.packed for address in addresses if address.version == 6]:
            self.leavers.settle(arriving)


def seek(netlink: Netlink, family: int, flows: Collection[Flows], began: Collection[bytes] = ()) -> None:
    """Look through all flows of a family in one dump, and delete those that are meant; `began`: packed addresses whose own are. OSError."""
    targets: dict[tuple[int, int], set[bytes | None]] = {}
    for f in flows:
        targets.setdefault((NUMBERS[f.protocol], f.port), set()).add(f.address.packed if f.address else None)
    # To look for an address's bytes first costs a fraction, and of all flows of the host nearly none has them.
    dump = netlink.ask(Message(GET, DUMP, header(family)))
    bodies = (body for _, body in dump if targets or any(packed in body for packed in began))
    found = [m for body in bodies if (m := matching(family, body, targets, began))]
    for refused in netlink.send(found):
        if refused is not None and refused.errno != errno.ENOENT:
            raise OSError(refused.errno, str(refused))


def header(family: int) -> bytes:
    """An nfgenmsg of version 0."""
    return struct.pack("!BBH", family, 0, 0)


def filtered_flush(flows: Flows) -> Message:
    """One message that deletes by protocol, original port and answering container (Linux 5.8 and later)."""
    assert isinstance(flows.address, IPv4Address)
    number = attribute(PROTO_NUMBER, bytes([NUMBERS[flows.protocol]]))
    port = attribute(PROTO_DESTINATION, struct.pack("!H", flows.port))
    source = attribute(SOURCE4, flows.address.packed)
    original = nested(ORIGINAL, nested(TUPLE_PROTO, number, port))
    reply = nested(REPLY, nested(TUPLE_IP, source), nested(TUPLE_PROTO, number))
    masks = nested(
        FILTER,
        attribute(FILTER_ORIGINAL, struct.pack("=I", BY_PROTOCOL | BY_DESTINATION_PORT)),
        attribute(FILTER_REPLY, struct.pack("=I", BY_SOURCE | BY_PROTOCOL)),
    )
    # Version 1 of the message: with 0 the kernel would take the flush for one of everything.
    return Message(DELETE, 0, struct.pack("!BBH", socket.AF_INET, 1, 0) + original + reply + masks)


def flush_from(address: IPv4Address) -> Message:
    """One message that deletes what an address began; it walks the table in the kernel (a quarter of a millisecond with 262,144 buckets)."""
    original = nested(ORIGINAL, nested(TUPLE_IP, attribute(SOURCE4, address.packed)))
    masks = nested(FILTER, attribute(FILTER_ORIGINAL, struct.pack("=I", BY_SOURCE)), attribute(FILTER_REPLY, struct.pack("=I", 0)))
    return Message(DELETE, 0, struct.pack("!BBH", socket.AF_INET, 1, 0) + original + masks)


def deletion(protocol: str, source: IPAddress, target: IPAddress, ports: tuple[int, int]) -> Message:
    """One message that deletes a single flow by what began it; `ports` of an echo: its identifier, and nothing."""
    six = source.version == 6
    addresses = nested(TUPLE_IP, attribute(SOURCE6 if six else SOURCE4, source.packed), attribute(4 if six else 2, target.packed))
    if protocol == "icmp":
        number, kind = ECHO[source.version]
        values = zip(ECHO_ATTRIBUTES[source.version], (struct.pack("!H", ports[0]), bytes([kind]), b"\0"), strict=True)
    else:
        number = NUMBERS[cast(Protocol, protocol)]
        values = zip((PROTO_SOURCE, PROTO_DESTINATION), (struct.pack("!H", port) for port in ports), strict=True)
    proto = nested(TUPLE_PROTO, attribute(PROTO_NUMBER, bytes([number])), *(attribute(key, value) for key, value in values))
    return Message(DELETE, 0, header(socket.AF_INET6 if six else socket.AF_INET) + nested(ORIGINAL, addresses, proto))


def matching(family: int, body: bytes, targets: Mapping[tuple[int, int], Collection[bytes | None]], began: Collection[bytes] = ()) -> Message | None:
    """The deletion of a dumped flow if it is one of those wanted, else None.

    `targets`: (protocol number, original port) -> answering addresses, None among them for flows that were not translated. `began`: the addresses
    all whose flows are wanted.
    """
    found = attributes(body, 4)
    original = attributes(found.get(ORIGINAL, b""))
    source, target = (SOURCE4, 2) if family == socket.AF_INET else (SOURCE6, 4)  # CTA_IP_V4_DST, CTA_IP_V6_DST
    there = attributes(original.get(TUPLE_IP, b""))
    if there.get(source) not in began:
        proto = attributes(original.get(TUPLE_PROTO, b""))
        if PROTO_DESTINATION not in proto:
            return None
        answering = targets.get((proto[PROTO_NUMBER][0], struct.unpack("!H", proto[PROTO_DESTINATION])[0]))
        if answering is None:
            return None
        back = attributes(attributes(found.get(REPLY, b"")).get(TUPLE_IP, b""))
        untranslated = there.get(source) == back.get(target) and there.get(target) == back.get(source)
        if back.get(source) not in answering and not (untranslated and None in answering):
            return None
    return Message(DELETE, 0, header(family) + attribute(ORIGINAL | NESTED, found[ORIGINAL]) + attribute(ID, found[ID]))
