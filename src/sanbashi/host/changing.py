"""One change of the kernel's network: steps gathered by what carries them out, each gathering done in one go.

A start of a container is: a namespace, one send for its links, one send in its namespace, one message to the keeper, one transaction of
rules, one send that lets it talk.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import field
from typing import cast

from ..containers.spec import OPEN
from ..errors import StepFailed
from ..network.model import IPAddress
from ..network.picture import (
    Address,
    Announce,
    Element,
    Forwarder,
    HeldPort,
    Item,
    Leasing,
    Names,
    Namespace,
    Resolver,
    Sublink,
    Up,
    Veth,
    Zone,
)
from ..network.plan import claim
from ..records import dataclass
from . import addressing, linking, nft, rtnetlink, sublinks, sysctl
from .crash import crash_point
from .gathering import GONE, KEPT, Gathering, Work
from .namespaces import inside
from .netlink import ROUTE, Netlink


@dataclass
class Change(Gathering):
    """One change of the kernel and the keeper."""

    told: Callable[[], tuple[Item, ...]] | None = None  # waits for the keeper's answer
    under_way: ExitStack = field(default_factory=ExitStack)  # what the keeper was told, until it has answered

    def carry_out(self) -> None:
        """Go through PHASES. StepFailed, naming the step, at the first that fails; what was done before stands."""
        with self.opened:
            self.hands.conntrack.await_leavers(a.address.ip for a in self.adding(Address) if a.namespace)
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
            self.send(self.host, cast(list[Work], work))

    def create_namespaces(self) -> None:
        def make_ready() -> None:
            for name, value in OPEN.items():
                sysctl.write_apart(name.replace(".", "/"), value)
            with Netlink(ROUTE, self.hands.counts) as netlink:
                for refused in netlink.send([rtnetlink.set_link("lo", up=True)]):
                    if refused is not None:
                        raise OSError(refused.errno, str(refused))

        for namespace in self.adding(Namespace):
            with self.step(namespace, errno.EEXIST):
                self.hands.namespaces.create(namespace.sandbox, make_ready)
            crash_point(namespace)

    def begin_to_keep(self) -> None:
        """Names and resolvers alone cannot be refused, so the keeper, which is a process of its own, gets at them while the rest is set up."""
        add = list(kept(self.add))
        if add and all(isinstance(item, Zone | Names | Resolver) for item in add):
            self.tell_keeper(add)

    def keep(self) -> None:
        """One message: what is new, what it replaces, and names that go. Ports that are given up wait until their rules are gone."""
        add = list(kept(self.add))
        if add and self.told is None:
            self.tell_keeper(add)
            self.hear_keeper()

    def tell_keeper(self, add: Sequence[Item]) -> None:
        now = [i for i in kept(self.remove) if not self.waits(i)]
        with self.step(add[0]):
            crash_point("before the keeper's change")
            self.opened.enter_context(self.under_way)
            self.told = self.under_way.enter_context(self.hands.keeper.changing(now, add, namespaces=self.hands.namespaces.path))

    def hear_keeper(self) -> None:
        """Wait until the keeper has done what it was told last."""
        if self.told is None:
            return
        add = list(kept(self.add))
        with self.step(add[0]), self.under_way:
            self.stand, self.told = self.told(), None
            crash_point("after the keeper's change")
        anywhere = {i.key for i in add if isinstance(i, Resolver) and not i.port}
        for item in self.stand:
            if isinstance(item, Resolver) and item.key in anywhere and addressing.port_before(self, item) != item.port:
                with addressing.entering(self, item, item.sandbox):
                    addressing.rewrite_dns(self, item)

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
            self.send(self.host, work)

    def announce(self) -> None:
        """The addresses of interfaces that have just come up, where their neighbours may remember others."""
        links: list[Veth | Sublink] = [*self.adding(Veth), *self.adding(Sublink)]
        for link in links:
            name = link.peer if isinstance(link, Veth) else link.name
            fresh = [a.address.ip for a in self.adding(Address) if (a.namespace, a.link) == (link.namespace, name)]
            if link.announce[0] and fresh:
                self.tell(link, link.namespace, name, fresh, link.announce)
        told = {(link.namespace, link.peer if isinstance(link, Veth) else link.name) for link in links}
        for late in self.adding(Address):
            if late.announce[0] and (late.namespace, late.link) not in told:
                self.tell(late, late.namespace, late.link, [late.address.ip], late.announce)

    def tell(self, item: Item, namespace: str, link: str, addresses: Iterable[IPAddress], plan: Announce) -> None:
        with self.step(item, *GONE, errno.ENETDOWN):
            with inside(self.hands.namespaces.path(namespace)):
                due = self.hands.announcer.prepare(link, addresses, plan)
            self.hands.announcer.take(due)

    def lease(self) -> None:
        """Have the keeper ask for leases, now that the endpoints can talk."""
        if add := self.adding(Leasing):
            self.hands.keeper.change((), add, namespaces=self.hands.namespaces.path)

    def forget(self) -> None:
        try:
            self.hands.conntrack.forget(self.flows, self.left)
        except OSError as error:
            named = ", ".join((*sorted({f"to {f.port}/{f.protocol}" for f in self.flows}), *(f"from {address}" for address in self.left)))
            raise StepFailed(f"forget flows {named}", errno=error.errno or 0, stderr=str(error)) from error

    # -- going

    def release(self) -> None:
        add = any(kept(self.add))
        gone = [i for i in kept(self.remove) if not add or self.waits(i)]
        if gone:
            with self.step(gone[0]):
                self.hands.keeper.change(gone, (), namespaces=self.hands.namespaces.path)
                crash_point("given up by the keeper")

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
    addressing.set_sysctls,
    addressing.set_up_host,
    Change.begin_to_keep,
    addressing.set_up_inside,
    Change.keep,
    Change.rules,
    Change.hear_keeper,
    Change.let_talk,
    linking.await_carriers,
    Change.announce,
    Change.lease,
    Change.forget,
    Change.release,
    addressing.clear_host,
    addressing.clear_inside,
    linking.delete_links,
    sublinks.delete_sublinks,
    sublinks.delete_parents,
    Change.unpin,
)


def kept(items: Iterable[Item]) -> Iterator[Item]:
    """What the keeper keeps, leases aside, in order."""
    return (i for i in items if isinstance(i, KEPT) and not isinstance(i, Leasing))
