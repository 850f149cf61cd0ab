"""What every kernel keeps: apply brings about, observe says what is there, and both may be repeated."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from tests.contract.kernel.items import container, endpoint, network, sandbox

from sanbashi.errors import StepFailed
from sanbashi.network.picture import Bridge, Element, HeldPort, Item, Namespace, Neighbour, Picture, Route, Sysctl, Up, Veth
from sanbashi.network.plan import Add, Remove, plan

NONE = Picture()
# The fake refuses a step that finds its work done, so that no plan comes to rely on it; the real kernel must take it, after a crash.
forgiving = pytest.mark.parametrize("kernel", [pytest.param("real", marks=pytest.mark.root)], indirect=True)


def there(kernel: Any, items: Iterable[Item]) -> None:
    kernel.apply(plan(NONE, Picture.of(items)))


def gone(kernel: Any, items: Iterable[Item]) -> None:
    kernel.apply(plan(Picture.of(items), NONE))


def different(have: Picture, want: Picture) -> list[str]:
    """What differs, as lines: pictures themselves are too long to read."""
    return sorted([f"missing: {i}" for i in want - have] + [f"too much: {i}" for i in have - want])


def test_what_was_applied_is_observed(kernel: Any) -> None:
    items = Picture.of([*network(), *container(1, ports=(8080, 8081))])
    there(kernel, items)
    assert different(kernel.observe(items), items) == []
    assert different(kernel.observe(None, like=items), items) == []


def test_nothing_is_observed_where_nothing_was_applied(kernel: Any) -> None:
    assert kernel.observe(Picture.of([*network(), *container(1, ports=(8080,))])) == NONE
    assert kernel.observe(None) == NONE


def test_a_scope_holds_only_what_was_asked_for(kernel: Any) -> None:
    there(kernel, [*network(), *container(1), *container(2)])
    scope = Picture.of([*container(2), *container(3)])
    assert different(kernel.observe(scope), Picture.of(container(2))) == []


@forgiving
def test_applying_again_changes_nothing(kernel: Any) -> None:
    items = Picture.of([*network(), *container(1, ports=(8080,))])
    there(kernel, items)
    there(kernel, items)
    assert different(kernel.observe(None, like=items), items) == []


@forgiving
def test_removing_what_is_gone_is_success(kernel: Any) -> None:
    net, box = network(), container(1, ports=(8080,))
    there(kernel, [*net, *box])
    gone(kernel, box)
    gone(kernel, box)
    assert different(kernel.observe(None, like=Picture.of(net)), Picture.of(net)) == []
    gone(kernel, [*net, *box])
    gone(kernel, [*net, *box])
    assert kernel.observe(None) == NONE


@forgiving
def test_removing_what_is_there_in_part(kernel: Any) -> None:
    """One absent element must not keep the others."""
    there(kernel, [*network(), *container(1, ports=(8080,))])
    gone(kernel, [Element("inet", "published4_any", ("tcp", "8080")), HeldPort("tcp", ip_address("0.0.0.0"), 8080)])
    gone(kernel, container(1, ports=(8080, 8081)))
    assert different(kernel.observe(None, like=Picture.of(network())), Picture.of(network())) == []


def test_a_port_moves_to_another_container(kernel: Any) -> None:
    one, two = Picture.of([*network(), *container(1, ports=(8080,)), *container(2)]), None
    there(kernel, one)
    two = Picture.of([*network(), *container(1), *container(2, ports=(8080,))])
    kernel.apply(plan(one, two))
    assert different(kernel.observe(None, like=two), two) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Element("inet", "entering", ("br-000000000001",), ("goto into_nat",)), Element("inet", "entering", ("br-000000000001",), ("drop",))),
        (
            Route(sandbox(1), ip_network("0.0.0.0/0"), "eth0", ip_address("10.81.1.1")),
            Route(sandbox(1), ip_network("0.0.0.0/0"), "eth0", ip_address("10.81.1.9")),
        ),
        (
            Neighbour("", "br-000000000001", ip_address("10.81.1.2"), "02:00:00:01:00:01"),
            Neighbour("", "br-000000000001", ip_address("10.81.1.2"), "02:00:00:01:00:99"),
        ),
        (
            Sysctl("", "net/ipv4/conf/br-000000000001/route_localnet", "1"),
            Sysctl("", "net/ipv4/conf/br-000000000001/route_localnet", "0"),
        ),
    ],
    ids=["element", "route", "neighbour", "sysctl"],
)
def test_a_value_is_replaced(kernel: Any, before: Item, after: Item) -> None:
    have = Picture.of([*network(), *container(1)])
    want = Picture.of([i for i in have if i.key != before.key] + [after])
    assert before in set(have)
    there(kernel, have)
    kernel.apply(plan(have, want))
    assert different(kernel.observe(None, like=want), want) == []


@forgiving
def test_a_data_drift_is_put_right(kernel: Any) -> None:
    """The kernel holds another value than we last wrote: adding the right one still works."""
    there(kernel, [*network(), *container(1), Element("inet", "published4_any", ("tcp", "8080"), ("10.81.1.99", "1"))])
    right = Element("inet", "published4_any", ("tcp", "8080"), ("10.81.1.2", "80"))
    kernel.apply([Add(right)])
    assert kernel.observe(Picture.of([right])) == Picture.of([right])


def test_a_second_network_comes_and_goes(kernel: Any) -> None:
    one = Picture.of([*network(1), *network(2), *container(1)])
    joined = one | Picture.of(endpoint(7, on=2, of=1, interface="eth1"))
    there(kernel, one)
    kernel.apply(plan(one, joined))
    assert different(kernel.observe(None, like=joined), joined) == []
    kernel.apply(plan(joined, one))
    assert different(kernel.observe(None, like=one), one) == []


def test_the_default_route_moves_to_another_link(kernel: Any) -> None:
    """New before old, though the kernel knows only one route of this target."""
    base = [*network(1), *network(2), *container(1), *endpoint(7, on=2, of=1, interface="eth1")]
    old = Route(sandbox(1), ip_network("0.0.0.0/0"), "eth0", ip_address("10.81.1.1"))
    new = Route(sandbox(1), ip_network("0.0.0.0/0"), "eth1", ip_address("10.81.2.1"))
    have, want = Picture.of(base), Picture.of([*(i for i in base if i != old), new])
    there(kernel, have)
    kernel.apply(plan(have, want))
    assert different(kernel.observe(None, like=want), want) == []


@forgiving
def test_what_a_wish_leaves_open_is_no_difference(kernel: Any) -> None:
    there(kernel, [*network(1, mtu=1400), *container(1)])
    scope = Picture.of([*network(1), *container(1)])
    assert different(kernel.observe(scope), scope) == []
    exact = Picture.of(network(1, mtu=1400))
    assert different(kernel.observe(exact), exact) == []


def test_a_bridge_is_changed_in_place(kernel: Any) -> None:
    """A replaced bridge keeps the ports, addresses and rules that hang on it."""
    have = Picture.of([*network(), *container(1)])
    bridge = next(i for i in have if isinstance(i, Bridge))
    want = Picture.of([*(i for i in have if i != bridge), replace(bridge, mtu=1400)])
    there(kernel, have)
    kernel.apply(plan(have, want))
    assert different(kernel.observe(None, like=want), want) == []


def test_a_failure_names_its_step(kernel: Any) -> None:
    veth = Veth("veth0000001", "sanbashi:1:1", "br-000000000009", sandbox(1), "eth0", "02:00:00:00:00:01")
    there(kernel, [Namespace(sandbox(1))])
    with pytest.raises(StepFailed, match="veth0000001"):
        kernel.apply([Add(veth)])
    with pytest.raises(StepFailed, match="veth0000009"):
        kernel.apply([Add(Up("", "veth0000009", endpoint=True))])


def test_any_way_between_pictures_arrives(kernel: Any) -> None:
    """From one picture of whole networks and containers to another and on, ten times over."""
    chance = random.Random(83)
    have = NONE
    for _ in range(10):
        items: list[Item] = [*network(1), *network(2)]
        for number in chance.sample(range(1, 7), chance.randrange(5)):
            items += container(number, on=1 + number % 2, ports=tuple(chance.sample((8080, 8081, 8082), chance.randrange(2))))
        want = Picture.of({i.key: i for i in items}.values())
        kernel.apply(plan(have, want))
        assert different(kernel.observe(None, like=want), want) == []
        have = want
    kernel.apply(plan(have, NONE))
    assert kernel.observe(None) == NONE


def test_steps_may_be_repeated_after_a_failure_in_the_middle(kernel: Any) -> None:
    """Half of a plan was done; what is observed and planned from there arrives."""
    want = Picture.of([*network(), *container(1, ports=(8080,))])
    steps = plan(NONE, want)
    for half in (len(steps) // 3, len(steps) // 2):
        kernel.apply(steps[:half])
        kernel.apply(plan(kernel.observe(want), want))
        assert different(kernel.observe(want), want) == []
        kernel.apply([Remove(s.item) for s in reversed(steps) if isinstance(s, Add)])
        assert kernel.observe(want) == NONE


@forgiving
def test_who_announces_is_in_no_containers_namespace(kernel: Any) -> None:
    """He goes on for as long as others start: the first container's namespace would stay for all that time, be the container gone."""
    net, box = network(), container(1)
    veth = next(item for item in box if isinstance(item, Veth))
    there(kernel, [*net, *(replace(item, announce=(2, 60_000)) if item is veth else item for item in box)])
    announcing = kernel.real.announcer.thread
    assert announcing is not None
    home = kernel.place.do(Path("/proc/thread-self/ns/net").readlink)
    assert Path(f"/proc/self/task/{announcing.native_id}/ns/net").readlink() == home
    gone(kernel, [*box, *net])
