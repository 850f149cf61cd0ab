"""What rules of others do to a packet, condition by condition and chain by chain: certain, or not to be told."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from sanbashi.errors import Invalid
from sanbashi.network.why.asking import Target, parse_target, spellings
from sanbashi.network.why.conditions import OUR_MARK, Packet, matches
from sanbashi.network.why.facts import Chain, Rule, Tables
from sanbashi.network.why.filters import findings

PACKET = Packet(
    come="eth0", go="br-1", source=ip_address("198.51.100.1"), target=ip_address("10.2.0.2"), protocol="tcp", target_port=80, translated=True
)


def meta(key: str) -> dict[str, Any]:
    return {"meta": {"key": key}}


def payload(protocol: str, name: str) -> dict[str, Any]:
    return {"payload": {"protocol": protocol, "field": name}}


CT = {"ct": {"key": "state"}}
MASKED = {"&": [meta("mark"), OUR_MARK]}
CONDITIONS: list[tuple[Any, str, Any, bool | None]] = [
    (meta("iifname"), "==", "eth0", True),
    (meta("iifname"), "!=", "eth0", False),
    (meta("oifname"), "==", "br-*", True),
    (meta("oifname"), "==", {"set": ["docker0", "br-9"]}, False),
    (meta("oifname"), "==", "@bridges", None),
    (meta("l4proto"), "==", "tcp", True),
    (meta("l4proto"), "==", {"set": ["udp", "icmp"]}, False),
    (meta("nfproto"), "==", "ipv4", True),
    (meta("skuid"), "==", 0, None),
    (meta("mark"), "==", 1, None),
    (MASKED, "==", OUR_MARK, None),
    (CT, "in", ["established", "related"], False),
    (CT, "==", {"set": ["new", "invalid"]}, True),
    ({"ct": {"key": "status"}}, "in", "dnat", True),
    ({"ct": {"key": "direction"}}, "==", "original", True),
    (payload("ip", "saddr"), "==", "198.51.100.1", True),
    (payload("ip", "saddr"), "==", {"prefix": {"addr": "198.51.100.0", "len": 24}}, True),
    (payload("ip", "saddr"), "!=", {"prefix": {"addr": "198.51.100.0", "len": 24}}, False),
    (payload("ip", "daddr"), "==", {"range": ["10.2.0.1", "10.2.0.9"]}, True),
    (payload("ip6", "daddr"), "==", "fd00::1", False),
    (payload("ip", "protocol"), "==", "tcp", True),
    (payload("tcp", "dport"), "==", 80, True),
    (payload("tcp", "dport"), "==", {"set": [22, {"range": [79, 90]}]}, True),
    (payload("tcp", "dport"), "!=", {"set": [22, 443]}, True),
    (payload("th", "dport"), "==", 80, True),
    (payload("udp", "dport"), "==", 80, False),
    (payload("tcp", "sport"), "==", 80, False),  # a client has one of its kernel's own choice
    (payload("tcp", "sport"), "==", 40000, None),
    (payload("tcp", "sport"), "==", {"range": [1, 1023]}, False),
    (payload("tcp", "flags"), "==", "syn", None),
    (payload("icmp", "type"), "==", "echo-request", False),
    ({"fib": {"result": "type", "flags": ["daddr"]}}, "==", "local", None),
    ({"socket": {"key": "mark"}}, "==", 1, None),
    ("word", "==", "word", None),
]


@pytest.mark.parametrize(("left", "operator", "right", "expected"), CONDITIONS, ids=str)
def test_conditions(left: Any, operator: str, right: Any, expected: bool | None) -> None:
    assert matches({"left": left, "op": operator, "right": right}, PACKET, False) is expected


def test_our_mark_is_known_where_packets_bear_it() -> None:
    assert matches({"left": MASKED, "op": "==", "right": OUR_MARK}, PACKET, True) is True


def test_echoes() -> None:
    echo = Packet(source=ip_address("10.1.0.2"), target=ip_address("10.1.0.3"), protocol="icmp")
    assert matches({"left": payload("icmp", "type"), "op": "==", "right": "echo-request"}, echo, False) is True
    assert matches({"left": meta("l4proto"), "op": "==", "right": "icmp"}, echo, False) is True


ACCEPT, DROP, RETURN, LIMIT, COUNTER = {"accept": None}, {"drop": None}, {"return": None}, {"limit": {"rate": 3}}, {"counter": {"packets": 0}}
TO_80 = {"match": {"left": payload("tcp", "dport"), "op": "==", "right": 80}}
TO_22 = {"match": {"left": payload("tcp", "dport"), "op": "==", "right": 22}}
KNOWN = {"match": {"left": CT, "op": "in", "right": ["established", "related"]}}
REMARK = {"xt": {"type": "match", "name": "comment"}}
XT = {"xt": {"type": "match", "name": "addrtype"}}
REJECT = {"xt": {"type": "target", "name": "REJECT"}}
VMAP = {"vmap": {"key": CT, "data": {"set": [["established", ACCEPT], ["invalid", DROP]]}}}
VMAP_80 = {"vmap": {"key": payload("tcp", "dport"), "data": {"set": [[22, ACCEPT], [80, {"jump": {"target": "u"}}]]}}}
# rules of chain c (and u) as (chain, expressions); the policy; certain drop, perhaps, or nothing
CHAINS: dict[str, tuple[list[tuple[str, list[Any]]], str, bool | None]] = {
    "empty": ([], "accept", None),
    "its policy": ([], "drop", True),
    "accepted before the policy": ([("c", [TO_80, COUNTER, ACCEPT])], "drop", None),
    "what is known passes, the rest does not": ([("c", [KNOWN, ACCEPT])], "drop", True),
    "a drop": ([("c", [TO_80, COUNTER, DROP])], "accept", True),
    "a drop of another": ([("c", [TO_22, DROP])], "accept", None),
    "a reject of iptables' own": ([("c", [REJECT])], "accept", True),
    "a remark of iptables' own": ([("c", [REMARK, DROP])], "accept", True),
    "what an older library does not say": ([("c", [{"xt": None}, DROP])], "accept", False),
    "perhaps": ([("c", [LIMIT, DROP])], "accept", False),
    "perhaps accepted before a drop": ([("c", [XT, ACCEPT]), ("c", [DROP])], "accept", False),
    "perhaps dropped, surely dropped after": ([("c", [LIMIT, DROP]), ("c", [DROP])], "accept", True),
    "perhaps dropped, surely accepted after": ([("c", [LIMIT, DROP]), ("c", [ACCEPT])], "drop", False),
    "a jump that drops": ([("c", [TO_80, {"jump": {"target": "u"}}]), ("u", [DROP])], "accept", True),
    "a jump that comes back": ([("c", [{"jump": {"target": "u"}}]), ("u", [RETURN]), ("u", [DROP])], "accept", None),
    "a jump that comes back to a drop": ([("c", [{"jump": {"target": "u"}}]), ("c", [DROP]), ("u", [TO_22, ACCEPT])], "accept", True),
    "a goto does not come back": ([("c", [{"goto": {"target": "u"}}]), ("c", [DROP]), ("u", [TO_22, ACCEPT])], "accept", None),
    "a goto ends in the policy": ([("c", [{"goto": {"target": "u"}}]), ("u", [TO_22, ACCEPT])], "drop", True),
    "a return ends in the policy": ([("c", [RETURN]), ("c", [ACCEPT])], "drop", True),
    "a map of verdicts": ([("c", [VMAP]), ("c", [ACCEPT])], "drop", None),
    "a map that jumps": ([("c", [VMAP_80]), ("u", [DROP])], "accept", True),
    "a named map": ([("c", [{"vmap": {"key": CT, "data": "@verdicts"}}])], "accept", False),
    "a queue": ([("c", [{"queue": {"num": 1}}])], "accept", False),
    "chains that go round": ([("c", [{"jump": {"target": "u"}}]), ("u", [{"jump": {"target": "u"}}])], "accept", False),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains(name: str) -> None:
    written, policy, expected = CHAINS[name]
    rules: dict[tuple[str, str, str], list[Rule]] = {}
    for number, (chain, expressions) in enumerate(written):
        rules.setdefault(("inet", "t", chain), []).append(Rule(chain=chain, handle=number, expressions=expressions))
    base = Chain(family="inet", table="t", name="c", hook="forward", priority=0, policy=policy)
    found = list(findings(Tables(chains=(base,), rules=rules), ("ip", "inet"), "forward", PACKET))
    assert [f.certain for f in found] == ([] if expected is None else [expected]), found


def test_chains_of_other_hooks_and_families_are_not_met() -> None:
    chains = tuple(
        Chain(family=family, table="t", name="c", hook=hook, priority=0, policy="drop") for family, hook in (("inet", "input"), ("ip6", "forward"))
    )
    assert not list(findings(Tables(chains=chains), ("ip", "ip6", "inet"), "forward", PACKET))


TARGETS: list[tuple[str, Target | str]] = [
    ("web02", Target("web02", "icmp", 0, None)),
    ("web02/icmp", Target("web02", "icmp", 0, None)),
    ("web02:80", Target("web02", "tcp", 80, None)),
    ("web02:53/udp", Target("web02", "udp", 53, None)),
    ("10.1.2.3:443/tcp", Target("10.1.2.3", "tcp", 443, ip_address("10.1.2.3"))),
    ("fd00::1", Target("fd00::1", "icmp", 0, ip_address("fd00::1"))),
    ("[fd00::1]:80", Target("fd00::1", "tcp", 80, ip_address("fd00::1"))),
    ("web02:0", "invalid port: '0' in 'web02:0'"),
    ("web02:http", "invalid port: 'http' in 'web02:http'"),
    ("web02:80:90", "invalid port: '80:90' in 'web02:80:90'"),
    ("web02/udp", "no port specified: web02/udp"),
    ("web02:80/icmp", "invalid target: 'web02:80/icmp': icmp has no ports"),
    ("web02:80/quic", "invalid proto: quic"),
    (":80", "invalid target: ':80'"),
    ("", "invalid target: ''"),
    ("[web]:80", "invalid target: '[web]:80'"),
]


@pytest.mark.parametrize(("text", "expected"), TARGETS, ids=str)
def test_targets(text: str, expected: Target | str) -> None:
    if isinstance(expected, Target):
        assert parse_target(text) == expected
        return
    with pytest.raises(Invalid) as refused:
        parse_target(text)
    assert refused.value.message == expected


def test_spellings() -> None:
    assert spellings("db", ("a.example", ".")) == ("db", "db.a.example")
    assert spellings("db.b", ("a.example",), 5) == ("db.b.a.example", "db.b")
    assert spellings("db.", ("a.example",)) == ("db.",)
