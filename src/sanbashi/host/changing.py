"""One change of the kernel's network: steps gathered by what carries them out, each gathering done in one go.

A start of a container is: a namespace, one send for its links, one send in its namespace, one message to the keeper, one transaction of
rules, one send that lets it talk.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar, cast

from ..errors import StepFailed
from ..network.picture import (
    Address,
    Bridge,
    Element,
    Forwarder,
    HeldPort,
    Item,
    Names,
    Namespace,
    Neighbour,
    Picture,
    Resolver,
    Route,
    Sysctl,
    Up,
    Veth,
    Zone,
)
from ..network.plan import claim
from . import conntrack, nft, rtnetlink, sysctl
from .counts import Counts
from .namespaces import Namespaces, inside
from .netlink import ROUTE, Message, Netlink, Refusal
from .sweeping import OURS, Sweeper

KEPT = (Zone, Names, Resolver, HeldPort, Forwarder)  # what the keeper holds
GONE = frozenset({errno.ENODEV, errno.ESRCH, errno.ENOENT, errno.EADDRNOTAVAIL, errno.ENXIO})
THERE = frozenset({errno.EEXIST})
T = TypeVar("T")


class Keeper(Protocol):
    """The daemon's end of the keeper, as far as a change needs it."""

    def change(self, remove: Sequence[Item], add: Sequence[Item], *, namespaces: Callable[[str], Path] | None = None) -> tuple[Item, ...]: ...

    def items(self) -> Picture: ...


@dataclass
class Hands:
    """What a change works with; all of it may be used by several threads at a time."""

    namespaces: Namespaces
    keeper: Keeper
    nft: nft.Nft
    conntrack: conntrack.Conntrack
    sweeper: Sweeper
    counts: Counts
    ipv6: bool


Work = tuple[Item, Message, frozenset[int]]  # what it is for, the message, the errors that mean it is so already


@dataclass
class Change:
    """Items to add and to remove, and flows to forget; `carry_out` goes through PHASES and stops at the first failure."""

    hands: Hands
    add: Sequence[Item]
    remove: Sequence[Item]
    flows: Collection[conntrack.Flows] = ()
    words: Mapping[tuple[object, ...], str] = field(default_factory=dict)  # key of an item -> how its step describes itself
    fresh: list[tuple[Bridge, bytes]] = field(default_factory=list)  # bridges just made that have no link-local address yet
    resting: list[nft.Nft] = field(default_factory=list)  # contexts opened in a container's namespace, to be closed from here
    stand: tuple[Item, ...] = ()  # what the keeper keeps of it, resolvers with their ports

    def carry_out(self) -> None:
        """StepFailed, naming the step, at the first that fails; what was done before stands."""
        self.added = {i.key for i in self.add}
        self.claims = {claim(i) for i in self.add if isinstance(i, HeldPort | Forwarder)}
        # What goes with its link or namespace needs no message of its own.
        self.doomed = {i.name for i in self.removed(Veth)} | {i.name for i in self.removed(Bridge) if not i.adopted}
        self.doomed_inside = {(i.namespace, i.peer) for i in self.removed(Veth)}
        self.doomed_namespaces = {i.sandbox for i in self.removed(Namespace)}
        for phase in PHASES:
            phase(self)

    # -- gathering

    def adding(self, kind: type[T]) -> list[T]:
        return [i for i in self.add if isinstance(i, kind)]

    def removed(self, kind: type[T]) -> list[T]:
        """What goes for good: not what is replaced."""
        return [i for i in self.remove if isinstance(i, kind) and cast(Item, i).key not in self.added]

    def fail(self, item: Item, code: int, words: str, hint: str = "") -> StepFailed:
        return StepFailed(self.words.get(item.key, str(item)), errno=code, stderr=words, hint=hint)

    @contextmanager
    def step(self, item: Item, *fine: int) -> Iterator[None]:
        """An OSError in here is the failure of this item's step, but for those errors that mean it is so already."""
        try:
            yield
        except OSError as error:
            if error.errno not in fine:
                raise self.fail(item, error.errno or 0, error.strerror or str(error)) from error

    def send(self, netlink: Netlink, work: Sequence[Work]) -> None:
        """Send a batch; the first refusal that matters is raised."""
        if work:
            for (item, _, fine), refused in zip(work, netlink.send([m for _, m, _ in work]), strict=True):
                self.judge(item, refused, fine)

    def judge(self, item: Item, refused: Refusal | None, fine: frozenset[int] = frozenset()) -> None:
        if refused is not None and refused.errno not in fine:
            raise self.fail(item, refused.errno, str(refused))

    def index(self, item: Item, link: str) -> int:
        """The index of a link in the namespace of this thread."""
        with self.step(item):
            return socket.if_nametoindex(link)
        raise AssertionError

    # -- coming into being

    def silence(self) -> None:
        """Endpoint links down first: nobody talks while its rules go."""
        work = [(u, rtnetlink.set_link(u.link, up=False), GONE) for u in self.removed(Up) if not u.namespace and u.endpoint]
        if work:
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

    def create_bridges(self) -> None:
        bridges = self.adding(Bridge)
        if not bridges:
            return
        self.hands.sweeper.settle(b.name for b in bridges)
        with Netlink(ROUTE, self.hands.counts) as netlink:
            for bridge in bridges:
                there = rtnetlink.link(netlink, bridge.name)
                if there is not None:
                    self.adopt(netlink, bridge, there)
                elif bridge.adopted:
                    raise self.fail(bridge, errno.ENODEV, f"there is no bridge {bridge.name}")
                else:
                    self.make_bridge(netlink, bridge)

    def make_bridge(self, netlink: Netlink, bridge: Bridge) -> None:
        mac = rtnetlink.mac_bytes(bridge.mac) if bridge.mac else random_mac()
        messages = [rtnetlink.new_bridge(bridge.name, mac), rtnetlink.set_link(bridge.name, alias=bridge.alias, mtu=bridge.mtu)]
        messages += [rtnetlink.no_link_local(bridge.name)] if self.hands.ipv6 else []
        self.send(netlink, [(bridge, message, frozenset()) for message in messages])
        if self.hands.ipv6:
            with self.step(bridge):
                sysctl.write(f"net/ipv6/conf/{bridge.name}/accept_ra", "0")
            self.fresh.append((bridge, mac))

    def adopt(self, netlink: Netlink, bridge: Bridge, there: rtnetlink.Link) -> None:
        """A bridge that is there already: ours is brought to what is wished, one to adopt is left as it is, any other is refused."""
        if there.kind != "bridge":
            raise self.fail(bridge, errno.EEXIST, f"the link {bridge.name} is {there.kind or 'a device'}, not a bridge")
        if bridge.adopted:
            return
        if not there.alias.startswith(OURS):
            hint = f"choose another name for the bridge, or remove this one: ip link delete {bridge.name}"
            raise self.fail(bridge, errno.EEXIST, f"a bridge {bridge.name} exists and is not ours", hint)
        if there.alias != bridge.alias or bridge.mtu not in (0, there.mtu):
            self.send(netlink, [(bridge, rtnetlink.set_link(bridge.name, alias=bridge.alias, mtu=bridge.mtu), frozenset())])

    def create_veths(self) -> None:
        veths = self.adding(Veth)
        if not veths:
            return
        self.hands.sweeper.settle(v.name for v in veths)
        work: list[Work] = []
        opened: list[int] = []
        wanted = {(v.namespace, v.peer) for v in veths}
        in_the_way: list[Work] = [(v, rtnetlink.del_link(v.name), GONE) for v in self.removed(Veth) if (v.namespace, v.peer) in wanted]
        try:
            with Netlink(ROUTE, self.hands.counts) as netlink:
                self.send(netlink, in_the_way)
                for veth in veths:
                    if exists(veth.name) and self.settled(netlink, veth):
                        continue
                    with self.step(veth):
                        opened.append(os.open(self.hands.namespaces.path(veth.namespace), os.O_RDONLY | os.O_CLOEXEC))
                    master = self.index(veth, veth.master)
                    new = rtnetlink.new_veth(veth.name, master, veth.peer, rtnetlink.mac_bytes(veth.mac), opened[-1], veth.mtu)
                    label = rtnetlink.set_link(veth.name, alias=veth.alias, hairpin=True if veth.hairpin else None)
                    work += [(veth, new, frozenset()), (veth, label, frozenset())]
                self.send(netlink, work)
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def settled(self, netlink: Netlink, veth: Veth) -> bool:
        """Whether a link of this name is the wished one, made so where that is possible; one of ours that cannot be is deleted."""
        there = rtnetlink.link(netlink, veth.name)
        if there is None:
            return False
        if not there.alias.startswith(OURS):
            raise self.fail(veth, errno.EEXIST, f"a link {veth.name} exists and is not ours")
        path = self.hands.namespaces.path(veth.namespace)
        with self.step(veth), inside(path), Netlink(ROUTE, self.hands.counts) as within:
            peer = rtnetlink.link(within, veth.peer)
        same = peer is not None and (peer.index, peer.peer, peer.mac) == (there.peer, there.index, veth.mac)
        if not same or veth.mtu not in (0, there.mtu):
            self.send(netlink, [(veth, rtnetlink.del_link(veth.name), GONE)])
            return False
        master = self.index(veth, veth.master)
        change = rtnetlink.set_link(veth.name, alias=veth.alias, master=master if master != there.master else 0, hairpin=veth.hairpin)
        self.send(netlink, [(veth, change, frozenset())])
        return True

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
        here = [i for i in self.add if isinstance(i, Address | Neighbour | Route) or (isinstance(i, Up) and not i.endpoint)]
        self.set_up("", here, own)

    def set_up_inside(self) -> None:
        """Everything within the containers' namespaces, links up included: they reach nobody before the host's end is up."""
        kinds = (Sysctl, Address, Up, Neighbour, Route, Resolver)
        names = {place(i): None for i in self.add if isinstance(i, kinds) and place(i)}
        for namespace in names:
            items = [i for i in self.add if isinstance(i, kinds) and place(i) == namespace]
            with self.entering(items[0], namespace):
                for item in items:
                    if isinstance(item, Sysctl):
                        self.set_sysctl(item)
                self.set_up(namespace, items)
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
        return next((r.port for r in self.remove if isinstance(r, Resolver) and r.key == resolver.key), 0)

    def rewrite_dns(self, resolver: Resolver) -> None:
        context = nft.Nft(self.hands.counts)
        self.resting.append(context)
        try:
            nft.load_dns(context, resolver.port)
        except nft.NftError as error:
            raise self.fail(resolver, error.errno, error.words) from error

    def set_up(self, namespace: str, items: Iterable[Item], first: Iterable[Work] = ()) -> None:
        """Addresses, links up, neighbours and routes of the namespace that this thread is in, in one send."""
        here = [i for i in items if place(i) == namespace]
        work = list(first)
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
        add = [i for i in self.add if isinstance(i, KEPT)]
        if add:
            now = [i for i in self.remove if isinstance(i, KEPT) and not self.waits(i)]
            with self.step(add[0]):
                self.stand = self.hands.keeper.change(now, add, namespaces=self.hands.namespaces.path)
            anywhere = {i.key for i in add if isinstance(i, Resolver) and not i.port}
            for item in self.stand:
                if isinstance(item, Resolver) and item.key in anywhere and self.port_before(item) != item.port:
                    with self.entering(item, item.sandbox):
                        self.rewrite_dns(item)

    def waits(self, item: Item) -> bool:
        """Whether what the keeper holds is given up only after the rules: a port, unless it is in the way of a new one."""
        return isinstance(item, HeldPort | Forwarder) and claim(item) not in self.claims

    def rules(self) -> None:
        remove, add = [i for i in self.remove if isinstance(i, Element)], self.adding(Element)
        if remove or add:
            self.hands.nft.change(remove, add)

    def let_talk(self) -> None:
        work: list[Work] = [(u, rtnetlink.set_link(u.link, up=True), frozenset()) for u in self.adding(Up) if not u.namespace and u.endpoint]
        if work:
            with Netlink(ROUTE, self.hands.counts) as netlink:
                self.send(netlink, work)

    def forget(self) -> None:
        try:
            self.hands.conntrack.forget(self.flows)
        except OSError as error:
            named = ", ".join(sorted({f"{f.port}/{f.protocol}" for f in self.flows}))
            raise StepFailed(f"forget flows to {named}", errno=error.errno or 0, stderr=str(error)) from error

    # -- going

    def release(self) -> None:
        add = any(isinstance(i, KEPT) for i in self.add)
        gone = [i for i in self.remove if isinstance(i, KEPT) and (not add or self.waits(i))]
        if gone:
            with self.step(gone[0]):
                self.hands.keeper.change(gone, (), namespaces=self.hands.namespaces.path)

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

    def delete_links(self) -> None:
        """Only a link that bears our alias is deleted: one of the same name that somebody made since is left alone.

        One whose namespace goes too is left to the sweeper: it is down, has no rules, and its end takes the kernel 20 to 40 ms.
        """
        links: list[Veth | Bridge] = [*self.removed(Veth), *(b for b in self.removed(Bridge) if not b.adopted)]
        if not links:
            return
        dying = {v.name for v in self.removed(Veth) if v.namespace in self.doomed_namespaces}
        with Netlink(ROUTE, self.hands.counts) as netlink:
            work: list[Work] = []
            for item in links:
                if item.name in dying:
                    self.hands.sweeper.delete(item.name)
                    continue
                there = rtnetlink.link(netlink, item.name)
                if there is not None and there.alias.startswith(OURS):
                    work.append((item, rtnetlink.del_link(item.name), GONE))
            self.send(netlink, work)

    def unpin(self) -> None:
        for namespace in self.removed(Namespace):
            with self.step(namespace):
                self.hands.namespaces.remove(namespace.sandbox)


# Rules stand before an endpoint can talk and until it cannot; routes stand as long as a rule may translate to them; what is new comes
# before what is old goes. One pass serves a start, a stop and a replacement.
PHASES: tuple[Callable[[Change], None], ...] = (
    Change.silence,
    Change.create_namespaces,
    Change.create_bridges,
    Change.create_veths,
    Change.set_sysctls,
    Change.set_up_host,
    Change.set_up_inside,
    Change.keep,
    Change.rules,
    Change.let_talk,
    Change.forget,
    Change.release,
    Change.clear_host,
    Change.clear_inside,
    Change.delete_links,
    Change.unpin,
)


def place(item: Item) -> str:
    """The sandbox whose namespace an item is in, "" for the host's."""
    if isinstance(item, Resolver):
        return item.sandbox
    return str(getattr(item, "namespace", ""))


def exists(link: str) -> bool:
    """Whether the namespace of this thread has a link of this name."""
    try:
        return bool(socket.if_nametoindex(link))
    except OSError:
        return False


def random_mac() -> bytes:
    """A locally administered unicast address."""
    octets = os.urandom(6)
    return bytes([octets[0] & 0xFC | 0x02]) + octets[1:]


def route_message(kind: int, r: Route, index: int) -> Message:
    """A route of ours. In a container it takes the place of the one there; on the host it stands beside others, which are not ours to replace."""
    replace = bool(r.namespace)
    return rtnetlink.route(kind, index, r.destination, via=r.via, metric=r.metric, what=r.kind, table=r.table, replace=replace)

