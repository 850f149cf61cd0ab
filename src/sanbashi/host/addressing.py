"""What is set in a namespace, the host's or a container's, and cleared: settings, addresses, links up, neighbours, routes, the resolver's rules."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from ..network.picture import Address, Item, Mtu, Namespace, Neighbour, Resolver, Route, Sysctl, Up
from . import nft, rtnetlink, sysctl
from .gathering import GONE, THERE, Gathering, Work, exists, place
from .namespaces import inside
from .netlink import Message, Netlink


def set_sysctls(change: Gathering) -> None:
    for setting in change.adding(Sysctl):
        if not setting.namespace:
            set_sysctl(change, setting)


def set_sysctl(change: Gathering, setting: Sysctl) -> None:
    if setting.path.startswith("net/ipv6/") and not change.hands.ipv6:
        return
    with change.step(setting):
        if setting.namespace:
            sysctl.write_apart(setting.path, setting.value)
        else:
            sysctl.write(setting.path, setting.value)


def set_up_host(change: Gathering) -> None:
    # After the settings, which may switch a bridge's IPv6 off: then an address is refused.
    fine, kind = THERE | {errno.EACCES, errno.EPERM}, rtnetlink.NEWADDR
    own: list[Work] = [
        (bridge, rtnetlink.address(kind, change.index(bridge, bridge.name), rtnetlink.link_local(mac), protocol=0), fine)
        for bridge, mac in change.fresh
    ]
    up = [u for u in change.adding(Up) if not u.endpoint]
    items: list[Item] = [*change.adding(Address), *up, *change.adding(Neighbour), *change.adding(Route)]
    set_up(change, lambda: change.host, [i for i in items if not place(i)], own)


def set_up_inside(change: Gathering) -> None:
    """Everything within the containers' namespaces, links up included: they reach nobody before the host's end is up."""
    inner: dict[str, list[Item]] = {}
    for kind in (Sysctl, Mtu, Address, Up, Neighbour, Route, Resolver):
        for item in change.coming.get(kind, ()):
            if place(item):
                inner.setdefault(place(item), []).append(item)
    for namespace, items in inner.items():
        with entering(change, items[0], namespace):
            for item in items:
                if isinstance(item, Sysctl):
                    set_sysctl(change, item)
            set_up(change, partial(change.within, namespace, entered=True), items)
            for item in items:
                if isinstance(item, Resolver) and item.port and port_before(change, item) != item.port:
                    rewrite_dns(change, item)


@contextmanager
def entering(change: Gathering, item: Item, namespace: str) -> Iterator[None]:
    try:
        with change.step(item), inside(change.hands.namespaces.path(namespace)):
            yield
    finally:
        while change.resting:
            change.hands.sweeper.close(change.resting.pop().close)


def port_before(change: Gathering, resolver: Resolver) -> int:
    """The port that the rules in the namespace name already, 0 where there are none."""
    before = change.replaced.get(resolver.key)
    fresh = any(namespace.sandbox == resolver.sandbox for namespace in change.adding(Namespace))
    return before.port if isinstance(before, Resolver) and not fresh else 0


def rewrite_dns(change: Gathering, resolver: Resolver) -> None:
    context = nft.Nft(change.hands.counts)
    change.resting.append(context)
    try:
        nft.load_dns(context, resolver.port)
    except nft.NftError as error:
        raise change.fail(resolver, error.errno, error.words) from error


def set_up(change: Gathering, netlink: Callable[[], Netlink], here: Sequence[Item], first: Iterable[Work] = ()) -> None:
    """Addresses, links up, neighbours and routes of the namespace that this thread is in, in one send by its socket."""
    work = list(first)
    work += [(m, rtnetlink.set_link(m.link, mtu=m.mtu), frozenset()) for m in here if isinstance(m, Mtu)]
    for a in (i for i in here if isinstance(i, Address)):
        work.append((a, rtnetlink.address(rtnetlink.NEWADDR, change.index(a, a.link), a.address), THERE))
    for u in (i for i in here if isinstance(i, Up)):
        work.append((u, rtnetlink.set_link(u.link, up=True), frozenset()))
    for n in (i for i in here if isinstance(i, Neighbour)):
        change.hands.falling.discard(rtnetlink.neighbour_word(n.link, n.address))
        work.append((n, rtnetlink.neighbour(rtnetlink.NEWNEIGH, change.index(n, n.link), n.address, n.mac), frozenset()))
    for r in (i for i in here if isinstance(i, Route)):
        work.append((r, route_message(rtnetlink.NEWROUTE, r, change.index(r, r.link)), THERE))
    if work:
        change.send(netlink(), work)


def passing(change: Gathering) -> list[Route | Neighbour | Up | Address]:
    """What is taken from links, routes first."""
    return [*change.removed(Route), *change.removed(Neighbour), *change.removed(Up), *change.removed(Address)]


def clear_host(change: Gathering) -> None:
    clear(change, lambda: change.host, [i for i in passing(change) if not i.namespace and i.link not in change.doomed])


def clear_inside(change: Gathering) -> None:
    items: list[Item] = [i for i in passing(change) if i.namespace and (i.namespace, i.link) not in change.doomed_inside]
    items += change.removed(Resolver)
    items = [i for i in items if place(i) not in change.doomed_namespaces]
    for namespace in {place(i): None for i in items}:
        here = [i for i in items if place(i) == namespace]
        path = change.hands.namespaces.path(namespace)
        if not change.hands.namespaces.pinned(path):
            continue
        with entering(change, here[0], namespace):
            clear(change, partial(change.within, namespace, entered=True), here)
            for resolver in (i for i in here if isinstance(i, Resolver)):
                context = nft.Nft(change.hands.counts)
                change.resting.append(context)
                try:
                    nft.unload_dns(context)
                except nft.NftError as error:
                    raise change.fail(resolver, error.errno, error.words) from error


def clear(change: Gathering, netlink: Callable[[], Netlink], items: Sequence[Item]) -> None:
    """Take things from links of the namespace that this thread is in, by its socket; a link that is gone took them with it."""
    work: list[Work] = []
    for i in items:
        if isinstance(i, Up) and not i.namespace and not i.endpoint:
            continue  # a bridge goes down by going; one that was there before us stays up
        if isinstance(i, Up) and exists(i.link):
            work.append((i, rtnetlink.set_link(i.link, up=False), GONE))
        elif isinstance(i, Route) and exists(i.link):
            work.append((i, route_message(rtnetlink.DELROUTE, i, socket.if_nametoindex(i.link)), GONE))
        elif isinstance(i, Neighbour) and exists(i.link):
            change.hands.falling.add(rtnetlink.neighbour_word(i.link, i.address))
            work.append((i, rtnetlink.neighbour(rtnetlink.DELNEIGH, socket.if_nametoindex(i.link), i.address), GONE))
        elif isinstance(i, Address) and exists(i.link):
            work.append((i, rtnetlink.address(rtnetlink.DELADDR, socket.if_nametoindex(i.link), i.address), GONE))
    if work:
        change.send(netlink(), work)


def route_message(kind: int, r: Route, index: int) -> Message:
    """A route of ours. In a container it takes the place of the one there; on the host it stands beside others, which are not ours to replace."""
    replace = bool(r.namespace)
    return rtnetlink.route(kind, index, r.destination, via=r.via, metric=r.metric, what=r.kind, table=r.table, replace=replace)
