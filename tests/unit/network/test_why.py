"""`why` as a table: who asks whom, what the kernel says, and what comes of it; every code has a case."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

import pytest
from tests.unit.network.world import FACTS, create, endpoint, fresh, join, number, open_container, run, sandbox_of

from sanbashi.network.commands import publish
from sanbashi.network.firewall import inet
from sanbashi.network.model import NetworkFacts, NetworkState, PortSpec
from sanbashi.network.picture import Address, Element, Item, Neighbour, Sysctl, Up, Veth
from sanbashi.network.publishing import endpoints_of
from sanbashi.network.wanted import wanted
from sanbashi.network.why.asking import parse_target
from sanbashi.network.why.codes import Code, Result
from sanbashi.network.why.facts import Chain, Facts, Hop, Listener, NameAnswer, Party, Probe, Question, Rule, Tables
from sanbashi.network.why.judge import explain
from sanbashi.network.why.path import Kind, Path
from sanbashi.network.why.pathfinding import find_path
from sanbashi.network.why.stage import Answer

ICC, MODE = "com.docker.network.bridge.enable_icc", "com.docker.network.bridge.gateway_mode_ipv4"
HOST, OUTSIDE = Party(kind="host", name="the host"), Party(kind="outside", name="a neighbour of the host")
ELSEWHERE = Party(kind="address", name="192.0.2.7")


def town() -> NetworkState:
    """Networks of every kind, each with its containers; see the names."""
    state = fresh()
    state, _ = create(state, "app", "10.1.0.0/24")
    state, _ = create(state, "data", "10.2.0.0/24")
    state, _ = create(state, "quiet", "10.3.0.0/24", options={ICC: "false"})
    state, _ = create(state, "back", "10.4.0.0/24", internal=True)
    state, _ = create(state, "alone", "10.5.0.0/24", internal=True, options={MODE: "isolated"})
    state, _ = create(state, "routed", "10.6.0.0/24", options={MODE: "routed"})
    state, _ = create(state, "open", "10.7.0.0/24", options={MODE: "nat-unprotected"})
    lan = replace(FACTS, links_present=frozenset({"eth0", "eth1"}))
    state, _ = create(state, "lan", "10.8.0.0/24", driver="macvlan", options={"parent": "eth0"}, facts=lan)
    state, _ = create(state, "private", "10.9.0.0/24", driver="macvlan", options={"parent": "eth1", "macvlan_mode": "private"}, facts=lan)
    published = PortSpec(80, host_port=8080), PortSpec(81, host_ip=ip_address("127.0.0.1"), host_port=8081)
    for name, network, ports in (
        ("web01", "app", ()),
        ("web02", "app", ()),
        ("db", "data", (*published, PortSpec(82, host_ip=ip_address("198.51.100.2"), host_port=8082))),
        ("q1", "quiet", ()),
        ("q2", "quiet", ()),
        ("b1", "back", ()),
        ("b2", "back", ()),
        ("a1", "alone", ()),
        ("r1", "routed", (PortSpec(80),)),
        ("o1", "open", ()),
        ("m1", "lan", ()),
        ("m2", "lan", ()),
        ("p1", "private", ()),
        ("p2", "private", ()),
        ("d1", "bridge", ()),
        ("d2", "bridge", ()),
    ):
        state = run(state, name, network, *ports)
    state, _ = join(open_container(state, "both"), "both", "app")
    state, _ = join(state, "both", "data")
    client = open_container(state, "client")
    state, _ = join(client, "client", "quiet", links=(("q2", number("q2")),))
    q2 = state.sandboxes[sandbox_of("q2")]
    sandboxes = state.sandboxes.set(q2.id, replace(q2, exposed=((80, "tcp"),)))
    return replace(state, sandboxes=sandboxes)


STATE = town()


def party(name: str, **fields: Any) -> Party:
    sandbox = sandbox_of(name)
    return Party(
        **{"kind": "container", "name": name, "sandbox": sandbox, "container": number(name), "endpoints": endpoints_of(STATE, sandbox)} | fields
    )


STOPPED = party("gone", status="exited", sandbox="", endpoints=())


def address(name: str, network: str) -> Any:
    held = endpoint(STATE, name, network).ipv4
    assert held is not None
    return held.ip


def item(name: str, kind: type, **fields: object) -> Item:
    """What is wished of a container, of this kind and with these fields."""
    networks = [e.network_id for e in endpoints_of(STATE, sandbox_of(name))]
    picture = wanted(STATE, FACTS, networks=networks, sandboxes=[sandbox_of(name)])
    found = [i for i in picture if isinstance(i, kind) and all(getattr(i, key) == value for key, value in fields.items())]
    return min(found, key=str)


LISTENS = (Listener(address=ip_address("0.0.0.0"), process="httpd, pid 7"),)
LOOPBACK = (Listener(address=ip_address("127.0.0.1"), process="httpd, pid 7"),)
OTHER = (Listener(address=ip_address("10.99.0.1"), process="httpd, pid 7"),)


def table(hook: str, *expressions: Any, family: str = "inet", policy: str = "accept", priority: int = 0) -> Tables:
    chain = Chain(family=family, table="t", name="c", hook=hook, priority=priority, policy=policy, owner="somebody", mend="mend it")
    return Tables(chains=(chain,), rules={(family, "t", "c"): [Rule(chain="c", handle=4, expressions=expressions, comment="why not")]})


def matched(left: Any, right: Any) -> dict[str, Any]:
    return {"match": {"op": "==", "left": left, "right": right}}


TO_80 = matched({"payload": {"protocol": "tcp", "field": "dport"}}, 80)
LIMIT = {"limit": {"rate": 3, "per": "second"}}
DROP, MARK = {"drop": None}, {"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"|": [{"meta": {"key": "mark"}}, 0x53420000]}}}


@dataclass(frozen=True)
class Case:
    """`to` is a target as typed; `facts` besides a route, a listener and links that are well."""

    source: Party
    target: Party
    to: str
    result: Result
    code: Code | None = None  # of the cause, or of the only warning
    facts: dict[str, Any] = field(default_factory=dict)
    settings: NetworkFacts = FACTS


OK, BLOCKED, UNKNOWN = Result.REACHABLE, Result.BLOCKED, Result.UNKNOWN
W1, W2, DB, Q1, Q2, B1, B2 = map(party, ("web01", "web02", "db", "q1", "q2", "b1", "b2"))


def nx(by: str = "127.0.0.11") -> NameAnswer:
    return NameAnswer(outcome="nxdomain", by=by)


CASES: dict[str, Case] = {
    "same network": Case(W1, W2, "web02:80", OK),
    "same network, echo": Case(W1, W2, "web02", OK, facts={"listeners": ()}),
    "itself": Case(W1, W1, "web01:80", OK),
    "itself, nobody listens": Case(W1, W1, "web01:80", BLOCKED, Code.NOT_LISTENING, {"listeners": ()}),
    "on two networks": Case(party("both"), DB, "db:80", OK),
    "source stopped": Case(STOPPED, W2, "web02:80", BLOCKED, Code.CONTAINER_NOT_RUNNING),
    "target stopped": Case(W1, STOPPED, "gone:80", BLOCKED, Code.CONTAINER_NOT_RUNNING),
    "target paused": Case(W1, replace(W2, status="paused"), "web02:80", OK, Code.CONTAINER_PAUSED),
    "source paused": Case(replace(W1, status="paused"), W2, "web02:80", BLOCKED, Code.CONTAINER_PAUSED),
    "network none": Case(party("web01", mode="none", endpoints=()), W2, "web02:80", BLOCKED, Code.NO_NETWORK),
    # names
    "nobody's name": Case(W1, Party(kind="address", name="nosuch"), "nosuch:80", BLOCKED, Code.DNS_NXDOMAIN, {"name": nx()}),
    "no server answers": Case(
        W1, Party(kind="address", name="x.org"), "x.org:80", BLOCKED, Code.DNS_TIMEOUT, {"name": NameAnswer(outcome="timeout", by="192.0.2.53")}
    ),
    "servers cannot tell": Case(
        W1, Party(kind="address", name="x.org"), "x.org:80", BLOCKED, Code.DNS_FAILED, {"name": NameAnswer(outcome="failed", by="192.0.2.53")}
    ),
    "the default network has no names": Case(party("d1"), party("d2"), "d2:80", OK, Code.DNS_NO_NAMES_HERE, {"name": nx("nobody")}),
    "the name is elsewhere": Case(party("both"), Q1, "q1:80", BLOCKED, Code.NETWORK_ISOLATED, {"name": nx()}),
    "a stale address": Case(
        W1,
        W2,
        "web02:80",
        BLOCKED,
        Code.DNS_OTHER_ADDRESS,
        {"name": NameAnswer(outcome="ok", addresses=(ip_address("10.1.0.99"),), by="/etc/hosts")},
    ),
    # routes and links
    "no route": Case(W1, W2, "web02:80", BLOCKED, Code.NO_ROUTE, {"route": Hop(errno=101, words="network is unreachable")}),
    "blackhole": Case(W1, W2, "web02:80", BLOCKED, Code.NO_ROUTE, {"route": Hop(kind="blackhole")}),
    "another way": Case(W1, W2, "web02:80", OK, Code.OTHER_WAY, {"route": Hop(link="wg0")}),
    "no reply": Case(W1, W2, "web02:80", BLOCKED, Code.NO_REPLY_ROUTE, {"reply": Hop(errno=101, words="network is unreachable")}),
    "reverse path": Case(OUTSIDE, DB, "db:80", BLOCKED, Code.RPF_DROP, {"forward": Hop(errno=18, words="invalid cross-device link")}),
    "port of the bridge gone": Case(W1, W2, "web02:80", BLOCKED, Code.LINK_GONE, {"missing": (item("web02", Veth),)}),
    "link down": Case(W1, W2, "web02:80", BLOCKED, Code.LINK_DOWN, {"missing": (item("web02", Up, namespace=""),)}),
    "address gone": Case(W1, W2, "web02:80", BLOCKED, Code.ADDRESS_GONE, {"missing": (item("web02", Address, namespace=sandbox_of("web02")),)}),
    "sizes differ": Case(W1, W2, "web02:80", OK, Code.MTU_MISMATCH, {"mtus": {"web01 eth0": 1500, "web02 eth0": 1400}}),
    "neighbour gone": Case(W1, W2, "web02:80", OK, Code.SETTINGS_DRIFTED, {"missing": (item("web02", Neighbour),)}),
    "setting changed": Case(W1, W2, "web02:80", OK, Code.SETTINGS_DRIFTED, {"missing": (item("web02", Sysctl),)}),
    # what networks let pass
    "two networks": Case(W1, DB, "db:80", BLOCKED, Code.NETWORK_ISOLATED),
    "icc off": Case(Q1, Q2, "q2:80", BLOCKED, Code.ICC_DISABLED),
    "icc off, a link": Case(party("client"), Q2, "q2:80", OK),
    "icc off, another port than the link's": Case(party("client"), Q2, "q2:81", BLOCKED, Code.ICC_DISABLED),
    "within an internal network": Case(B1, B2, "b2:80", OK),
    "out of an internal network": Case(
        B1, ELSEWHERE, "192.0.2.7:80", BLOCKED, Code.INTERNAL_NETWORK, {"route": Hop(errno=101, words="network is unreachable")}
    ),
    "into an internal network": Case(W1, B1, "b1:80", BLOCKED, Code.INTERNAL_NETWORK),
    "from outside into an internal network": Case(OUTSIDE, B1, "b1:80", BLOCKED, Code.INTERNAL_NETWORK),
    "no address of this family": Case(W1, DB, "[fd00::1]:80", BLOCKED, Code.NO_NETWORK),
    "a container in the host's network, by its name": Case(
        W1, Party(kind="host", name="h1", container=number("h1")), "h1:80", OK, Code.DNS_NO_NAMES_HERE, {"name": nx()}
    ),
    "lost outside": Case(W1, ELSEWHERE, "192.0.2.7:443", BLOCKED, Code.BEYOND_THIS_HOST, {"probe": Probe(outcome="silent")}),
    "from an internal network to the host": Case(B1, HOST, "198.51.100.2:22", BLOCKED, Code.INTERNAL_NETWORK),
    "from an internal network to its gateway": Case(B1, HOST, "host:22", OK),
    "the host to an isolated network": Case(HOST, party("a1"), "a1:80", BLOCKED, Code.ISOLATED_GATEWAY_MODE),
    "an isolated network to the host": Case(party("a1"), HOST, "host:80", BLOCKED, Code.ISOLATED_GATEWAY_MODE),
    "to a routed network, published": Case(W1, party("r1"), "r1:80", OK),
    "to a routed network, not published": Case(W1, party("r1"), "r1:81", BLOCKED, Code.PORT_NOT_PUBLISHED),
    "to a routed network, echo": Case(W1, party("r1"), "r1", OK),
    "to an open network": Case(W1, party("o1"), "o1:99", OK),
    "direct routing": Case(W1, DB, "db:80", OK, settings=replace(FACTS, direct_routing=True)),
    "the host": Case(HOST, DB, "db:80", OK),
    "the host to a macvlan": Case(HOST, party("m1"), "m1:80", BLOCKED, Code.MACVLAN_HOST),
    "a macvlan to the host": Case(party("m1"), HOST, "198.51.100.2:80", BLOCKED, Code.MACVLAN_HOST),
    "on a macvlan": Case(party("m1"), party("m2"), "m2:80", OK),
    "on a private macvlan": Case(party("p1"), party("p2"), "p2:80", BLOCKED, Code.PRIVATE_MODE),
    "a bridge to a macvlan": Case(W1, party("m1"), "m1:80", UNKNOWN, Code.NOT_EVALUATED),
    # published ports
    "published": Case(OUTSIDE, DB, "db:80", OK),
    "not published": Case(OUTSIDE, DB, "db:443", BLOCKED, Code.PORT_NOT_PUBLISHED),
    "published for the host alone": Case(OUTSIDE, DB, "db:81", BLOCKED, Code.PUBLISHED_ON_LOOPBACK_ONLY),
    "published on one address": Case(OUTSIDE, DB, "db:82", OK, Code.PUBLISHED_ON_OTHER_HOST_IP),
    "a container to a published port": Case(W1, HOST, "host:8080", OK),
    "an internal container to a published port": Case(B1, HOST, "198.51.100.2:8080", BLOCKED, Code.INTERNAL_NETWORK),
    "a container to a port of another address": Case(
        W1, HOST, "198.51.100.2:8081", BLOCKED, Code.NOT_LISTENING, {"listeners": ()}
    ),
    "a neighbour to the host's port": Case(OUTSIDE, HOST, "host:8080", OK),
    "out": Case(W1, ELSEWHERE, "192.0.2.7:443", OK, Code.NOT_EVALUATED),
    "out of a routed network": Case(party("r1"), ELSEWHERE, "192.0.2.7:443", OK, Code.NO_MASQUERADE),
    # the host
    "forwarding off": Case(OUTSIDE, DB, "db:80", BLOCKED, Code.IP_FORWARD_OFF, {"closed": frozenset({"eth0"})}),
    "connections full": Case(OUTSIDE, DB, "db:80", BLOCKED, Code.CONNTRACK_FULL, {"connections": (100, 100)}),
    "connections nearly full": Case(OUTSIDE, DB, "db:80", OK, Code.CONNTRACK_FULL, {"connections": (95, 100)}),
    "connections full, bridged": Case(W1, W2, "web02:80", OK, facts={"connections": (100, 100)}),
    "a chain drops": Case(OUTSIDE, DB, "db:80", BLOCKED, Code.HOST_FIREWALL_DROP, {"tables": table("forward", TO_80, DROP)}),
    "a chain drops another port": Case(OUTSIDE, DB, "db:82", OK, Code.PUBLISHED_ON_OTHER_HOST_IP, {"tables": table("forward", TO_80, DROP)}),
    "a policy drops": Case(OUTSIDE, DB, "db:80", BLOCKED, Code.HOST_FIREWALL_DROP, {"tables": table("forward", policy="drop")}),
    "a bridge chain drops": Case(W1, W2, "web02:80", BLOCKED, Code.HOST_FIREWALL_DROP, {"tables": table("forward", DROP, family="bridge")}),
    "bridged packets pass no chain of IP": Case(W1, W2, "web02:80", OK, facts={"tables": table("forward", DROP)}),
    "with br_netfilter they do": Case(
        W1, W2, "web02:80", BLOCKED, Code.HOST_FIREWALL_DROP, {"tables": table("forward", DROP), "filters_bridges": True}
    ),
    "answers are dropped": Case(
        OUTSIDE,
        DB,
        "db:80",
        BLOCKED,
        Code.HOST_FIREWALL_DROP,
        {"tables": table("forward", matched({"payload": {"protocol": "tcp", "field": "sport"}}, 80), DROP)},
    ),
    "perhaps": Case(OUTSIDE, DB, "db:80", UNKNOWN, Code.UNKNOWN_FOREIGN_RULES, {"tables": table("forward", LIMIT, DROP)}),
    "older tables": Case(OUTSIDE, DB, "db:80", UNKNOWN, Code.UNKNOWN_FOREIGN_RULES, {"tables": Tables(legacy=("iptables-legacy",))}),
    "the administrator's mark": Case(
        W1, DB, "db:80", UNKNOWN, Code.UNKNOWN_FOREIGN_RULES, {"tables": table("forward", LIMIT, MARK, priority=-10)}
    ),
    "the host's input policy": Case(
        OUTSIDE,
        DB,
        "db:80",
        BLOCKED,
        Code.HOST_INPUT_POLICY,
        {"tables": table("input", policy="drop")},
        settings=replace(FACTS, host_input=True),
    ),
    "the host's input policy is not asked": Case(OUTSIDE, DB, "db:80", OK, facts={"tables": table("input", policy="drop")}),
    "rules within": Case(W1, W2, "web02:80", BLOCKED, Code.CONTAINER_FIREWALL_DROP, {"inner_target": table("input", TO_80, DROP)}),
    "our rules gone": Case(
        OUTSIDE, DB, "db:80", BLOCKED, Code.RULES_DRIFTED, {"missing": (inet("published4_any", "tcp", 8080, data=("10.2.0.2", 80)),)}
    ),
    "a rule of ours that matters to others gone": Case(
        OUTSIDE, DB, "db:80", OK, Code.RULES_DRIFTED, {"missing": (inet("published4_any", "tcp", 9090, data=("10.2.0.2", 90)),)}
    ),
    "nobody wished it": Case(W1, W2, "web02:80", BLOCKED, Code.RULES_DRIFTED, {"unwanted": (Element("bridge", "quiet", ("veth1",)),)}),
    "our chains differ": Case(W1, W2, "web02:80", UNKNOWN, Code.RULES_DRIFTED, {"fixed": False}),
    # who listens
    "not listening": Case(W1, W2, "web02:81", BLOCKED, Code.NOT_LISTENING, {"listeners": ()}),
    "on the loopback": Case(W1, W2, "web02:80", BLOCKED, Code.LISTENING_ON_LOOPBACK_ONLY, {"listeners": LOOPBACK}),
    "on another address": Case(W1, W2, "web02:80", BLOCKED, Code.LISTENING_ON_OTHER_ADDRESS, {"listeners": OTHER}),
    "on every address of IPv6": Case(W1, W2, "web02:80", OK, facts={"listeners": (Listener(address=ip_address("::")),)}),
    "for IPv6 alone": Case(
        W1, W2, "web02:80", BLOCKED, Code.LISTENING_ON_OTHER_ADDRESS, {"listeners": (Listener(address=ip_address("::"), only6=True),)}
    ),
    # a real packet
    "the probe agrees": Case(W1, W2, "web02:80", OK, facts={"probe": Probe(outcome="answered")}),
    "the probe fails": Case(W1, W2, "web02:80", BLOCKED, Code.PROBE_DISAGREES, {"probe": Probe(outcome="silent")}),
    "the probe gets through": Case(W1, DB, "db:80", UNKNOWN, Code.NETWORK_ISOLATED, {"probe": Probe(outcome="answered")}),
    "the probe settles it": Case(
        OUTSIDE, DB, "db:80", OK, facts={"tables": table("forward", LIMIT, DROP), "probe": Probe(outcome="answered")}
    ),
    "a silent datagram says nothing": Case(W1, W2, "web02:53/udp", OK, Code.NOT_EVALUATED, {"probe": Probe(outcome="silent")}),
}  # fmt: skip


def path_of(case: Case) -> Path:
    typed = parse_target(case.to)
    question = Question(source=case.source, target=case.target, asked=typed.name, protocol=typed.protocol, port=typed.port, address=typed.address)
    return find_path(STATE, case.settings, question)


def answered(case: Case) -> Answer:
    path = path_of(case)
    well: dict[str, Any] = {"listeners": LISTENS if case.target.kind != "address" else None, "uplink": "eth0", "connections": (1, 100)}
    if path.come is not None:
        well["route"] = Hop(link=path.come.interface)
    if path.go is not None:
        well["reply"] = Hop(link=path.go.interface)
        well["forward"] = Hop(link=STATE.networks[path.go.network_id].bridge)
    return explain(path, Facts(**well | case.facts))


@pytest.mark.parametrize("name", CASES)
def test_what_comes_of_it(name: str) -> None:
    case = CASES[name]
    answer = answered(case)
    codes = [s.code for s in answer.stages if s.code is not None]
    assert answer.result == case.result, answer.stages
    if case.result is Result.REACHABLE:
        assert answer.cause is None
        assert codes[:1] == [case.code] if case.code else "probe" in str(answer.stages) or not codes, answer.stages
    else:
        assert answer.cause is not None and answer.cause.code is case.code, answer.stages


def test_every_code_has_a_case() -> None:
    told = {stage.code for case in CASES.values() for stage in answered(case).stages}
    assert {code for code in Code if code not in told} == set()


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.result is not Result.REACHABLE])
def test_causes_say_what_and_who(name: str) -> None:
    """A sentence, an object and an owner for each cause, and a command that mends it or looks closer, where there is one."""
    cause = answered(CASES[name]).cause
    assert cause is not None and cause.sentence and cause.object and cause.owner
    nothing_mends = (
        Code.BEYOND_THIS_HOST,
        Code.NO_NETWORK,
        Code.ISOLATED_GATEWAY_MODE,
        Code.PRIVATE_MODE,
        Code.PUBLISHED_ON_OTHER_HOST_IP,
        Code.INTERNAL_NETWORK,
    )
    assert cause.fix or cause.code in nothing_mends or (cause.code, cause.stage) == (Code.PORT_NOT_PUBLISHED, "published"), cause


WAYS: dict[str, tuple[Party, Party, str, Kind, Callable[[Path], object], object]] = {
    "shared network": (W1, W2, "web02:80", Kind.SHARED, lambda p: p.address, address("web02", "app")),
    "shared of two": (party("both"), DB, "db:80", Kind.SHARED, lambda p: p.address, address("db", "data")),
    "by the published port": (OUTSIDE, DB, "db:80", Kind.FROM_OUTSIDE, lambda p: (p.asked_port, p.port), (8080, 80)),
    "translated": (W1, HOST, "198.51.100.2:8082", Kind.TRANSLATED, lambda p: (p.address, p.port), (address("db", "data"), 82)),
    "the host itself": (W1, HOST, "198.51.100.2:9999", Kind.TO_HOST, lambda p: p.go, None),
    "out by the gateway": (party("both"), ELSEWHERE, "192.0.2.7:80", Kind.OUT, lambda p: p.source_network and p.source_network.name, "app"),
    "an address typed": (party("both"), DB, f"{address('db', 'data')}:80", Kind.SHARED, lambda p: p.address, address("db", "data")),
}


@pytest.mark.parametrize("name", WAYS)
def test_the_way(name: str) -> None:
    source, target, to, kind, look, expected = WAYS[name]
    path = path_of(Case(source, target, to, OK))
    assert (path.kind, look(path)) == (kind, expected)


def test_the_page_has_every_code() -> None:
    page = (pathlib.Path(__file__).resolve().parents[3] / "docs" / "why.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `([A-Z0-9_]+)` \| (.+) \|$", page, re.MULTILINE)) == {code.name: code.value for code in Code}


def test_later_stops_are_told_as_well() -> None:
    answer = answered(Case(W1, DB, "db:80", BLOCKED, facts={"listeners": ()}))
    assert [s.code for s in answer.also] == [Code.NOT_LISTENING]


def test_a_free_port_is_what_publish_is_told() -> None:
    state = publish(STATE, sandbox_of("db"), FACTS)
    assert state.host_ports == STATE.host_ports
    cause = answered(CASES["not published"]).cause
    assert cause is not None and cause.fix == "sanbashi port publish db 443:443"
