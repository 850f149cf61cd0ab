"""Whether a condition of a rule, as nft's JSON has it, holds for a packet: it does, it does not, or that cannot be told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, Literal

from ...records import dataclass
from ..model import IPAddress

EPHEMERAL = range(32768, 61000)  # net.ipv4.ip_local_port_range: of these a client has one, and which cannot be told
OUR_MARK = 0x08000000  # of packets of our networks while they are forwarded: table.nft, chain marked


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A packet at one hook: links by which it came and goes ("" for none or not known), addresses, and what its connection is known for."""

    come: str = ""
    go: str = ""
    source: IPAddress | None = None
    target: IPAddress | None = None
    protocol: str = "tcp"
    source_port: int = 0  # 0: one that the kernel chose for a client
    target_port: int = 0
    state: Literal["new", "established"] = "new"
    translated: bool = False
    to_host: bool = False  # its target is an address of this namespace
    marked: bool = False  # it belongs to a network of ours, and is forwarded

    @property
    def version(self) -> int:
        return (self.target or self.source or ip_address("0.0.0.0")).version


def matches(match: Mapping[str, Any], packet: Packet, marked: bool) -> bool | None:
    """Whether a condition holds for the packet; None where that cannot be told."""
    left, operator, right = match.get("left"), match.get("op", "=="), match.get("right")
    if isinstance(left, dict) and "&" in left:
        return mark_matches(left["&"], operator, right, marked)
    known = value_of(left, packet)
    if known is None:
        return None
    if known == ():
        return False
    holds = among(known[0], right)
    if holds is None:
        return None
    return holds if operator in ("==", "in") else not holds if operator == "!=" else None


def mark_matches(parts: object, operator: str, right: object, marked: bool) -> bool | None:
    """A packet that belongs to one of our networks bears our mark while it is forwarded; of other marks nothing is known."""
    if not (isinstance(parts, list) and len(parts) == 2 and parts[0] == {"meta": {"key": "mark"}} and parts[1] == OUR_MARK and marked):
        return None
    holds = right == OUR_MARK
    return holds if operator == "==" else not holds if operator == "!=" else None


def value_of(left: object, packet: Packet) -> tuple[Any, ...] | None:
    """(what a packet has where a condition looks,); () where it has nothing there, so that no condition holds; None where it is not known."""
    if not isinstance(left, dict) or len(left) != 1:
        return None
    kind, what = next(iter(left.items()))
    if not isinstance(what, dict):
        return None
    if kind == "meta":
        return of_meta(str(what.get("key", "")), packet)
    if kind == "ct":
        return of_connection(str(what.get("key", "")), packet)
    if kind == "fib" and what.get("result") == "type" and what.get("flags") in ("daddr", ["daddr"]):
        return ("local",) if packet.to_host else None
    if kind == "payload":
        return of_payload(str(what.get("protocol", "")), str(what.get("field", "")), packet)
    return None


def of_meta(key: str, packet: Packet) -> tuple[Any, ...] | None:
    own = "icmp" if packet.version == 4 else "ipv6-icmp"
    known: dict[str, Any] = {
        "iif": packet.come,
        "iifname": packet.come,
        "oif": packet.go,
        "oifname": packet.go,
        "l4proto": own if packet.protocol == "icmp" else packet.protocol,
        "nfproto": f"ipv{packet.version}",
        "protocol": "ip" if packet.version == 4 else "ip6",
    }
    return (known[key],) if known.get(key) else None


def of_connection(key: str, packet: Packet) -> tuple[Any, ...] | None:
    if key == "state":
        return (packet.state,)
    if key == "status":
        return ("dnat",) if packet.translated else ("plain",)
    if key == "direction":
        return ("original" if packet.state == "new" else "reply",)
    return None


def of_payload(protocol: str, field: str, packet: Packet) -> tuple[Any, ...] | None:
    if protocol in ("ip", "ip6"):
        if (protocol == "ip") != (packet.version == 4):
            return ()
        known = {"saddr": packet.source, "daddr": packet.target, "protocol": packet.protocol, "nexthdr": packet.protocol}.get(field)
        return None if known is None else ("ipv6-icmp" if known == "icmp" and packet.version == 6 else known,)
    if protocol in ("tcp", "udp", "sctp", "th"):
        if protocol not in (packet.protocol, "th"):
            return ()
        port = {"sport": packet.source_port, "dport": packet.target_port}.get(field)
        return None if port is None else (port or EPHEMERAL,)
    if protocol in ("icmp", "icmpv6"):
        if packet.protocol != "icmp" or (protocol == "icmp") != (packet.version == 4):
            return ()
        return ("echo-request" if packet.state == "new" else "echo-reply",) if field == "type" else None
    if protocol == "arp":
        return ()
    return None


def among(known: Any, right: object) -> bool | None:
    """Whether a value is what a condition compares with: one value, a list, a set, a prefix, a range; None for what cannot be told."""
    if isinstance(right, list):
        return any_of(among(known, each) for each in right)
    if isinstance(right, dict):
        if "set" in right:
            return any_of(among(known, each) for each in right["set"])
        if "prefix" in right:
            prefix = right["prefix"]
            network = ip_network(f"{prefix['addr']}/{prefix['len']}", strict=False)
            return known in network if hasattr(known, "version") else None
        if "range" in right:
            low, high = right["range"]
            if isinstance(known, range | int):
                if not (isinstance(low, int) and isinstance(high, int)):
                    return None
                return low <= known <= high if isinstance(known, int) else None if known.start <= high and low < known.stop else False
            return int(ip_address(low)) <= int(known) <= int(ip_address(high)) if hasattr(known, "packed") else None
        return among(known, right["elem"]["val"]) if isinstance(right.get("elem"), dict) and "val" in right["elem"] else None
    if isinstance(known, range):
        return None if right in known or not isinstance(right, int) else False
    if isinstance(right, str):
        if right.startswith("@"):
            return None
        if hasattr(known, "packed"):
            return str(known) == right
        if right.endswith("*") and isinstance(known, str):
            return known.startswith(right[:-1])
    return bool(known == right)


def any_of(each: Iterable[bool | None]) -> bool | None:
    """True where one is, None where one may be."""
    told = list(each)
    return True if True in told else None if None in told else False
