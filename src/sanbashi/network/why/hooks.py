"""Which hooks of the kernel a packet of a way passes, and its answer, on the host and in the containers; with its addresses as they are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...records import dataclass
from ..model import Endpoint
from ..options import bridge_options
from .conditions import Packet
from .facts import Facts
from .path import Kind, Path

IP = ("ip", "ip6", "inet")
FORWARDED = (Kind.ROUTED, Kind.TRANSLATED, Kind.OUT, Kind.FROM_OUTSIDE, Kind.DIRECT)


@dataclass(frozen=True, slots=True)
class Passage:
    """A packet at one hook of the host, or of a container where `inner` names it."""

    families: tuple[str, ...]
    hook: str
    packet: Packet
    inner: str = ""  # source or target


def passages(path: Path, facts: Facts, *, back: bool) -> Iterator[Passage]:
    """The hooks that a packet passes, or its answer, in order; addresses as they are there."""
    come, go = path.come, path.go
    near, far = side(path, facts, come), side(path, facts, go)
    if path.kind is Kind.FROM_HOST:
        near = Side("", "", "")
    if path.kind is Kind.TO_HOST:
        far = Side("", "", "")
    translated = path.binding is not None and path.kind in (Kind.TRANSLATED, Kind.FROM_OUTSIDE)
    there = Packet(
        source=path.origin,
        target=path.address,
        protocol=path.question.protocol,
        target_port=path.port,
        translated=translated,
        marked=path.kind in FORWARDED,
        to_host=path.kind is Kind.TO_HOST,
    )
    if back:
        there = swapped(there)
        near, far = far, near
    first, last = ("target", "source") if back else ("source", "target")
    source_inner, target_inner = (go, come) if back else (come, go)
    if source_inner is not None:
        for hook in ("output", "postrouting"):
            yield Passage(IP, hook, at(asked(path, there, back=back), "", near.inner), first)
    if path.bridged:
        yield from on_host(path, facts, there, near, far, back=back)
    if target_inner is not None:
        for hook in ("prerouting", "input"):
            yield Passage(IP, hook, at(there, far.inner, ""), last)


def side(path: Path, facts: Facts, endpoint: Endpoint | None) -> Side:
    """The end of a way where an endpoint is; that of the outside where there is none."""
    if endpoint is None:
        return Side(facts.uplink, "", "")
    network = path.state.networks[endpoint.network_id]
    on_bridge = network.driver == "bridge"
    return Side(network.bridge if on_bridge else facts.uplink, endpoint.host_interface if on_bridge else "", endpoint.interface)


@dataclass(frozen=True, slots=True)
class Side:
    """One end as the host sees it: its link in the IP layer, its port on the bridge; and the link within."""

    link: str
    port: str
    inner: str


def on_host(path: Path, facts: Facts, packet: Packet, near: Side, far: Side, *, back: bool) -> Iterator[Passage]:
    """The hooks of the host."""
    before = asked(path, packet, back=back)
    if path.kind is Kind.SHARED:
        yield from (Passage(("bridge",), hook, at(packet, near.port, far.port if hook != "prerouting" else "")) for hook in ("prerouting", "forward"))
        yield Passage(("bridge",), "postrouting", at(packet, "", far.port))
        if facts.filters_bridges:
            yield Passage(IP, "prerouting", at(packet, near.link, ""))
            yield Passage(IP, "forward", at(packet, near.link, far.link))
            yield Passage(IP, "postrouting", at(packet, "", far.link))
        return
    if near.port:
        yield from (Passage(("bridge",), hook, at(before, near.port, "")) for hook in ("prerouting", "input"))
    if near.link:
        yield Passage(IP, "prerouting", at(before, near.link, ""))
    else:
        yield Passage(IP, "output", at(before, "", far.link))
    if path.kind in FORWARDED:
        yield Passage(IP, "forward", at(packet, near.link, far.link))
        if not back and gated(path):
            yield Passage(IP, "input", at(before, near.link, ""))
    elif not far.link:
        yield Passage(IP, "input", at(packet, near.link, ""))
        return
    yield Passage(IP, "postrouting", at(packet, "", far.link))
    if far.port:
        yield from (Passage(("bridge",), hook, at(packet, "", far.port)) for hook in ("output", "postrouting"))


def gated(path: Path) -> bool:
    """Whether a client of the published port first meets the host's own input policy."""
    if path.kind is not Kind.FROM_OUTSIDE or path.target_network is None or path.binding is None:
        return False
    own = bridge_options(path.target_network).host_input
    return path.facts.host_input if own is None else own


def asked(path: Path, packet: Packet, *, back: bool) -> Packet:
    """The packet before it is translated."""
    if back or path.binding is None or path.kind not in (Kind.TRANSLATED, Kind.FROM_OUTSIDE):
        return packet
    return replace(packet, target=path.asked, target_port=path.asked_port, translated=False, to_host=True)


def swapped(packet: Packet) -> Packet:
    """The answer to a packet."""
    return replace(
        packet, source=packet.target, target=packet.source, source_port=packet.target_port, target_port=0, state="established", to_host=False
    )


def at(packet: Packet, come: str, go: str) -> Packet:
    return replace(packet, come=come, go=go)
