"""Rules that are read once for many ways say of each what the same rules say when each way is walked by itself, statement by statement."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.host.passing import ANY, INDIFFERENT, Way, told, values, verdict

CHAINS = ("f", "u", "v")
LINKS = ("docker0", "br-1", "br-12", "eth0")
WAYS = (ANY, *(Way(come, go, translated) for come in ("", *LINKS) for go in ("", *LINKS) for translated in (False, True)))

LEFTS: tuple[Any, ...] = (
    *({"meta": {"key": key}} for key in ("iif", "iifname", "oif", "oifname", "mark")),
    *({"ct": {"key": key}} for key in ("state", "status")),
    {"ip": {"key": "iifname"}},
    {"payload": {"protocol": "ip", "field": "saddr"}},
    {"&": ["a", "b"]},
    "word",
)
LATER = {"elem": {"val": "docker0", "timeout": 60}}
RIGHTS: tuple[Any, ...] = (
    *("docker0", "br-1", "br-*", "*", "@lan", "new", "established", "dnat", "snat", 7, LATER, {"range": ["a", "b"]}),
    *(["docker0", "eth0"], ["new", "invalid"], ["dnat"], ["dnat", "snat"], []),
    *({"set": parts} for parts in (["br-*", "eth0"], ["docker0", "@lan"], ["docker0", LATER], [LATER], ["dnat", LATER], [])),
)
OPERATORS = ("==", "!=", "in", "<", None)

linked = st.builds(
    lambda key, op, right: {"match": {"op": op, "left": {"meta": {"key": key}}, "right": right}},
    st.sampled_from(["iifname", "oifname"]),
    st.sampled_from(["==", "!="]),
    st.sampled_from(["docker0", "br-*"]),
)
before = st.lists(st.one_of(linked, st.sampled_from([{"counter": {}}, {"log": {}}, {"xt": None}])), max_size=2)
ends = st.one_of(
    st.sampled_from(["accept", "drop", "reject", "return", "masquerade"]).map(lambda kind: {kind: None}),
    st.builds(lambda kind, target: {kind: {"target": target}}, st.sampled_from(["jump", "goto"]), st.sampled_from([*CHAINS, "gone"])),
)
rules = st.builds(lambda chain, before, end: {"chain": chain, "expr": [*before, end]}, st.sampled_from(CHAINS), before, ends)


@pytest.mark.parametrize("left", LEFTS, ids=str)
def test_a_condition_holds_where_it_holds_alone(left: Any) -> None:
    for operator, right in itertools.product(OPERATORS, RIGHTS):
        match = {"match": {"op": operator, "left": left, "right": right}}
        rules = [{"chain": "f", "expr": [match, {"accept": None}]}]
        for way in WAYS:
            assert verdict("f", told(rules, [way]), way) == walked("f", rules, way), (match, way)


@given(st.lists(rules, max_size=10))
def test_every_way_meets_what_it_meets_alone(rules: list[dict[str, Any]]) -> None:
    read = told(rules, WAYS)
    for chain, way in itertools.product(CHAINS, WAYS):
        assert verdict(chain, read, way) == walked(chain, rules, way), (chain, way)


def test_rules_that_none_of_ours_can_meet_are_walked_by_nobody() -> None:
    """Of a firewall's thousands those stay that can apply to a packet of ours: a verdict costs what they cost."""
    others = [{"chain": "f", "expr": [on("iifname", f"veth{i}"), {"accept": None}]} for i in range(500)]
    others += [{"chain": "f", "expr": [{"match": {"op": "==", "left": {"payload": {}}, "right": i}}, {"drop": None}]} for i in range(500)]
    others += [{"chain": f"c{i}", "expr": [on("oifname", f"veth{i}"), {"drop": None}]} for i in range(500)]
    mine = [{"chain": "f", "expr": [on("iifname", f"br-{i}"), {"drop": None}]} for i in range(3)]
    read = told([*others, *mine], [Way(come=f"br-{i}") for i in range(2)])
    assert {chain: len(kept) for chain, kept in read.items()} == {"f": 2}


def on(key: str, right: object) -> dict[str, Any]:
    return {"match": {"op": "==", "left": {"meta": {"key": key}}, "right": right}}


# -- the plain reading: every rule of the table, one way at a time


def walked(chain: str, rules: Sequence[dict[str, Any]], way: Way, within: frozenset[str] = frozenset()) -> str:
    for rule in rules:
        if rule["chain"] != chain:
            continue
        kind, target = applied(rule.get("expr", []), way)
        left = kind == "goto"
        if kind in ("jump", "goto") and target not in within:
            kind = walked(target, rules, way, within | {chain})
            if not kind and left:
                return ""
        if kind in ("accept", "drop", "reject"):
            return kind
        if kind == "return":
            return ""
    return ""


def applied(expressions: Sequence[dict[str, Any]], way: Way) -> tuple[str, str]:
    if not expressions or not all(passes(e, way) for e in expressions[:-1]):
        return "", ""
    kind, last = next(iter(expressions[-1].items()))
    return kind, last.get("target", "") if kind in ("jump", "goto") else ""


def passes(expression: dict[str, Any], way: Way) -> bool:
    kind, content = next(iter(expression.items()))
    return kind in INDIFFERENT or (kind == "match" and holds(content, way) is True)


def holds(match: dict[str, Any], way: Way) -> bool | None:
    left, operator = match.get("left", {}), match.get("op")
    right, all_told = values(match.get("right"))
    about = next(iter(left.values()), None) if isinstance(left, dict) else None
    key = about.get("key", "") if isinstance(about, dict) else ""
    found: bool | None = None
    if "meta" in left and key in ("iif", "iifname", "oif", "oifname"):
        link = way.come if key.startswith("iif") else way.go
        found = any(link.startswith(v[:-1]) if v.endswith("*") else link == v for v in right) if link else None
    elif "ct" in left and key == "status":
        found = way.translated if way != ANY and right == ["dnat"] else None
    elif "ct" in left and key == "state":
        found = "new" in right
    if not found and not all_told:
        return None
    return found if operator in ("==", "in") or found is None else not found if operator == "!=" else None
