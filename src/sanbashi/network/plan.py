"""plan(have, want): the steps from one picture to another, in the order in which things may come and go.

What goes with its link or namespace has no step of its own; what is on a link that must be made anew is put there again. An Add of a
bridge, a veth pair, a setting or a neighbour whose key is there changes it in place.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import field
from operator import attrgetter
from typing import Any, TypeAlias

from ..records import dataclass
from .model import IPAddress, Protocol
from .picture import (
    ORDER,
    Address,
    Bridge,
    Element,
    Forwarder,
    HeldPort,
    HostResolver,
    Item,
    Leasing,
    Mtu,
    Names,
    Namespace,
    Neighbour,
    Parent,
    Picture,
    Resolver,
    Route,
    Sublink,
    Sysctl,
    Up,
    Veth,
)


@dataclass(frozen=True, slots=True)
class Add:
    """Bring an item into being, or give the one of its key this value; `was` is that one, where a name or resolver changes in place."""

    item: Item
    was: Item | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"add {self.item}"


@dataclass(frozen=True, slots=True)
class Remove:
    """Take an item away; gone already is success."""

    item: Item

    def __str__(self) -> str:
        return f"remove {self.item}"


@dataclass(frozen=True, slots=True)
class Forget:
    """Forget tracked flows to a host port: those translated to `address`, or with None those that were not translated."""

    protocol: Protocol
    port: int
    address: IPAddress | None = None

    def __str__(self) -> str:
        return f"forget flows to {self.port}/{self.protocol}" + (f" translated to {self.address}" if self.address else " not translated")


@dataclass(frozen=True, slots=True)
class ForgetFrom:
    """Forget tracked flows that an address began, for it goes: its next holder may be on a network that translates otherwise, or not at all."""

    address: IPAddress

    def __str__(self) -> str:
        return f"forget flows from {self.address}"


Step: TypeAlias = Add | Remove | Forget | ForgetFrom
Link = tuple[str, str]  # namespace, name
LINKS = (Namespace, Bridge, Veth, Parent, Sublink)

# A container's end of a veth pair comes up before its routes: they need it, and it reaches nobody before the host's end is up.
STAGES: tuple[str, ...] = tuple(dict.fromkeys(stage for _, stage in ORDER))
RANK: dict[str, int] = {stage: rank for rank, stage in enumerate(STAGES)}
# Where an item stands among those of its kind; elsewhere its line decides, so that a plan is the same every time.
PLACES: dict[type, Callable[[Any], Any]] = {
    # Interfaces of one container are made in the order of their names, so that ip(8) inside lists them so.
    Veth: lambda veth: (veth.namespace, len(veth.peer), veth.peer, str(veth)),
    # A gateway may be reached by a route of its own.
    Route: lambda route: (route.via is not None, str(route)),
    # A start may have a thousand of these, and to write their lines would take longer than the rest of its plan.
    Element: attrgetter("family", "set", "fields", "data"),
    HeldPort: lambda held: (held.address.version, int(held.address), held.port, held.protocol),
    Forwarder: lambda served: (served.address.version, int(served.address), served.port, served.protocol),
}
IN_PLACE = (Bridge, Sysctl, Mtu, Neighbour, Names, Resolver, HostResolver, Leasing)
# A client of these may send on from the same port for ever; a TCP flow ends with its socket.
FORGOTTEN: Mapping[str, Protocol] = {"udp": "udp", "sctp": "sctp"}


def plan(have: Picture, want: Picture) -> tuple[Step, ...]:
    """The steps; empty where the pictures are equal.

    Of ports that stand together and are not the same on both sides, each goes and comes by itself, so that those that stay are not touched.

    First endpoints that go fall silent, then what is new is added, the rules change in one transaction, new endpoints may talk, what is
    old goes in reverse order; names come last and go first.
    """
    if have.items and want.items and (have - want).items and (want - have).items and (have.ranged or want.ranged):
        have, want = have.each(), want.each()
    if have.items == want.items:
        return ()
    links, namespaces = vanishing(have, want)
    standing: list[Item] = []
    hanging: list[Item] = []
    for item in have:
        (hanging if hangs_on(item, links, namespaces) else standing).append(item)
    kept = want.items.intersection(standing) if want.items else want.items
    # A container that starts or ends has nothing on one of the two sides, and may have thousands of items on the other.
    added = [item for item in want if item not in kept] if kept else list(want)
    removed = [item for item in standing if item not in kept] if kept else standing
    beside = added if have.items else ()
    claims, wanted_keys = {claim(item) for item in beside}, {item.key for item in beside}
    # Of what goes with its link: an endpoint falls silent before its rules go, and what is in the way of something new goes before it.
    removed += [item for item in hanging if item.key not in wanted_keys and (is_host_end(item) or claim(item) in claims)]
    left = leaving((*hanging, *removed), have, want)
    return tuple(ordered(removed, added, left, claims, wanted_keys))


def ordered(
    removed: list[Item], added: list[Item], left: Iterable[IPAddress], claims: set[tuple[object, ...]], new_keys: set[tuple[object, ...]]
) -> Iterator[Step]:
    """The steps of what goes and what comes, stage by stage. `left`: addresses that go. `claims`, `new_keys`: of what comes, where anything goes."""
    going, coming = by_stage(removed), by_stage(added)
    # A replacement in place needs no removal; other replacements, and what cannot be beside what comes, go right before it.
    for stage in ("leases", "names", "endpoint up"):
        yield from (Remove(i) for i in reversed(going[stage]) if i.key not in new_keys)
    for stage in STAGES[: RANK["rules"]]:
        if claims:
            yield from (Remove(i) for i in reversed(going[stage]) if claim(i) in claims and not changes_in_place(i, new_keys))
        yield from map(Add, coming[stage])
    yield from map(Remove, going["rules"])
    yield from map(Add, coming["rules"])
    yield from map(Add, coming["endpoint up"])
    yield from forgotten(going["rules"], coming["rules"])
    yield from map(ForgetFrom, left)
    for stage in reversed(STAGES[: RANK["rules"]]):
        yield from (Remove(i) for i in reversed(going[stage]) if not claims or claim(i) not in claims)
    yield from (Remove(i) for i in going["names"] if i.key in new_keys and not changes_in_place(i, new_keys))
    before = {i.key: i for i in going["names"] if changes_in_place(i, new_keys)}
    yield from (Add(i, before.get(i.key)) for i in coming["names"])
    yield from map(Add, coming["leases"])


def by_stage(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Items by stage, in the table's order, like beside like."""
    kinds: dict[type, list[Item]] = {}
    for item in items:
        kinds.setdefault(type(item), []).append(item)
    stages: dict[str, list[Item]] = {stage: [] for stage in STAGES}
    for kind, stage in ORDER:
        alike = kinds.get(kind, [])
        if kind is Up:
            alike = [item for item in alike if is_host_end(item) == (stage == "endpoint up")]
        stages[stage] += sorted(alike, key=PLACES.get(kind, str))
    return stages


def is_host_end(item: Item) -> bool:
    """Whether this is what lets an endpoint talk."""
    return isinstance(item, Up) and item.endpoint and not item.namespace


def changes_in_place(item: Item, new_keys: set[tuple[object, ...]]) -> bool:
    """Whether the Add of its key is enough."""
    return isinstance(item, (*IN_PLACE, Veth, Parent, Sublink)) and item.key in new_keys


def claim(item: Item) -> tuple[object, ...]:
    """What two items cannot have at once, beside their key.

    One default route a metric in a namespace; of a port's sockets one on every address and one on a single address.
    """
    if isinstance(item, Route) and item.kind == "unicast":
        return "route", item.namespace, item.destination, item.metric, item.table
    if isinstance(item, HeldPort | Forwarder):
        return "held", item.protocol, item.port, item.address.version
    return item.key


# -- links that go


def vanishing(have: Picture, want: Picture) -> tuple[set[Link], set[str]]:
    """The links and namespaces that go or are made anew, and take with them what they hold."""
    after = {item.key: item for item in want if isinstance(item, LINKS)}
    links: set[Link] = set()
    namespaces: set[str] = set()
    for item in have:
        there = after.get(item.key) if isinstance(item, LINKS) else None
        if isinstance(item, Namespace) and there is None:
            namespaces.add(item.sandbox)
        elif isinstance(item, Bridge) and there is None and not item.adopted:
            links.add(("", item.name))
        elif isinstance(item, Veth) and not (isinstance(there, Veth) and same_pair(item, there)):
            links |= {("", item.name), (item.namespace, item.peer)}
        elif isinstance(item, Parent) and there is None:
            links.add(("", item.name))
        elif isinstance(item, Sublink) and there != item:
            links.add((item.namespace, item.name))
    return links, namespaces


def same_pair(one: Veth, other: Veth) -> bool:
    """Whether the pair can stay, and only the bridge, the alias, the MTU or a flag of it changes."""
    return (one.namespace, one.peer, one.mac) == (other.namespace, other.peer, other.mac)


def hangs_on(item: Item, links: set[Link], namespaces: set[str]) -> bool:
    """Whether an item goes with one of these links or namespaces."""
    if isinstance(item, Address | Mtu | Route | Neighbour | Up):
        return item.namespace in namespaces or (item.namespace, item.link) in links
    if isinstance(item, Sysctl):
        return item.namespace in namespaces or (item.namespace, link_of(item)) in links
    return False


def link_of(setting: Sysctl) -> str:
    """The interface of a setting like net/ipv4/conf/eth0/route_localnet, "" for others."""
    parts = setting.path.split("/")
    return parts[3] if len(parts) == 5 and parts[2] in ("conf", "neigh") else ""


# -- flows


def leaving(gone: Iterable[Item], have: Picture, want: Picture) -> list[IPAddress]:
    """The addresses, lowest first and IPv4 before IPv6, that go from containers behind bridges: of others the host tracks no flows."""
    addresses = [item for item in gone if isinstance(item, Address) and item.namespace]
    if not addresses:
        return []
    ends = {(item.namespace, item.peer) for item in have if isinstance(item, Veth)}
    stay = {item.address.ip for item in want if isinstance(item, Address) and item.namespace}
    found = {a.address.ip for a in addresses if (a.namespace, a.link) in ends} - stay
    return sorted(found, key=lambda ip: (ip.version, int(ip)))


def forgotten(removed: Collection[Item], added: Collection[Item]) -> Iterator[Forget]:
    """The flows that would go on to an old target, or to the host itself where a port is new."""
    found: dict[Forget, None] = {}
    for item, gone in (*((i, True) for i in removed), *((i, False) for i in added)):
        if isinstance(item, Element) and item.set.startswith("published"):
            protocol, port = item.fields[-2:]
            if protocol in FORGOTTEN:
                target = ipaddress.ip_address(item.data[0]) if gone else None
                found |= {Forget(FORGOTTEN[protocol], int(port) + n, target): None for n in range(item.count)}
    yield from found
