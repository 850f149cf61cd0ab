from dataclasses import dataclass, replace
from ipaddress import ip_address

import pytest

from sanbashi.errors import Failed, Invalid
from sanbashi.network import commands
from sanbashi.network.model import NetworkFacts, NetworkState, PortSpec
from sanbashi.network.ports import exposed_ports, parse_bindings, parse_host_port, parse_port

from .world import FACTS, create, endpoint, fresh, join, number, open_container, run, sandbox_of

SOME = replace(FACTS, ephemeral=(50000, 50004))


@dataclass
class Binding:
    host_ip: str = ""
    host_port: str = ""


def bound(state: NetworkState, container: str, network: str = "bridge") -> list[str]:
    return [f"{p.host_ip}:{p.host_port}->{p.container_port}/{p.protocol}" for p in endpoint(state, container, network).ports]


# -- words


def test_bindings_in_the_order_in_which_they_are_assigned() -> None:
    words = {
        "81/tcp": (Binding(), Binding("127.0.0.1", "8000-8002")),
        "80/udp": (Binding("", "8081"),),
        "80": (Binding("::1", "8080"), Binding("", "0")),
        "90/sctp": None,
    }
    assert parse_bindings(words) == (
        PortSpec(80, "tcp", ip_address("::1"), 8080),
        PortSpec(80, "udp", None, 8081),
        PortSpec(81, "tcp", ip_address("127.0.0.1"), 8000, 8002),
        PortSpec(80, "tcp"),
        PortSpec(81, "tcp"),
        PortSpec(90, "sctp"),
    )


def test_publish_all_adds_what_is_exposed_and_not_named() -> None:
    specs = parse_bindings({"80/tcp": (Binding("", "8080"),)}, publish_all=True, exposed=("80/tcp", "7000-7001", "53/UDP"))
    assert specs == (PortSpec(80, "tcp", None, 8080), PortSpec(53, "udp"), PortSpec(7000, "tcp"), PortSpec(7001, "tcp"))
    assert exposed_ports(("80", "80/tcp", "80/sctp", "80/udp")) == ((80, "tcp"), (80, "udp"), (80, "sctp"))


@pytest.mark.parametrize("word", ["", "x/tcp", "80-/tcp", "-80", "8 0", "80/tcp/udp", "80/icmp", "0", "65536", "90-80", "²"])
def test_container_ports_that_are_none(word: str) -> None:
    with pytest.raises(Invalid, match=f"^invalid JSON: invalid port '{word}': "):
        parse_port(word)


@pytest.mark.parametrize("word", ["x", "-1", "70000", "90-80", "80-", "1-2-3"])
def test_host_ports_that_are_none(word: str) -> None:
    with pytest.raises(Invalid, match=f'^invalid port specification: "{word}"$'):
        parse_host_port(word)


def test_a_range_of_one_port_is_a_port() -> None:
    assert (parse_host_port("80-80"), parse_host_port("80-81"), parse_host_port("")) == ((80, 0), (80, 81), (0, 0))
    with pytest.raises(Invalid, match=r'ParseAddr\("nowhere"\)'):
        parse_bindings({"80/tcp": (Binding("nowhere", ""),)})


# -- where a publication stands


def test_both_families_with_one_number() -> None:
    state = run(fresh(), "c", "bridge", PortSpec(80, "tcp", None, 8080), PortSpec(81, "udp"))
    assert bound(state, "c") == ["0.0.0.0:8080->80/tcp", ":::8080->80/tcp", "0.0.0.0:32768->81/udp", ":::32768->81/udp"]


def test_addresses_that_are_named() -> None:
    specs = [PortSpec(80, "tcp", ip_address(a), 8080) for a in ("127.0.0.1", "::1", "192.0.2.1")]
    assert sorted(bound(run(fresh(), "c", "bridge", *specs), "c")) == ["127.0.0.1:8080->80/tcp", "192.0.2.1:8080->80/tcp", "::1:8080->80/tcp"]


def test_a_network_with_a_host_address_of_its_own() -> None:
    state, _ = create(fresh(), "n", options={"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"})
    assert bound(run(state, "c", "n", PortSpec(80, "tcp", None, 8085)), "c", "n") == ["127.0.0.1:8085->80/tcp"]
    wide = PortSpec(80, "tcp", ip_address("0.0.0.0"), 8085)
    assert bound(run(state, "c", "n", wide), "c", "n") == ["0.0.0.0:8085->80/tcp"]
    state = fresh(replace(FACTS, default_ip=ip_address("192.0.2.7")))
    assert bound(run(state, "c", "bridge", PortSpec(80, "tcp", None, 8085)), "c") == ["192.0.2.7:8085->80/tcp"]


def test_a_host_without_ipv6() -> None:
    facts = replace(FACTS, ip6_available=False)
    assert bound(run(fresh(facts), "c", "bridge", PortSpec(80, "tcp", None, 8080), facts=facts), "c") == ["0.0.0.0:8080->80/tcp"]


def test_routed_networks_take_no_host_port() -> None:
    state, _ = create(fresh(), "r", options={"com.docker.network.bridge.gateway_mode_ipv4": "routed"})
    state = run(state, "c", "r", PortSpec(80, "tcp", None, 8080))
    assert bound(state, "c", "r") == ["0.0.0.0:0->80/tcp"]
    assert not state.host_ports


def test_internal_networks_publish_nothing() -> None:
    state, _ = create(fresh(), "i", internal=True)
    assert bound(run(state, "c", "i", PortSpec(80, "tcp", None, 8080)), "c", "i") == []


def test_ipv6_only_containers_are_published_on_ipv6() -> None:
    state, _ = create(fresh(), "six", enable_ipv4=False, enable_ipv6=True)
    assert bound(run(state, "c", "six", PortSpec(80, "tcp", None, 8080)), "c", "six") == [":::8080->80/tcp"]


# -- conflicts


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (None, None, "Bind for 0.0.0.0:8080 failed: port is already allocated"),
        ("127.0.0.1", None, "Bind for 0.0.0.0:8080 failed: port is already allocated"),
        (None, "127.0.0.1", "Bind for 127.0.0.1:8080 failed: port is already allocated"),
        ("::1", None, "Bind for :::8080 failed: port is already allocated"),
        ("0.0.0.0", "::", ""),
        ("127.0.0.1", "192.0.2.1", ""),
    ],
)
def test_conflicts(first: str | None, second: str | None, words: str) -> None:
    one, two = (PortSpec(80, "tcp", ip_address(a) if a else None, 8080) for a in (first, second))
    state = run(fresh(), "pa", "bridge", one)
    if not words:
        assert run(state, "pb", "bridge", two)
        return
    with pytest.raises(Failed) as caught:
        run(state, "pb", "bridge", two)
    name = number("pb bridge")
    assert caught.value.message == f"driver failed programming external connectivity on endpoint pb ({name}): {words}"
    assert "is published by container pa" in caught.value.hint
    assert run(state, "pb", "bridge", replace(two, protocol="udp"))
    assert run(commands.close_sandbox(state, sandbox_of("pa")), "pb", "bridge", two)


def test_one_container_cannot_take_a_port_twice() -> None:
    with pytest.raises(Failed, match=r"Bind for 0.0.0.0:8080 failed") as caught:
        run(fresh(), "c", "bridge", PortSpec(80, "tcp", None, 8080), PortSpec(81, "tcp", None, 8080))
    assert caught.value.hint == "host port 0.0.0.0:8080/tcp is asked for twice by this container"


def test_ranges_take_the_first_free_port() -> None:
    spec = PortSpec(80, "tcp", None, 8000, 8002)
    state = run(fresh(), "a", "bridge", PortSpec(80, "tcp", ip_address("127.0.0.1"), 8000))
    state = run(run(state, "b", "bridge", spec), "c", "bridge", spec)
    assert (bound(state, "b")[0], bound(state, "c")[0]) == ("0.0.0.0:8001->80/tcp", "0.0.0.0:8002->80/tcp")
    with pytest.raises(Failed, match=r"Bind for 0.0.0.0:8002 failed: port is already allocated"):
        run(state, "d", "bridge", spec)


# -- ephemeral ports


def ephemeral(
    state: NetworkState, name: str, facts: NetworkFacts = SOME, avoid: frozenset[tuple[str, int]] = frozenset()
) -> tuple[NetworkState, int]:
    state, _ = join(open_container(state, name, PortSpec(80, "tcp")), name, "bridge", facts=facts)
    state = commands.publish(state, sandbox_of(name), facts, avoid=avoid)
    return state, endpoint(state, name, "bridge").ports[0].host_port


def test_ephemeral_ports_go_on_from_the_last_and_begin_again() -> None:
    state = fresh(SOME)
    got = []
    for name in ("e0", "e1", "e2", "e3", "e4"):
        state, port = ephemeral(state, name)
        got.append(port)
    assert got == [50000, 50001, 50002, 50003, 50004]
    with pytest.raises(Failed, match=r"e5 \([0-9a-f]{64}\): all ports are allocated$"):
        ephemeral(state, "e5")
    state = commands.close_sandbox(state, sandbox_of("e1"))
    assert ephemeral(state, "e5")[1] == 50001
    state = commands.close_sandbox(commands.close_sandbox(state, sandbox_of("e3")), sandbox_of("e4"))
    assert ephemeral(state, "e5")[1] == 50003


def test_ephemeral_ports_pass_over_what_is_reserved_busy_or_held_anywhere() -> None:
    facts = replace(SOME, reserved_ports=frozenset({50001}))
    state = run(fresh(facts), "a", "bridge", PortSpec(80, "tcp", ip_address("127.0.0.1"), 50000), facts=facts)
    assert ephemeral(state, "e", facts, frozenset({("tcp", 50002), ("udp", 50003)}))[1] == 50003


# -- what stands


def test_ports_move_with_the_gateway_and_keep_their_numbers() -> None:
    state, _ = create(fresh(), "net")
    state = run(state, "c", "bridge", PortSpec(80, "tcp", None, 8080), PortSpec(81, "tcp"))
    before = bound(state, "c")
    state = run(state, "other", "bridge", PortSpec(81, "tcp"))
    state, _ = join(state, "c", "net", gateway_priority=1)
    state = commands.publish(state, sandbox_of("c"), FACTS)
    assert (bound(state, "c"), bound(state, "c", "net")) == ([], before)
    again = commands.publish(state, sandbox_of("c"), FACTS)
    assert again == state
    state = commands.publish(commands.leave(state, endpoint(state, "c", "net").id), sandbox_of("c"), FACTS)
    assert bound(state, "c") == before
    state = commands.publish(commands.leave(state, endpoint(state, "c", "bridge").id), sandbox_of("c"), FACTS)
    assert {port for held in state.host_ports.values() for port in held.holders} == {32769}


def test_families_may_have_different_gateways() -> None:
    state, _ = create(fresh(), "six", enable_ipv4=False, enable_ipv6=True)
    state, _ = join(open_container(state, "c", PortSpec(80, "tcp", None, 8080)), "c", "bridge")
    state, _ = join(state, "c", "six")
    state = commands.publish(state, sandbox_of("c"), FACTS)
    assert (bound(state, "c"), bound(state, "c", "six")) == (["0.0.0.0:8080->80/tcp"], [":::8080->80/tcp"])
    four, six = commands.gateway_endpoints(state, sandbox_of("c"))
    assert four and six and (four.interface, six.interface) == ("eth0", "eth1")


def test_the_order_of_gateways() -> None:
    state = fresh()
    for name, fields in (("b", {}), ("a", {}), ("zz", {"enable_ipv6": True}), ("in", {"internal": True}), ("first", {})):
        state, _ = create(state, name, **fields)
    state = open_container(state, "c")
    for name in ("in", "b", "a", "zz"):
        state, _ = join(state, "c", name)
    names = [state.networks[e.network_id].name for e in commands.endpoints_of(state, sandbox_of("c"))]
    assert names == ["zz", "a", "b", "in"]
    state, _ = join(state, "c", "first", gateway_priority=5)
    four, six = commands.gateway_endpoints(state, sandbox_of("c"))
    assert four and six and [state.networks[e.network_id].name for e in (four, six)] == ["first", "zz"]
