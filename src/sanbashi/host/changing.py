"""One change of the kernel's network: steps gathered by what carries them out, each gathering done in one go.

A start of a container is: a namespace, one send for its links, one send in its namespace, one message to the keeper, one transaction of
rules, one send that lets it talk.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from ..errors import StepFailed
from ..network.picture import (
    Address,
    Element,
    Forwarder,
    HeldPort,
    Item,
    Leasing,
    Mtu,
    Namespace,
    Neighbour,
    Resolver,
    Route,
    Sublink,
    Sysctl,
    Up,
    Veth,
)
from ..network.plan import claim
from . import linking, nft, rtnetlink, sublinks, sysctl
from .crash import crash_point
from .gathering import GONE, KEPT, THERE, Gathering, Work, exists, place
from .namespaces import inside
from .netlink import ROUTE, Message, Netlink


@dataclass
class Change(Gathering):
    """One change of the kernel and the keeper."""

    def carry_out(self) -> None:
        """Go through PHASES. StepFailed, naming the step, at the first that fails; what was done before stands."""
        for phase in PHASES:
            phase(self)

    # -- coming into being

    def give_back(self) -> None:
        """Leases first: their servers are told while the endpoint can still talk."""
        if gone := self.removed(Leasing):
            self.hands.keeper.change(gone, (), namespaces=self.hands.namespaces.path)

    def silence(self) -> None:
        """Endpoint links down first: nobody talks while its rules go."""
        work = [(u, rtnetlink.set_link(u.link, up=False), GONE) for u in self.removed(Up) if not u.namespace and u.endpoint]
        if work:
            self.hands.falling.update(u.link for u in self.removed(Up) if not u.namespace)
            with Netlink(ROUTE, self.hands.counts) as netlink:
                self.send(netlink, cast(list[Work], work))

    def create_namespaces(self) -> None:
        def lo_up() -> None:
            with Netlink(ROUTE, self.hands.counts) as netlink:
                for refused in netlink.send([rtnetlink.set_link("lo", up=True)]):
                    if refused is not None:
                        raise OSError(refused.errno, str(refused))

        for namespace in self.adding(Namespace):
            with self.step(namespace, errno.EEXIST):
                self.hands.namespaces.create(namespace.sandbox, lo_up)
            crash_point(namespace)

    def set_sysctls(self) -> None:
        for setting in self.adding(Sysctl):
            if not setting.namespace:
                self.set_sysctl(setting)

    def set_sysctl(self, setting: Sysctl) -> None:
        if setting.path.startswith("net/ipv6/") and not self.hands.ipv6:
            return
        with self.step(setting):
            sysctl.write(setting.path, setting.value)

    def set_up_host(self) -> None:
        # After the settings, which may switch a bridge's IPv6 off: then an address is refused.
        fine, kind = THERE | {errno.EACCES, errno.EPERM}, rtnetlink.NEWADDR
        own: list[Work] = [
            (bridge, rtnetlink.address(kind, self.index(bridge, bridge.name), rtnetlink.link_local(mac), protocol=0), fine)
            for bridge, mac in self.fresh
        ]
        up = [u for u in self.adding(Up) if not u.endpoint]
        items: list[Item] = [*self.adding(Address), *up, *self.adding(Neighbour), *self.adding(Route)]
        self.set_up([i for i in items if not place(i)], own)

    def set_up_inside(self) -> None:
        """Everything within the containers' namespaces, links up included: they reach nobody before the host's end is up."""
        inner: dict[str, list[Item]] = {}
        for kind in (Sysctl, Mtu, Address, Up, Neighbour, Route, Resolver):
            for item in self.coming.get(kind, ()):
                if place(item):
                    inner.setdefault(place(item), []).append(item)
        for namespace, items in inner.items():
            with self.entering(items[0], namespace):
                for item in items:
                    if isinstance(item, Sysctl):
                        self.set_sysctl(item)
                self.set_up(items)
                for item in items:
                    if isinstance(item, Resolver) and item.port and self.port_before(item) != item.port:
                        self.rewrite_dns(item)

    @contextmanager
    def entering(self, item: Item, namespace: str) -> Iterator[None]:
        try:
            with self.step(item), inside(self.hands.namespaces.path(namespace)):
                yield
        finally:
            while self.resting:
                self.hands.sweeper.close(self.resting.pop().close)

    def port_before(self, resolver: Resolver) -> int:
        """The port that the rules in the namespace name already, 0 where there are none."""
        before = self.replaced.get(resolver.key)
        fresh = any(namespace.sandbox == resolver.sandbox for namespace in self.adding(Namespace))
        return before.port if isinstance(before, Resolver) and not fresh else 0

    def rewrite_dns(self, resolver: Resolver) -> None:
        context = nft.Nft(self.hands.counts)
        self.resting.append(context)
        try:
            nft.load_dns(context, resolver.port)
        except nft.NftError as error:
            raise self.fail(resolver, error.errno, error.words) from error

    def set_up(self, here: Sequence[Item], first: Iterable[Work] = ()) -> None:
        """Addresses, links up, neighbours and routes of the namespace that this thread is in, in one send."""
        work = list(first)
        work += [(m, rtnetlink.set_link(m.link, mtu=m.mtu), frozenset()) for m in here if isinstance(m, Mtu)]
        for a in (i for i in here if isinstance(i, Address)):
            work.append((a, rtnetlink.address(rtnetlink.NEWADDR, self.index(a, a.link), a.address), THERE))
        for u in (i for i in here if isinstance(i, Up)):
            work.append((u, rtnetlink.set_link(u.link, up=True), frozenset()))
        for n in (i for i in here if isinstance(i, Neighbour)):
            work.append((n, rtnetlink.neighbour(rtnetlink.NEWNEIGH, self.index(n, n.link), n.address, n.mac), frozenset()))
        for r in (i for i in here if isinstance(i, Route)):
            work.append((r, route_message(rtnetlink.NEWROUTE, r, self.index(r, r.link)), THERE))
        if work:
            with Netlink(ROUTE, self.hands.counts) as netlink:
                self.send(netlink, work)

    def keep(self) -> None:
        """One message: what is new, what it replaces, and names that go. Ports that are given up wait until their rules are gone."""
        add = list(kept(self.add))
        if add:
            now = [i for i in kept(self.remove) if not self.waits(i)]
            with self.step(add[0]):
                crash_point("before the keeper's change")
                self.stand = self.hands.keeper.change(now, add, namespaces=self.hands.namespaces.path)
                crash_point("after the keeper's change")
            anywhere = {i.key for i in add if isinstance(i, Resolver) and not i.port}
            for item in self.stand:
                if isinstance(item, Resolver) and item.key in anywhere and self.port_before(item) != item.port:
                    with self.entering(item, item.sandbox):
                        self.rewrite_dns(item)

    def waits(self, item: Item) -> bool:
        """Whether what the keeper holds is given up only after the rules: a port, unless it is in the way of a new one."""
        return isinstance(item, HeldPort | Forwarder) and claim(item) not in self.claims

    def rules(self) -> None:
        remove, add = self.removing(Element), self.adding(Element)
        if remove or add:
            with self.guarding():
                self.hands.guard.change(remove=remove)
            self.hands.nft.change(remove, add)
            with self.guarding():
                self.hands.guard.change(add=add)
            crash_point("rules")

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """A refusal by the guard's table is a failure of the rules."""
        try:
            yield
        except nft.NftError as error:
            raise StepFailed("rules of the guard", errno=error.errno, stderr=error.words) from error

    def let_talk(self) -> None:
        work: list[Work] = [(u, rtnetlink.set_link(u.link, up=True), frozenset()) for u in self.adding(Up) if not u.namespace and u.endpoint]
        if work:
            with Netlink(ROUTE, self.hands.counts) as netlink:
                self.send(netlink, work)

    def announce(self) -> None:
        """The addresses of interfaces that have just come up, where their neighbours may remember others."""
        links: list[Veth | Sublink] = [*self.adding(Veth), *self.adding(Sublink)]
        for link in links:
            name = link.peer if isinstance(link, Veth) else link.name
            fresh = [a.address.ip for a in self.adding(Address) if (a.namespace, a.link) == (link.namespace, name)]
            if link.announce[0] and fresh:
                with self.step(link, *GONE, errno.ENETDOWN), inside(self.hands.namespaces.path(link.namespace)):
                    self.hands.announcer.announce(name, fresh, link.announce)
        told = {(link.namespace, link.peer if isinstance(link, Veth) else link.name) for link in links}
        for late in self.adding(Address):
            if late.announce[0] and (late.namespace, late.link) not in told:
                with self.step(late, *GONE, errno.ENETDOWN), inside(self.hands.namespaces.path(late.namespace)):
                    self.hands.announcer.announce(late.link, [late.address.ip], late.announce)

    def lease(self) -> None:
        """Have the keeper ask for leases, now that the endpoints can talk."""
        if add := self.adding(Leasing):
            self.hands.keeper.change((), add, namespaces=self.hands.namespaces.path)

    def forget(self) -> None:
        try:
            self.hands.conntrack.forget(self.flows)
        except OSError as error:
            named = ", ".join(sorted({f"{f.port}/{f.protocol}" for f in self.flows}))
            raise StepFailed(f"forget flows to {named}", errno=error.errno or 0, stderr=str(error)) from error

    # -- going

    def release(self) -> None:
        add = any(kept(self.add))
        gone = [i for i in kept(self.remove) if not add or self.waits(i)]
        if gone:
            with self.step(gone[0]):
                self.hands.keeper.change(gone, (), namespaces=self.hands.namespaces.path)
                crash_point("given up by the keeper")

    def passing(self) -> list[Route | Neighbour | Up | Address]:
        """What is taken from links, routes first."""
        return [*self.removed(Route), *self.removed(Neighbour), *self.removed(Up), *self.removed(Address)]

    def clear_host(self) -> None:
        self.clear([i for i in self.passing() if not i.namespace and i.link not in self.doomed])

    def clear_inside(self) -> None:
        items: list[Item] = [i for i in self.passing() if i.namespace and (i.namespace, i.link) not in self.doomed_inside]
        items += self.removed(Resolver)
        items = [i for i in items if place(i) not in self.doomed_namespaces]
        for namespace in {place(i): None for i in items}:
            here = [i for i in items if place(i) == namespace]
            path = self.hands.namespaces.path(namespace)
            if not self.hands.namespaces.pinned(path):
                continue
            with self.entering(here[0], namespace):
                self.clear(here)
                for resolver in (i for i in here if isinstance(i, Resolver)):
                    context = nft.Nft(self.hands.counts)
                    self.resting.append(context)
                    try:
                        nft.unload_dns(context)
                    except nft.NftError as error:
                        raise self.fail(resolver, error.errno, error.words) from error

    def clear(self, items: Sequence[Item]) -> None:
        """Take things from links of the namespace that this thread is in; a link that is gone took them with it."""
        work: list[Work] = []
        for i in items:
            if isinstance(i, Up) and not i.namespace and not i.endpoint:
                continue  # a bridge goes down by going; one that was there before us stays up
            if isinstance(i, Up) and exists(i.link):
                work.append((i, rtnetlink.set_link(i.link, up=False), GONE))
            elif isinstance(i, Route) and exists(i.link):
                work.append((i, route_message(rtnetlink.DELROUTE, i, socket.if_nametoindex(i.link)), GONE))
            elif isinstance(i, Neighbour) and exists(i.link):
                work.append((i, rtnetlink.neighbour(rtnetlink.DELNEIGH, socket.if_nametoindex(i.link), i.address), GONE))
            elif isinstance(i, Address) and exists(i.link):
                work.append((i, rtnetlink.address(rtnetlink.DELADDR, socket.if_nametoindex(i.link), i.address), GONE))
        if work:
            with Netlink(ROUTE, self.hands.counts) as netlink:
                self.send(netlink, work)

    def unpin(self) -> None:
        for namespace in self.removed(Namespace):
            with self.step(namespace):
                self.hands.namespaces.remove(namespace.sandbox)
            crash_point(namespace)


# Rules stand before an endpoint can talk and until it cannot; routes stand as long as a rule may translate to them; what is new comes
# before what is old goes. One pass serves a start, a stop and a replacement.
PHASES: tuple[Callable[[Change], None], ...] = (
    Change.give_back,
    Change.silence,
    Change.create_namespaces,
    linking.create_bridges,
    sublinks.create_parents,
    linking.create_veths,
    sublinks.create_sublinks,
    Change.set_sysctls,
    Change.set_up_host,
    Change.set_up_inside,
    Change.keep,
    Change.rules,
    Change.let_talk,
    linking.await_carriers,
    Change.announce,
    Change.lease,
    Change.forget,
    Change.release,
    Change.clear_host,
    Change.clear_inside,
    linking.delete_links,
    sublinks.delete_sublinks,
    sublinks.delete_parents,
    Change.unpin,
)


def kept(items: Iterable[Item]) -> Iterator[Item]:
    """What the keeper keeps, leases aside, in order."""
    return (i for i in items if isinstance(i, KEPT) and not isinstance(i, Leasing))


def route_message(kind: int, r: Route, index: int) -> Message:
    """A route of ours. In a container it takes the place of the one there; on the host it stands beside others, which are not ours to replace."""
    replace = bool(r.namespace)
    return rtnetlink.route(kind, index, r.destination, via=r.via, metric=r.metric, what=r.kind, table=r.table, replace=replace)
