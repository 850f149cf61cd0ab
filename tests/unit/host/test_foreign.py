"""What a foreign chain does to forwarded packets, and the command that mends it."""

from __future__ import annotations

from typing import Any

import pytest

from sanbashi.host.foreign import ForeignDrop, command, owner_of, verdict

MATCH: dict[str, Any] = {"match": {}}


@pytest.mark.parametrize(
    ("rules", "fate"),
    [
        ([("f", {"drop": None})], "drop"),
        ([("f", {"counter": {}}, {"reject": {"type": "icmpx"}})], "reject"),
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
    assert verdict("f", [{"chain": chain, "expr": list(expressions)} for chain, *expressions in rules]) == fate


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
