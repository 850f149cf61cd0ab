"""Networks that change while containers are on them, ports that come and go, and what is gated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sanbashi.errors import Failed, Forbidden, Invalid
from sanbashi.network.model import PortSpec
from sanbashi.network.picture import Element, Resolver, Veth
from sanbashi.network.plan import Add, plan
from sanbashi.network.updating import NetworkChange, update_network, with_ports
from sanbashi.network.wanted import everything

from .world import FACTS, create, endpoint, fresh, number, run, sandbox_of

BRIDGE = "com.docker.network.bridge."


def test_only_what_changed_is_touched() -> None:
    state, network = create(fresh(), "app", "10.0.0.0/24", labels={"a": "1", "b": "2"})
    state = run(state, "web", "app", PortSpec(80, "tcp", None, 8080))
    options: dict[str, str | None] = {BRIDGE + "enable_icc": "false", "io.sanbashi.dns": "192.0.2.9"}
    new, after, _ = update_network(state, network.id, NetworkChange(labels={"a": None, "c": "3"}, options=options), FACTS)
    assert after.labels == {"b": "2", "c": "3"}
    steps = plan(everything(state, FACTS), everything(new, FACTS))
    kinds = {type(step.item) for step in steps if isinstance(step, Add)}  # type: ignore[union-attr]
    assert kinds == {Element, Resolver}, "no link, no address and no port is touched"
    resolver = next(i for i in everything(new, FACTS) if isinstance(i, Resolver))
    assert (resolver.upstreams, resolver.follow_host) == (("192.0.2.9",), False)
    # And back again is where it began.
    back, _, _ = update_network(new, network.id, NetworkChange(options={BRIDGE + "enable_icc": None, "io.sanbashi.dns": None}), FACTS)
    assert everything(back, FACTS) == everything(state, FACTS)


def test_an_mtu_changes_in_place() -> None:
    state, network = create(fresh(), "app", "10.0.0.0/24")
    state = run(state, "web", "app")
    new, _, _ = update_network(state, network.id, NetworkChange(options={"com.docker.network.driver.mtu": "1400"}), FACTS)
    steps = plan(everything(state, FACTS), everything(new, FACTS))
    assert [type(s) for s in steps] == [Add, Add]
    assert any(isinstance(s, Add) and isinstance(s.item, Veth) and s.item.mtu == 1400 for s in steps)


def test_ports_follow_a_networks_mode() -> None:
    """A routed port needs no number on the host, and has it again when it is translated again."""
    state, network = create(fresh(), "app", "10.0.0.0/24")
    state = run(state, "web", "app", PortSpec(80, "tcp", None, 8080))
    mode = BRIDGE + "gateway_mode_ipv4"
    routed, _, _ = update_network(state, network.id, NetworkChange(options={mode: "routed"}), FACTS)
    assert {p.host_port for p in endpoint(routed, "web", "app").ports} == {0}
    again, _, _ = update_network(routed, network.id, NetworkChange(options={mode: None}), FACTS)
    assert endpoint(again, "web", "app").ports == endpoint(state, "web", "app").ports


@pytest.mark.parametrize(
    "options",
    [{BRIDGE + "name": "x"}, {BRIDGE + "gateway_mode_ipv4": "isolated"}, {BRIDGE + "enable_icc": "perhaps"}, {"io.sanbashi.dns": "here"}],
)
def test_what_cannot_be(options: dict[str, str]) -> None:
    state, network = create(fresh(), "app", "10.0.0.0/24")
    with pytest.raises(Invalid):
        update_network(state, network.id, NetworkChange(options=options), FACTS)


def test_the_predefined_follow_the_daemons_settings() -> None:
    with pytest.raises(Forbidden, match="pre-defined"):
        update_network(fresh(), number("bridge"), NetworkChange(labels={"a": "b"}), FACTS)


def test_ports_of_a_running_sandbox() -> None:
    state, _ = create(fresh(), "app", "10.0.0.0/24")
    state = run(state, "web", "app", PortSpec(80, "tcp"), PortSpec(81, "tcp", None, 8081))
    state = run(state, "other", "app", PortSpec(80, "tcp", None, 9000))
    before = {p.container_port: p.host_port for p in endpoint(state, "web", "app").ports}
    new = with_ports(state, sandbox_of("web"), (PortSpec(80, "tcp"), PortSpec(82, "tcp", None, 8082)), (), FACTS)
    assert {p.container_port: p.host_port for p in endpoint(new, "web", "app").ports} == {80: before[80], 82: 8082}
    with pytest.raises(Failed, match=r"Bind for 0\.0\.0\.0:9000 failed"):
        with_ports(state, sandbox_of("web"), (PortSpec(80, "tcp", None, 9000),), (), FACTS)


def test_gated_ports_are_those_that_are_translated() -> None:
    """The daemon's setting or the network's own, which goes before it; what the forwarder serves is the host's own program."""
    state, network = create(fresh(), "app", "10.0.0.0/24")
    state = run(state, "web", "app", PortSpec(80, "tcp", None, 8080))

    def gated(asked: str | None, *, daemon: bool) -> set[tuple[str, tuple[str, ...]]]:
        now, _, _ = update_network(state, network.id, NetworkChange(options={"io.sanbashi.host_input": asked}), FACTS)
        found = everything(now, replace(FACTS, host_input=daemon))
        return {(i.set, i.fields) for i in found if isinstance(i, Element) and i.set.startswith("gated")}

    assert gated(None, daemon=True) == gated("true", daemon=False) == {("gated4_any", ("tcp", "8080"))}
    assert gated(None, daemon=False) == gated("false", daemon=True) == set()
