"""What a foreign chain does to forwarded packets, and the command that mends it."""

from __future__ import annotations

from typing import Any

import pytest

from sanbashi.host.foreign import ForeignDrop, command, owner_of, unconditional


@pytest.mark.parametrize(
    ("expressions", "verdict"),
    [
        ([{"drop": None}], "drop"),
        ([{"counter": {"packets": 0, "bytes": 0}}, {"drop": None}], "drop"),
        ([{"reject": {"type": "icmpx", "expr": "admin-prohibited"}}], "reject"),
        ([{"match": {}}, {"drop": None}], ""),
        ([{"counter": {}}, {"accept": None}], ""),
        ([{"xt": None}, {"drop": None}], ""),
        ([], ""),
    ],
)
def test_only_a_rule_that_stops_everything_counts(expressions: list[dict[str, Any]], verdict: str) -> None:
    assert unconditional(expressions) == verdict


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
