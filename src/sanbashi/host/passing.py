"""What the rules of a table do to a new packet of ours that is forwarded, as far as their conditions can be told beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..records import dataclass

INDIFFERENT = ("counter", "log", "comment")  # statements that let a packet go on to the rest of their rule
DECIDING = ("accept", "drop", "reject", "return", "jump", "goto")
REJECT = {"type": "target", "name": "REJECT"}  # iptables' own: nft does not put it into words of its own, as it does DROP and ACCEPT
# What a condition may ask and we can answer: the links, as nft names them, whether the packet was translated, and its connection's state.
ABOUT = {("meta", key): key[:3] for key in ("iif", "iifname", "oif", "oifname")} | {("ct", "status"): "status", ("ct", "state"): "state"}


@dataclass(frozen=True, slots=True)
class Way:
    """Which new packets are meant: those that come from a bridge of ours, or go to one; "" is any link.

    `translated`: they come by a published port, of which chains of others often think better.
    """

    come: str = ""
    go: str = ""
    translated: bool = False

    def known(self, about: str) -> str:
        """What is known of each of its packets, of what a condition may ask; "" where it may be anything."""
        if about == "status":
            # A packet that comes by no published port is not translated either.
            return "" if self == ANY else "dnat" if self.translated else "plain"
        return self.come if about == "iif" else self.go if about == "oif" else "new"


ANY = Way()  # a packet of which nothing is known


@dataclass(frozen=True, slots=True)
class Condition:
    """That one of ABOUT is among some words, or begins as some do; or is not."""

    about: str
    words: frozenset[str]
    beginnings: tuple[str, ...]
    negated: bool

    def holds(self, known: str) -> bool:
        """Whether it surely holds for packets of which this is known."""
        return bool(known) and (known in self.words or known.startswith(self.beginnings)) != self.negated


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that can be told beforehand: its verdict, with the chain that this names, for packets that meet all conditions."""

    kind: str
    target: str
    conditions: tuple[Condition, ...]


def told(rules: Iterable[dict[str, Any]], ways: Sequence[Way]) -> dict[str, list[Rule]]:
    """The rules of a table by chain, in order, without those that surely apply on none of these ways: of thousands a few are left."""
    known = {about: {way.known(about) for way in ways} for about in ABOUT.values()}
    chains: dict[str, list[Rule]] = {}
    for rule in rules:
        read = parsed(rule.get("expr", []))
        if read is not None and all(any(map(condition.holds, known[condition.about])) for condition in read.conditions):
            chains.setdefault(rule["chain"], []).append(read)
    return chains


def verdict(chain: str, chains: Mapping[str, Sequence[Rule]], way: Way = ANY, within: frozenset[str] = frozenset()) -> str:
    """What rules, told for this way among others, do to each of its packets that enters a chain: the first that surely applies decides.

    "" where none does.
    """
    for rule in chains.get(chain, ()):
        if not all(condition.holds(way.known(condition.about)) for condition in rule.conditions):
            continue
        kind = rule.kind
        if kind in ("jump", "goto") and rule.target not in within:
            kind = verdict(rule.target, chains, way, within | {chain})
            if not kind and rule.kind == "goto":
                return ""
        if kind in ("accept", "drop", "reject"):
            return kind
        if kind == "return":
            return ""
    return ""


def parsed(expressions: Sequence[dict[str, Any]]) -> Rule | None:
    """A rule from its statements; None where it decides nothing, or has a condition of which nothing can be told."""
    if not expressions:
        return None
    conditions = []
    for expression in expressions[:-1]:
        statement, content = next(iter(expression.items()))
        if statement in INDIFFERENT:
            continue
        condition = asked(content) if statement == "match" else None
        if condition is None:
            return None
        conditions.append(condition)
    kind, last = next(iter(expressions[-1].items()))
    if kind == "xt" and last == REJECT:
        kind = "reject"
    if kind not in DECIDING:
        return None
    return Rule(kind, last.get("target", "") if kind in ("jump", "goto") else "", tuple(conditions))


def asked(match: dict[str, Any]) -> Condition | None:
    """What a match asks; None where it can never be told that it holds."""
    left, operator = match.get("left"), match.get("op")
    subject, content = next(iter(left.items()), ("", None)) if isinstance(left, dict) else ("", None)
    about = ABOUT.get((subject, content.get("key", ""))) if isinstance(content, dict) else None
    right, all_told = values(match.get("right"))
    if about is None or (about == "status" and right != ["dnat"]):  # of a connection's other flags nothing is known
        return None
    if operator not in ("==", "in", "!=") or (operator == "!=" and not all_told):
        return None
    beginnings = tuple(word[:-1] for word in right if about != "state" and word.endswith("*"))
    return Condition(about, frozenset(right), beginnings, operator == "!=")


def values(right: object) -> tuple[list[str], bool]:
    """What a condition compares with, as a list: nft writes one value, a list, or a set; and whether that is all of it.

    It is not with a named set ("@lan"), whose elements come and go without its rule, nor with what is no plain word: an element with a timeout,
    a range.
    """
    if isinstance(right, dict):
        right = right.get("set", [right])
    found = right if isinstance(right, list) else [right]
    plain = [v for v in found if isinstance(v, str) and not v.startswith("@")]
    return plain, len(plain) == len(found)
