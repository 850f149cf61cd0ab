"""What a foreign chain does to forwarded packets, and the command that mends it."""

from __future__ import annotations

from typing import Any

import pytest

from sanbashi.host.foreign import ForeignDrop, command, owner_of
from sanbashi.host.passing import ANY, Way, told, verdict

MATCH: dict[str, Any] = {"match": {}}


@pytest.mark.parametrize(
    ("rules", "fate"),
    [
        ([("f", {"drop": None})], "drop"),
        ([("f", {"counter": {}}, {"reject": {"type": "icmpx"}})], "reject"),
        ([("f", {"counter": {}}, {"xt": {"type": "target", "name": "REJECT"}})], "reject"),
        ([("f", {"xt": {"type": "target", "name": "TRACE"}})], ""),
        ([("f", MATCH, {"drop": None})], ""),
        ([("f", {"xt": None}, {"drop": None})], ""),
        ([("f", {"accept": None}), ("f", {"drop": None})], "accept"),
        ([("f", MATCH, {"accept": None}), ("f", {"drop": None})], "drop"),
        ([("f", {"counter": {}}, {"jump": {"target": "u"}}), ("u", {"accept": None}), ("f", {"drop": None})], "accept"),
        ([("f", {"jump": {"target": "u"}}), ("u", MATCH, {"accept": None}), ("f", {"drop": None})], "drop"),
        ([("f", {"jump": {"target": "u"}}), ("u", {"return": None}), ("u", {"accept": None}), ("f", {"drop": None})], "drop"),
        ([("f", {"goto": {"target": "u"}}), ("f", {"drop": None})], ""),
        ([("f", {"jump": {"target": "f"}})], ""),
        ([("other", {"drop": None})], ""),
        ([], ""),
    ],
)
def test_the_first_rule_without_a_condition_decides(rules: list[tuple[Any, ...]], fate: str) -> None:
    assert judged([rule(chain, *expressions) for chain, *expressions in rules]) == fate


def judged(rules: list[dict[str, Any]], way: Way = ANY) -> str:
    """What a packet of a way meets in chain f, the rules read for that way alone."""
    return verdict("f", told(rules, [way]), way)


def rule(chain: str, *expressions: Any) -> dict[str, Any]:
    return {"chain": chain, "expr": list(expressions)}


def on(key: str, operator: str, value: object, kind: str = "meta") -> dict[str, Any]:
    return {"match": {"op": operator, "left": {kind: {"key": key}}, "right": value}}


# As firewalld 1.3 writes them, docker0 and br-+ in its zone `trusted`.
FIREWALLD = [
    rule("f", on("state", "==", {"set": ["established", "related"]}, "ct"), {"accept": None}),
    rule("f", on("status", "in", "dnat", "ct"), {"accept": None}),
    rule("f", on("iifname", "==", "lo"), {"accept": None}),
    rule("f", on("state", "in", "invalid", "ct"), {"drop": None}),
    rule("f", {"jump": {"target": "zones"}}),
    rule("f", {"reject": {"type": "icmpx"}}),
    rule("zones", on("iifname", "==", "br-*"), {"goto": {"target": "trusted"}}),
    rule("zones", on("iifname", "==", "docker0"), {"goto": {"target": "trusted"}}),
    rule("zones", {"goto": {"target": "public"}}),
    rule("trusted", {"jump": {"target": "allow"}}),
    rule("trusted", {"accept": None}),
    rule("allow", on("oifname", "==", "docker0"), {"accept": None}),
    rule("public", {"jump": {"target": "empty"}}),
    rule("public", {"reject": {"type": "icmpx"}}),
]


@pytest.mark.parametrize(
    ("way", "fate"),
    [
        (Way(come="docker0"), "accept"),
        (Way(come="br-0123456789ab"), "accept"),
        (Way(come="mine"), "reject"),
        (Way(go="mine", translated=True), "accept"),
        (Way(go="br-0123456789ab"), "reject"),
        (Way(), "reject"),
    ],
)
def test_what_a_condition_says_of_our_bridges_counts(way: Way, fate: str) -> None:
    assert judged(FIREWALLD, way) == fate


@pytest.mark.parametrize(
    ("condition", "fate"),
    [
        (on("iifname", "==", {"set": ["eth0", "docker0"]}), "drop"),
        (on("iifname", "!=", "docker0"), ""),
        (on("iifname", "!=", "eth0"), "drop"),
        (on("oifname", "==", "eth0"), ""),
        (on("state", "in", ["new", "invalid"], "ct"), "drop"),
        (on("mark", "==", 7), ""),
        (on("iifname", "!=", "@lan"), ""),
        (on("iifname", "==", "@lan"), ""),
        (on("state", "!=", "@known", "ct"), ""),
        (on("iifname", "!=", {"set": ["eth0", {"elem": {"val": "docker0", "counter": {"packets": 0, "bytes": 0}}}]}), ""),
        (on("iifname", "!=", {"set": [{"elem": {"val": "docker0", "timeout": 60}}]}), ""),
        (on("iifname", "==", {"set": [{"elem": {"val": "docker0", "timeout": 60}}]}), ""),
        (on("iifname", "==", {"set": ["docker0", {"elem": {"val": "eth0", "timeout": 60}}]}), "drop"),
        (on("iifname", "!=", {"range": ["eth0", "eth9"]}), ""),
    ],
)
def test_a_drop_counts_only_where_it_surely_applies(condition: dict[str, Any], fate: str) -> None:
    assert judged([rule("f", condition, {"drop": None})], Way(come="docker0")) == fate


def test_what_may_be_accepted_by_a_named_set_is_no_answer_to_a_drop() -> None:
    rules = [rule("f", on("oifname", "!=", "@closed"), {"accept": None}), rule("f", {"drop": None})]
    assert judged(rules, Way(go="docker0")) == "drop"


def test_firewalld_is_told_every_bridge_and_what_is_reached_untranslated() -> None:
    chain = {"family": "inet", "table": "firewalld", "name": "filter_FORWARD", "policy": "accept"}
    first = "firewall-cmd --permanent --zone=trusted --add-interface=docker0"
    assert command("firewalld", chain) == f"{first} --add-interface=br-+ && firewall-cmd --reload"
    said = command("firewalld", chain, (Way(come="mine"), Way(go="br-0123456789ab")))
    assert said == (
        f"{first} --add-interface=mine --add-interface=br-+ && firewall-cmd --permanent --new-policy=sanbashi"
        " && firewall-cmd --permanent --policy=sanbashi --add-ingress-zone=ANY && firewall-cmd --permanent --policy=sanbashi"
        " --add-egress-zone=trusted && firewall-cmd --permanent --policy=sanbashi --set-target=ACCEPT && firewall-cmd --reload"
    )


@pytest.mark.parametrize(
    ("family", "table", "name", "neighbours", "owner", "mended"),
    [
        ("ip", "filter", "FORWARD", ["DOCKER-USER", "DOCKER"], "Docker", "iptables -I DOCKER-USER -j ACCEPT"),
        ("ip6", "filter", "FORWARD", ["ufw6-before-forward"], "ufw", "ufw default allow routed"),
        ("ip6", "filter", "FORWARD", [], "iptables", "ip6tables -P FORWARD ACCEPT"),
        ("inet", "guard", "forward", [], "nftables", "nft 'add chain inet guard forward { policy accept; }'"),
    ],
)
def test_the_owner_is_told_by_the_neighbours(family: str, table: str, name: str, neighbours: list[str], owner: str, mended: str) -> None:
    chain = {"family": family, "table": table, "name": name, "policy": "drop"}
    assert owner_of(chain, neighbours) == owner
    assert command(owner, chain) == mended


def test_the_sentence_names_the_chain_and_the_command() -> None:
    drop = ForeignDrop("ip filter FORWARD", "Docker", "its policy is drop", "iptables -I DOCKER-USER -j ACCEPT")
    assert str(drop) == (
        "chain ip filter FORWARD (Docker) drops forwarded packets: its policy is drop; "
        "to let containers be reached run: iptables -I DOCKER-USER -j ACCEPT"
    )
