"""A kernel that is a Picture: it takes steps as the real one does, refuses what the real one would refuse, and forgets what goes with a link."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from sanbashi.errors import StepFailed
from sanbashi.network.picture import (
    Address,
    Bridge,
    Element,
    Forwarder,
    HeldPort,
    Item,
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
    singly,
)
from sanbashi.network.plan import Add, Forget, ForgetFrom, Remove, Step, hangs_on, same_pair

T = TypeVar("T")


class Crash(BaseException):
    """The machine died at a step."""


@dataclass
class FakeKernel:
    """`bridges`: links that were there before us. `fail_at`, `crash_at`: the number of the step (from 0, of all ever taken) that goes wrong."""

    bridges: frozenset[str] = frozenset()
    items: dict[tuple[object, ...], Item] = field(default_factory=dict)
    flows_forgotten: list[Forget | ForgetFrom] = field(default_factory=list)
    taken: list[Step] = field(default_factory=list)
    fail_at: int | None = None
    crash_at: int | None = None
    missing: frozenset[str] = frozenset()
    fail_on: Item | None = None  # an item that cannot be had
    filtered: frozenset[int] = frozenset()  # families whose bridged packets pass the IP hooks

    @property
    def picture(self) -> Picture:
        """What is there."""
        return Picture.of(self.items.values())

    def has(self, item: Item) -> bool:
        """Whether exactly this is there."""
        return self.items.get(item.key) == item

    def lacks(self, kinds: Iterable[str]) -> frozenset[str]:
        """Of these kinds of link those that it cannot make."""
        return frozenset(kinds) & self.missing

    def filters_bridges(self, version: int) -> bool:
        """Whether bridged packets of a family pass its hooks."""
        return version in self.filtered

    def prepare(self) -> tuple[str, ...]:
        """Nothing to prepare."""
        return ()

    def look_again(self, facts: T) -> T:
        """Nothing of the host has changed."""
        return facts

    def connect(self, links: Iterable[str]) -> tuple[str, ...]:
        """Routes that come with addresses are no items, and go with none here."""
        return ()

    def prepare_forwarding(self) -> Iterable[str]:
        """It is on."""
        return ()

    def restore(self, elements: Callable[[], Iterable[Item]]) -> int:
        """The tables with these elements and no others."""
        found = list(singly(elements()))
        self.items = {key: item for key, item in self.items.items() if not isinstance(item, Element)} | {i.key: i for i in found}
        return len(found)

    def forget_untranslated(self, ports: Iterable[tuple[str, int]]) -> None:
        """There are no flows."""

    def close(self) -> None:
        """Nothing is open."""

    def observe(self, scope: Picture | None = None, *, like: Picture | None = None) -> Picture:
        """What is there of the keys in `scope`; None: everything."""
        if scope is None:
            return self.picture
        return Picture.of(self.items[i.key] for i in scope.each() if i.key in self.items)

    def apply(self, steps: Sequence[Step]) -> tuple[Item, ...]:
        """Take the steps; rules are one transaction, as in the kernel. StepFailed at the first that fails, what was done before stands."""
        steps, i = list(singly_taken(steps)), 0
        while i < len(steps):
            group = [steps[i]]
            while is_rule(group[0]) and i + len(group) < len(steps) and is_rule(steps[i + len(group)]):
                group.append(steps[i + len(group)])
            for number in range(len(self.taken), len(self.taken) + len(group)):
                if number == self.crash_at:
                    raise Crash
                if number == self.fail_at or (self.fail_on and group[number - len(self.taken)] == Add(self.fail_on)):
                    raise StepFailed(str(group[number - len(self.taken)]), errno=errno.EIO, stderr="asked to fail")
            before = dict(self.items)
            try:
                for step in group:
                    self.take(step)
            except StepFailed:
                self.items = before
                raise
            self.taken += group
            i += len(group)
        return ()

    def take(self, step: Step) -> None:
        if isinstance(step, Forget | ForgetFrom):
            self.flows_forgotten.append(step)
        elif isinstance(step, Add):
            self.add(step)
        else:
            self.remove(step)

    # -- adding

    def add(self, step: Add) -> None:
        item = step.item
        there = self.items.get(item.key)
        for kind, check in CHECKS:
            if isinstance(item, kind) and (words := check(self, item, there)):
                raise StepFailed(str(step), errno=errno.EINVAL, stderr=words)
        if isinstance(item, Veth) and isinstance(there, Veth) and not same_pair(item, there):
            self.remove(Remove(there))  # what cannot change in place is made anew
        if isinstance(item, Sublink) and isinstance(there, Sublink) and there != item:
            self.remove(Remove(there))
        self.items[item.key] = item

    def has_link(self, namespace: str, link: str) -> bool:
        """Whether a namespace has a link of this name."""
        if not namespace:
            return ("link", "", link) in self.items or link in self.bridges
        return ("link", namespace, link) in self.items or any(
            isinstance(i, Veth) and (i.namespace, i.peer) == (namespace, link) for i in self.items.values()
        )

    # -- removing

    def remove(self, step: Remove) -> None:
        item = step.item
        there = self.items.get(item.key)
        if isinstance(item, Element) and there is None:
            raise StepFailed(str(step), errno=errno.ENOENT, stderr="No such element")
        self.items.pop(item.key, None)
        if isinstance(there, Veth):
            self.drop({("", there.name), (there.namespace, there.peer)})
        elif isinstance(there, Parent) or (isinstance(there, Bridge) and not there.adopted):
            self.drop({("", there.name)})
        elif isinstance(there, Sublink):
            self.drop({(there.namespace, there.name)})
        elif isinstance(there, Namespace):
            for end in [i for i in self.items.values() if isinstance(i, Veth | Sublink) and i.namespace == there.sandbox]:
                self.remove(Remove(end))
            self.drop(set(), {there.sandbox})

    def drop(self, links: set[tuple[str, str]], namespaces: Iterable[str] = ()) -> None:
        """What hangs on a link or is in a namespace goes with it."""
        for item in [i for i in self.items.values() if hangs_on(i, links, set(namespaces))]:
            del self.items[item.key]


def singly_taken(steps: Iterable[Step]) -> Iterator[Step]:
    """Steps with each port by itself, which is how they are there."""
    for step in steps:
        if isinstance(step, Forget | ForgetFrom):
            yield step
        else:
            yield from (replace(step, item=item) for item in singly((step.item,)))


def is_rule(step: Step) -> bool:
    return isinstance(step, Add | Remove) and isinstance(step.item, Element)


# -- what the real kernel refuses


def needs_parent(kernel: FakeKernel, item: Sublink, there: Item | None) -> str:
    if ("namespace", item.namespace) not in kernel.items:
        return f"no namespace {item.namespace}"
    if not kernel.has_link("", item.parent):
        return f"no link {item.parent}"
    return "" if there is not None or not kernel.has_link(item.namespace, item.name) else "the name is taken"


def needs_link_below(kernel: FakeKernel, item: Parent, there: Item | None) -> str:
    return "" if not item.over or kernel.has_link("", item.over) else f"no link {item.over}"


def needs_namespace(kernel: FakeKernel, item: Veth, there: Item | None) -> str:
    if ("namespace", item.namespace) not in kernel.items:
        return f"no namespace {item.namespace}"
    if not kernel.has_link("", item.master):
        return f"no bridge {item.master}"
    taken = [v for v in kernel.items.values() if isinstance(v, Veth) and (v.namespace, v.peer) == (item.namespace, item.peer) and v.name != item.name]
    return "the peer's name is taken" if taken else ""


def needs_link(kernel: FakeKernel, item: Address | Neighbour | Up, there: Item | None) -> str:
    return "" if kernel.has_link(item.namespace, item.link) else f"no link {item.link}"


def needs_way(kernel: FakeKernel, item: Route, there: Item | None) -> str:
    if ("up", item.namespace, item.link) not in kernel.items:
        return f"the link {item.link} is down"
    same = [r for r in kernel.items.values() if isinstance(r, Route) and r.kind == "unicast" and route_place(r) == route_place(item)]
    if item.via is not None:
        near = [a for a in kernel.items.values() if isinstance(a, Address) and (a.namespace, a.link) == (item.namespace, item.link)]
        direct = [
            r.destination
            for r in kernel.items.values()
            if isinstance(r, Route) and not r.via and (r.namespace, r.link) == (item.namespace, item.link)
        ]
        if not any(item.via in network for network in (*(a.address.network for a in near), *direct) if network.version == item.via.version):
            return f"the gateway {item.via} is not reachable"
    return "File exists" if same and item.kind == "unicast" else ""


def route_place(route: Route) -> tuple[object, ...]:
    return route.namespace, route.destination, route.metric, route.table


def needs_room(kernel: FakeKernel, item: HeldPort | Forwarder, there: Item | None) -> str:
    for held in kernel.items.values():
        if (
            isinstance(held, HeldPort | Forwarder)
            and (held.protocol, held.port, held.address.version) == (item.protocol, item.port, item.address.version)
            and (held.address == item.address or held.address.is_unspecified or item.address.is_unspecified)
        ):
            return "address already in use"
    return ""


def is_new(kernel: FakeKernel, item: Element, there: Item | None) -> str:
    return "" if there is None else "File exists"


def needs_place(kernel: FakeKernel, item: Sysctl, there: Item | None) -> str:
    if item.namespace and ("namespace", item.namespace) not in kernel.items:
        return f"no namespace {item.namespace}"
    parts = item.path.split("/")
    return "" if parts[2] != "conf" or kernel.has_link(item.namespace, parts[3]) else f"no link {parts[3]}"


def needs_sandbox(kernel: FakeKernel, item: Resolver, there: Item | None) -> str:
    return "" if ("namespace", item.sandbox) in kernel.items else f"no namespace {item.sandbox}"


CHECKS: tuple[tuple[type, Callable[..., str]], ...] = (
    (Veth, needs_namespace),
    (Sublink, needs_parent),
    (Parent, needs_link_below),
    (Address, needs_link),
    (Neighbour, needs_link),
    (Up, needs_link),
    (Sysctl, needs_place),
    (Route, needs_way),
    (HeldPort, needs_room),
    (Forwarder, needs_room),
    (Element, is_new),
    (Resolver, needs_sandbox),
)
