"""What is there: the items of a scope at the cost of the scope, or everything of ours."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field, replace
from ipaddress import IPv6Address

from ..network.model import IPInterface
from ..network.picture import (
    Address,
    Bridge,
    Element,
    Item,
    Mtu,
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
from ..records import dataclass
from . import rtnetlink, sublinks, sysctl
from .gathering import KEPT, Hands, place
from .namespaces import inside
from .netlink import ROUTE, Netlink
from .rtnetlink import Link
from .sweeping import OURS

DEFAULT_MTU = 1500
ENDPOINTS = ("veth", *sublinks.KINDS)  # kinds of interfaces in a container


@dataclass
class Within:
    """What a container's namespace holds: links by name, and ours among its addresses and routes."""

    links: dict[str, Link] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)


# (index of the end in a container, index of the host's end) -> sandbox, the former
Peers = Mapping[tuple[int, int], tuple[str, Link]]


def peers_in(withins: Mapping[str, Within]) -> Peers:
    """The containers' ends of veth pairs by the two indexes; of two the first, as they were looked at."""
    found: dict[tuple[int, int], tuple[str, Link]] = {}
    for sandbox, within in withins.items():
        for link in within.links.values():
            if link.kind == "veth":
                found.setdefault((link.index, link.peer), (sandbox, link))
    return found


@dataclass
class Sight:
    """One look at the kernel. `like` is what is wished: from it comes what a wish leaves to the kernel, so that the two can be compared."""

    hands: Hands
    like: Mapping[tuple[object, ...], Item]
    links: dict[str, Link | None] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)

    # -- a scope

    def scope(self) -> Picture:
        """Of the items named by the keys of `like`, those that are there, as they are."""
        items = list(self.like.values())
        inner = {place(i) for i in items if place(i)} - {""}
        withins = {sandbox: self.within(sandbox, [i for i in items if place(i) == sandbox]) for sandbox in sorted(inner)}
        peers = peers_in(withins)
        found: list[Item] = [i for w in withins.values() for i in w.items]
        with Netlink(ROUTE, self.hands.counts) as netlink:
            for item in items:
                if isinstance(item, Namespace):
                    found += [item] if self.hands.namespaces.pinned(self.hands.namespaces.path(item.sandbox)) else []
                elif isinstance(item, Bridge | Veth | Parent):
                    link = self.link(netlink, item.name)
                    found += [self.link_item(link, peers)] if link else []
                elif isinstance(item, Sublink):
                    found += self.sublinks_of(item.namespace, withins[item.namespace])
                elif isinstance(item, Up) and not item.namespace:
                    link = self.link(netlink, item.link)
                    found += [item] if link and link.up else []
                elif isinstance(item, Sysctl) and not item.namespace:
                    found += self.sysctl(item)
            found += self.host_addresses(netlink, {i.link for i in items if isinstance(i, Address) and not i.namespace})
            found += self.host_routes(netlink, {(i.link, i.table) for i in items if isinstance(i, Route) and not i.namespace})
            for item in items:
                if isinstance(item, Neighbour) and not item.namespace and (link := self.link(netlink, item.link)):
                    held = rtnetlink.neighbour_at(netlink, link.index, item.address)
                    found += [Neighbour("", item.link, held.address, held.mac)] if held else []
        found += self.hands.nft.present([i for i in items if isinstance(i, Element)])
        if any(isinstance(i, KEPT) for i in items):
            found += map(self.kept, self.hands.keeper.items())
        return Picture.of(i for i in found if i.key in self.like)

    def link(self, netlink: Netlink, name: str) -> Link | None:
        """A link of the host by name, asked for once."""
        if name not in self.links:
            self.links[name] = rtnetlink.link(netlink, name)
        return self.links[name]

    def link_item(self, link: Link, peers: Peers) -> Item:
        """The item that a link is."""
        wish = self.like.get(("link", "", link.name))
        if link.kind in ("vlan", "dummy"):
            return sublinks.parent_item(link, self.name(link.peer))
        if link.kind != "veth":
            adopted = isinstance(wish, Bridge) and wish.adopted and link.kind == "bridge"
            mtu = link.mtu if isinstance(wish, Bridge) and wish.mtu else link.mtu if wish is None and link.mtu != DEFAULT_MTU else 0
            mac = link.mac if isinstance(wish, Bridge) and wish.mac else ""
            alias = wish.alias if adopted and isinstance(wish, Bridge) else link.alias
            return Bridge(link.name, alias, mtu, adopted, mac)
        sandbox, peer = peers.get((link.peer, link.index), ("", None))
        mtu = link.mtu if isinstance(wish, Veth) and wish.mtu else link.mtu if wish is None and link.mtu != DEFAULT_MTU else 0
        return Veth(
            name=link.name,
            alias=link.alias,
            master=self.name(link.master),
            namespace=sandbox,
            peer=peer.name if peer else "",
            mac=peer.mac if peer else "",
            mtu=mtu,
            hairpin=link.hairpin,
        )

    def sublinks_of(self, sandbox: str, within: Within) -> Iterator[Item]:
        """The interfaces of ours on links of the host; a container's own of that kind bear no alias of ours."""
        for link in within.links.values():
            if link.kind in sublinks.KINDS and link.alias.startswith(OURS):
                wish = self.like.get(("link", sandbox, link.name))
                yield sublinks.sublink_item(link, sandbox, self.name(link.peer), wish if isinstance(wish, Sublink) else None)

    def name(self, index: int) -> str:
        """The name of a host's link, "" where there is none."""
        if index and index not in self.names:
            try:
                self.names[index] = socket.if_indextoname(index)
            except OSError:
                return ""
        return self.names.get(index, "")

    def sysctl(self, item: Sysctl) -> list[Item]:
        """A setting as it is; where the kernel has no IPv6 at all its settings are as wished."""
        if item.path.startswith("net/ipv6/") and not self.hands.ipv6:
            return [item]
        value = sysctl.read(item.path, self.hands.counts)
        return [] if value is None else [replace(item, value=value)]

    def host_addresses(self, netlink: Netlink, links: Iterable[str]) -> Iterator[Item]:
        for name in links:
            if link := self.link(netlink, name):
                for held in rtnetlink.addresses(netlink, link.index):
                    yield Address("", name, held.address)

    def host_routes(self, netlink: Netlink, places: Iterable[tuple[str, str]]) -> Iterator[Item]:
        for name, table in places:
            if link := self.link(netlink, name):
                number = rtnetlink.TABLES.get(table) or int(table)
                for held in rtnetlink.routes(netlink, table=number, index=link.index):
                    yield self.route("", name, held)

    def route(self, namespace: str, link: str, held: rtnetlink.HeldRoute) -> Item:
        route = Route(namespace, held.to, link, held.via, held.metric, held.kind, held.table)
        # IPv6 gives a route of metric 0 the metric 1024.
        return replace(route, metric=0) if held.to.version == 6 and held.metric == 1024 and route.key not in self.like else route

    def kept(self, item: Item) -> Item:
        """What the keeper holds; a resolver that may have any port is compared without one."""
        wish = self.like.get(item.key)
        return replace(item, port=0) if isinstance(item, Resolver) and isinstance(wish, Resolver) and not wish.port else item

    # -- inside a namespace

    def within(self, sandbox: str, wished: Iterable[Item]) -> Within:
        """What a namespace holds, and those settings that are asked after; nothing where it is gone."""
        path, seen = self.hands.namespaces.path(sandbox), Within()
        if not self.hands.namespaces.pinned(path):
            return seen
        try:
            with inside(path), Netlink(ROUTE, self.hands.counts) as netlink:
                seen.links = {link.name: link for link in rtnetlink.links(netlink)}
                by_index = {link.index: link.name for link in seen.links.values() if link.kind in ENDPOINTS}
                seen.items += [Up(sandbox, name, endpoint=True) for name, link in seen.links.items() if link.kind in ENDPOINTS and link.up]
                for address in rtnetlink.addresses(netlink):
                    name = by_index.get(address.index, "")
                    if name and self.counts_as_ours(Address(sandbox, name, address.address), address.ours):
                        seen.items.append(Address(sandbox, name, address.address))
                for route in rtnetlink.routes(netlink):
                    if route.index in by_index:
                        seen.items.append(self.route(sandbox, by_index[route.index], route))
                for item in wished:
                    if isinstance(item, Sysctl):
                        seen.items += self.sysctl(item)
                    elif isinstance(item, Mtu) and item.link in seen.links:
                        seen.items.append(replace(item, mtu=seen.links[item.link].mtu))
        except FileNotFoundError:  # unpinned meanwhile
            return Within()
        return seen

    def counts_as_ours(self, address: Address, marked: bool) -> bool:
        """An address that we set, or that is wished; kernels before 5.18 do not keep who set it, there every global one on our links is."""
        return marked or address.key in self.like or (not KEEPS_PROTOCOL and not link_local(address.address))

    # -- everything

    def everything(self) -> Picture:
        """All that is ours: by alias, route protocol, table, folder and keeper; of settings those that `like` asks after."""
        hands = self.hands
        sandboxes = hands.namespaces.all()
        wished: dict[str, list[Item]] = {}
        for item in self.like.values():
            wished.setdefault(place(item), []).append(item)
        # The library writes and the daemon reads a long listing; meanwhile the namespaces are entered, one after another.
        with ThreadPoolExecutor(1, "elements") as hand:
            elements = hand.submit(lambda: list(hands.nft.all()))
            withins = {sandbox: self.within(sandbox, wished.get(sandbox, ())) for sandbox in sandboxes}
        peers = peers_in(withins)
        found: list[Item] = [Namespace(sandbox) for sandbox in sandboxes]
        found += [i for w in withins.values() for i in w.items]
        with Netlink(ROUTE, hands.counts) as netlink:
            links = list(rtnetlink.links(netlink))
            self.names = {link.index: link.name for link in links}
            ours = {link.index: link for link in links if self.is_ours(link)}
            found += [self.link_item(link, peers) for link in ours.values()]
            found += [i for sandbox, w in withins.items() for i in self.sublinks_of(sandbox, w)]
            found += [Up("", link.name, endpoint=link.kind == "veth") for link in ours.values() if link.up]
            for address in rtnetlink.addresses(netlink):
                if address.index in ours:
                    item = Address("", ours[address.index].name, address.address)
                    found += [item] if self.counts_as_ours(item, address.ours) else []
            found += [self.route("", self.name(r.index), r) for r in rtnetlink.routes(netlink)]
            for link in ours.values():
                if link.kind == "bridge":
                    found += [Neighbour("", link.name, n.address, n.mac) for n in rtnetlink.neighbours(netlink, link.index)]
        found += [s for i in wished.get("", ()) if isinstance(i, Sysctl) for s in self.sysctl(i)]
        found += elements.result()
        found += map(self.kept, hands.keeper.items())
        return Picture.of(found)

    def is_ours(self, link: Link) -> bool:
        wish = self.like.get(("link", "", link.name))
        return link.alias.startswith(OURS) or (isinstance(wish, Bridge) and wish.adopted and link.kind == "bridge")


def link_local(address: IPInterface) -> bool:
    """Whether it is an IPv6 link-local address, which the kernel makes by itself."""
    return isinstance(address.ip, IPv6Address) and address.ip.is_link_local


def release() -> tuple[int, int]:
    """The running kernel's version."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(c for c in minor if c.isdigit()) or 0)


KEEPS_PROTOCOL = release() >= (5, 18)
