"""Ports that follow each other: one publication, one item, and each by itself as soon as a part of them changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from tests.fakes import FakeKernel

from sanbashi.containers.model import HostPort
from sanbashi.errors import Failed
from sanbashi.network.indexes import reindex
from sanbashi.network.model import IPAddress, PortSpec
from sanbashi.network.picture import Element, Forwarder, HeldPort, Item, Picture, singly, take_out, together
from sanbashi.network.plan import Forget, Remove, plan
from sanbashi.network.ports import Assigning, parse_bindings
from sanbashi.network.ruleset import transaction
from sanbashi.network.updating import with_ports
from sanbashi.network.wanted import wanted

from .world import FACTS, endpoint, fresh, run, sandbox_of

ANY4, ANY6, BOX = ip_address("0.0.0.0"), ip_address("::"), ip_address("172.17.0.2")
MANY = PortSpec(1, "tcp", None, 8000, count=500)


def bindings(first: int, last: int, host: int, protocol: str = "tcp") -> dict[str, tuple[HostPort, ...]]:
    return {f"{n}/{protocol}": (HostPort(host_ip="", host_port=str(host + n - first)),) for n in range(first, last + 1)}


def test_a_range_is_one_specification() -> None:
    assert parse_bindings(bindings(1, 500, 8000)) == (MANY,)
    both = parse_bindings({**bindings(1, 3, 8000), **bindings(1, 3, 8000, "udp")})
    assert both == (PortSpec(1, "tcp", None, 8000, count=3), PortSpec(1, "udp", None, 8000, count=3))


def test_what_does_not_follow_stands_by_itself() -> None:
    words = {"80/tcp": (HostPort(host_port="8080"), HostPort(host_port="8081")), "81/tcp": (HostPort(host_port="8082"),), "82/tcp": (HostPort(),)}
    assert parse_bindings(words) == (PortSpec(80, "tcp", None, 8080), PortSpec(80, "tcp", None, 8081, count=2), PortSpec(82, "tcp"))
    twice = {"80/tcp": (HostPort(host_port="8080"), HostPort(host_port="8080"))}
    assert parse_bindings(twice) == (PortSpec(80, "tcp", None, 8080),) * 2


def test_ephemeral_ports_that_follow_are_one_publication() -> None:
    state = run(fresh(), "c", "bridge", *(PortSpec(port) for port in range(80, 90)))
    assert [(p.host_port, p.container_port, p.count) for p in endpoint(state, "c", "bridge").ports] == [(32768, 80, 10)] * 2


@pytest.mark.parametrize("spec", [PortSpec(80, "tcp", None, 8200), PortSpec(80, "tcp", ip_address("127.0.0.1"), 8190, count=11)])
def test_a_port_within_a_range_is_held(spec: PortSpec) -> None:
    state = run(fresh(), "web", "bridge", PortSpec(1, "tcp", None, 8200, count=300))
    state = run(state, "other", "bridge", PortSpec(1, "tcp", None, 8000, count=150))
    with pytest.raises(Failed, match=":8200 failed: port is already allocated") as refused:
        run(state, "late", "bridge", spec)
    assert refused.value.hint.endswith(":8200/tcp is published by container web")
    assert reindex(state) == state


class Watched(dict[Any, Any]):
    """Counts what is looked at."""

    looked = 0

    def __iter__(self) -> Iterator[Any]:
        for key in super().__iter__():
            self.looked += 1
            yield key

    def items(self) -> Any:
        return ((key, super(Watched, self).__getitem__(key)) for key in self)

    def __contains__(self, key: object) -> bool:
        self.looked += 1
        return super().__contains__(key)


@pytest.mark.parametrize("address", [ANY4, ip_address("127.0.1.7")])
@pytest.mark.parametrize("first, last", [(9000, 0), (9000, 9999), (0, 0)])
def test_what_others_hold_is_looked_at_once_not_once_a_port(address: IPAddress, first: int, last: int) -> None:
    state = fresh()
    for n in range(20):
        state = run(state, f"other{n}", "bridge", PortSpec(80, "tcp", ip_address("127.0.1.0") + n, 8000))

    def looked(count: int) -> int:
        places = Watched(state.host_ports)
        assigning = Assigning(replace(state, host_ports=places), FACTS, frozenset(), ())  # type: ignore[arg-type]
        for n in range(count):
            assigning.assign(PortSpec(2 * n + 1, "tcp", None, first + n if first and not last else first, last), [address])
        return places.looked

    assert looked(100) == looked(1)


def test_of_a_range_to_pick_from_the_lowest_that_is_free_everywhere() -> None:
    state = run(fresh(), "web", "bridge", PortSpec(1, "tcp", None, 8000, count=3))
    state = run(state, "local", "bridge", PortSpec(1, "tcp", ip_address("::1"), 8004))
    picking = Assigning(state, FACTS, frozenset({("tcp", 8003), ("udp", 8005)}), ())
    assert [picking.assign(PortSpec(n, "tcp", None, 8000, 8006), [ANY4, ANY6]) for n in (1, 2)] == [8005, 8006]
    with pytest.raises(Failed, match=r"Bind for 0\.0\.0\.0:8006 failed: port is already allocated"):
        picking.assign(PortSpec(3, "tcp", None, 8000, 8006), [ANY4, ANY6])
    assert picking.assign(PortSpec(3, "udp", None, 8000, 8006), [ANY4, ANY6]) == 8000


def test_one_of_a_range_goes_alone() -> None:
    before = run(fresh(), "c", "bridge", PortSpec(1, "udp", None, 8000, count=500))
    halves = PortSpec(1, "udp", None, 8000, count=100), PortSpec(102, "udp", None, 8101, count=399)
    after = with_ports(before, sandbox_of("c"), halves, (), FACTS)
    have, want = (wanted(state, FACTS, sandboxes=[sandbox_of("c")]) for state in (before, after))
    kernel = FakeKernel(items={item.key: item for item in have.each()})
    steps = plan(have, want)
    kernel.apply(steps)
    assert kernel.picture == want.each()
    assert {step.item for step in steps if isinstance(step, Remove)} == {
        HeldPort("udp", ANY4, 8100),
        Forwarder("udp", ANY6, 8100, BOX, 101),
        Element("inet", "published4_any", ("udp", "8100"), ("172.17.0.2", "101")),
    }
    assert [step for step in steps if not isinstance(step, Remove)] == [Forget("udp", 8100, BOX)]
    assert plan(want, want.each()) == plan(want.each(), want) == ()


def test_a_start_has_one_step_a_range() -> None:
    def steps(count: int) -> int:
        state = run(fresh(), "c", "bridge", PortSpec(1, "tcp", None, 8000, count=count))
        return len(plan(Picture(), wanted(state, FACTS, sandboxes=[sandbox_of("c")])))

    assert steps(500) == steps(1)


def test_as_text() -> None:
    elements = Element("inet", "published4_any", ("tcp", "8000"), ("172.17.0.2", "80"), 3)
    assert str(elements) == "inet published4_any { tcp . 8000-8002 : 172.17.0.2 . 80-82 }"
    assert str(Forwarder("tcp", ANY6, 8000, BOX, 80, 3)) == "forwarder [::]:8000-8002/tcp to 172.17.0.2:80-82"
    assert transaction([elements], [elements]) == transaction(list(elements.each()), list(elements.each()))
    assert "tcp . 8002 : 172.17.0.2 . 82 }" in transaction([], [elements])


ALONE: list[Item] = [item for n in range(5) for item in (HeldPort("tcp", ANY4, 8000 + n), Forwarder("tcp", ANY6, 8000 + n, BOX, 80 + n))]


def test_together_and_singly() -> None:
    assert list(together(ALONE)) == [HeldPort("tcp", ANY4, 8000, 5), Forwarder("tcp", ANY6, 8000, BOX, 80, 5)]
    assert set(singly(together(ALONE))) == set(ALONE)
    elsewhere = [Forwarder("tcp", ANY6, 8000, BOX, 80), Forwarder("tcp", ANY6, 8001, BOX, 99), HeldPort("udp", ANY6, 8002)]
    assert list(together(elsewhere)) == elsewhere


@pytest.mark.parametrize("gone", [HeldPort("tcp", ANY4, 8000), HeldPort("tcp", ANY4, 8002, 2), HeldPort("tcp", ANY4, 8000, 5)])
def test_taking_out_a_part(gone: HeldPort) -> None:
    items = {item.key: item for item in together(ALONE)}
    take_out(items, gone)
    assert set(singly(items.values())) == set(ALONE) - set(gone.each())
