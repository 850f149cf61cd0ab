"""What networks, endpoints and ports become: the rules of one set of options a file, and the plans of the ordinary changes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.fakes import Crash, FakeKernel
from tests.unit.network.world import FACTS, create, endpoint, fresh, join, number, open_container, run, sandbox_of

from sanbashi.errors import StepFailed
from sanbashi.network import commands
from sanbashi.network.model import NetworkFacts, NetworkState, PortSpec
from sanbashi.network.picture import Element, Picture, Veth
from sanbashi.network.plan import plan
from sanbashi.network.ruleset import INTERFACES, transaction
from sanbashi.network.wanted import everything, wanted

HERE = Path(__file__).parent / "network"
NET = "com.docker.network."
B = NET + "bridge."
WEB = (PortSpec(80, "tcp", None, 8080), PortSpec(53, "udp", ip_address("127.0.0.1"), 53), PortSpec(7, "sctp", ip_address("::1"), 7))


def compare(name: str, text: str) -> None:
    path = HERE / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs: make golden writes it anew"


# -- rules

OPTIONS: dict[str, dict[str, object]] = {
    "plain": {},
    "dual": {"enable_ipv6": True},
    "ipv6-only": {"enable_ipv6": True, "enable_ipv4": False},
    "internal": {"internal": True, "enable_ipv6": True},
    "isolated": {"internal": True, "options": {B + "gateway_mode_ipv4": "isolated"}},
    "no-masquerade": {"options": {B + "enable_ip_masquerade": "false"}},
    "fixed-source": {"enable_ipv6": True, "options": {NET + "host_ipv4": "192.0.2.10", NET + "host_ipv6": "2001:db8::10"}},
    "no-icc": {"options": {B + "enable_icc": "false"}},
    "routed": {"enable_ipv6": True, "options": {B + "gateway_mode_ipv4": "routed", B + "gateway_mode_ipv6": "routed"}},
    "nat-unprotected": {"options": {B + "gateway_mode_ipv4": "nat-unprotected"}},
    "mixed-modes": {"enable_ipv6": True, "options": {B + "gateway_mode_ipv6": "routed"}},
    "trusted": {"options": {B + "trusted_host_interfaces": "eth0:eth1"}},
    "no-guard": {"options": {"io.sanbashi.anti_spoofing": "false"}},
}
MUST_NOT_MATTER: dict[str, dict[str, object]] = {
    "labels": {"labels": {"a": "b"}},
    "attachable": {"attachable": True},
    "mtu": {"options": {NET + "driver.mtu": "1400"}},
    "prefix": {"options": {NET + "container_iface_prefix": "net"}},
}


def rules(fields: dict[str, object]) -> str:
    """The text of what a network and a container on it with published ports add."""
    state, network = create(fresh(), "web", **fields)  # type: ignore[arg-type]
    state = run(state, "c", "web", *WEB)
    want = wanted(state, FACTS, networks=[network.id], sandboxes=[sandbox_of("c")])
    elements = sorted((i for i in want if isinstance(i, Element)), key=lambda e: (e.family, e.set, e.fields))
    return transaction(add=elements)


@pytest.mark.parametrize("name", OPTIONS)
def test_rules(name: str) -> None:
    compare(f"rules-{name}", rules(OPTIONS[name]))


@pytest.mark.parametrize("name", MUST_NOT_MATTER)
def test_options_that_must_not_matter(name: str) -> None:
    compare("rules-plain", rules(MUST_NOT_MATTER[name]))


def test_interface_names_are_quoted_where_the_tables_have_them() -> None:
    text = (Path(__file__).parents[2] / "src/sanbashi/host/table.nft").read_text()
    found: dict[tuple[str, str], tuple[int, ...]] = {}
    family = ""
    for line in text.splitlines():
        if line.startswith("table "):
            family = line.split()[1]
        for name, key in re.findall(r"\b(?:set|map) (\w+)\s*\{ type(?:of)? ([^;:]+)", line):
            places = tuple(i for i, word in enumerate(key.split(" . ")) if word.strip() in ("ifname", "iifname"))
            if places:
                found[family, name] = places
    assert found == INTERFACES


# -- plans


def with_two_networks() -> NetworkState:
    state, _ = create(fresh(), "front", enable_ipv6=True)
    return create(state, "back", options={B + "enable_icc": "false"})[0]


def start() -> tuple[NetworkState, NetworkState]:
    state = with_two_networks()
    return state, run(state, "web", "front", *WEB, PortSpec(81, "tcp"), aliases=("www",))


def connect_moves_the_ports() -> tuple[NetworkState, NetworkState]:
    _, state = start()
    new, _ = join(state, "web", "back", gateway_priority=1)
    return state, commands.publish(new, sandbox_of("web"), FACTS)


def disconnect_moves_them_back() -> tuple[NetworkState, NetworkState]:
    _, state = connect_moves_the_ports()
    new = commands.leave(state, endpoint(state, "web", "back").id)
    return state, commands.publish(new, sandbox_of("web"), FACTS)


def stop() -> tuple[NetworkState, NetworkState]:
    _, state = connect_moves_the_ports()
    return state, commands.close_sandbox(state, sandbox_of("web"))


def link() -> tuple[NetworkState, NetworkState]:
    state = run(with_two_networks(), "db", "back", PortSpec(5432, "tcp", ip_address("127.0.0.1"), 5432))
    new, _ = join(open_container(state, "app", dns=("9.9.9.9",)), "app", "back", links=(("database", number("db")),))
    return state, new


def rename() -> tuple[NetworkState, NetworkState]:
    _, state = start()
    return state, commands.rename_container(state, number("web"), "web2")


def default_bridge() -> tuple[NetworkState, NetworkState]:
    return fresh(), run(fresh(), "web", "bridge", PortSpec(80, "tcp", None, 8080))


def create_network() -> tuple[NetworkState, NetworkState]:
    return fresh(), create(fresh(), "n", enable_ipv6=True, internal=True)[0]


def remove_network() -> tuple[NetworkState, NetworkState]:
    new, old = create_network()
    return old, new


PLANS: tuple[Callable[[], tuple[NetworkState, NetworkState]], ...] = (
    start, connect_moves_the_ports, disconnect_moves_them_back, stop, link, rename, default_bridge, create_network, remove_network,
)  # fmt: skip


@pytest.mark.parametrize("change", PLANS)
def test_plans(change: Callable[[], tuple[NetworkState, NetworkState]]) -> None:
    old, new = change()
    steps = plan(everything(old, FACTS), everything(new, FACTS))
    compare(f"plan-{change.__name__.replace('_', '-')}", "".join(f"{step}\n" for step in steps))


def kernel_at(state: NetworkState) -> FakeKernel:
    kernel = FakeKernel()
    kernel.apply(plan(Picture(), everything(state, FACTS)))
    return kernel


@pytest.mark.parametrize("change", PLANS)
def test_a_failure_at_any_step_is_undone_by_reconciling_to_the_old_state(change: Callable[[], tuple[NetworkState, NetworkState]]) -> None:
    old, new = change()
    have, want = everything(old, FACTS), everything(new, FACTS)
    steps = plan(have, want)
    for n in range(len(steps)):
        kernel = kernel_at(old)
        kernel.fail_at = len(kernel.taken) + n
        with pytest.raises(StepFailed, match="asked to fail"):
            kernel.apply(steps)
        kernel.fail_at = None
        kernel.apply(plan(kernel.observe(have | want), have))
        assert kernel.picture == have, f"after a failure of step {n}, {steps[n]}"


@pytest.mark.parametrize("change", PLANS)
@pytest.mark.parametrize("confirmed", [False, True])
def test_a_crash_at_any_step_is_mended_at_start(change: Callable[[], tuple[NetworkState, NetworkState]], confirmed: bool) -> None:
    old, new = change()
    have, want = everything(old, FACTS), everything(new, FACTS)
    saved = want if confirmed else have
    steps = plan(have, want)
    for n in range(len(steps)):
        kernel = kernel_at(old)
        kernel.crash_at = len(kernel.taken) + n
        with pytest.raises(Crash):
            kernel.apply(steps)
        kernel.crash_at = None
        kernel.apply(plan(kernel.observe(), saved))
        assert kernel.picture == saved, f"after a crash at step {n}, {steps[n]}"


def test_where_bridged_packets_pass_the_ip_hooks_ports_reflect() -> None:
    facts: NetworkFacts = replace(FACTS, br_netfilter=True)
    state = default_bridge()[1]
    differing = everything(state, facts).items ^ everything(state, FACTS).items
    assert {type(i).__name__ for i in differing} == {"Veth"}


UP = ip_address("2001:db8::1")


def test_where_an_answer_to_the_hosts_own_ipv6_address_would_be_lost_its_clients_are_lent_another() -> None:
    """For every port on [::] or [::1]; nothing else changes."""
    ports = (PortSpec(80, "tcp", ip_address("::"), 8080), PortSpec(81, "udp", ip_address("::1"), 8081), PortSpec(82, "tcp", UP, 8082))
    state = run(create(fresh(), "n", enable_ipv6=True)[0], "web", "n", *ports)
    before, after = (everything(state, replace(FACTS, br_netfilter6=on)).items for on in (False, True))
    come, gone = ({str(i) for i in items if not isinstance(i, Veth)} for items in (after - before, before - after))
    assert come == {"inet lent6 { tcp . 8080 }", "inet lent6 { udp . 8081 }"} and not gone
