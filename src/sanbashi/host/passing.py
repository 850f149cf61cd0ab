"""What the rules of a table do to a new packet of ours that is forwarded, as far as their conditions can be told beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

INDIFFERENT = ("counter", "log", "comment")  # statements that let a packet go on to the rest of their rule


@dataclass(frozen=True, slots=True)
class Way:
    """Which new packets are meant: those that come from a bridge of ours, or go to one; "" is any link.

    `translated`: they come by a published port, of which chains of others often think better.
    """

    come: str = ""
    go: str = ""
    translated: bool = False


ANY = Way()  # a packet of which nothing is known


def verdict(chain: str, rules: Sequence[dict[str, Any]], way: Way = ANY, within: frozenset[str] = frozenset()) -> str:
    """What the rules of a table do to every packet of this way that enters a chain: the first that surely applies decides, "" where none does."""
    for rule in rules:
        if rule["chain"] != chain:
            continue
        kind, target = applied(rule.get("expr", []), way)
        left = kind == "goto"
        if kind in ("jump", "goto") and target not in within:
            kind = verdict(target, rules, way, within | {chain})
            if not kind and left:
                return ""
        if kind in ("accept", "drop", "reject"):
            return kind
        if kind == "return":
            return ""
    return ""


def applied(expressions: Sequence[dict[str, Any]], way: Way) -> tuple[str, str]:
    """The verdict of a rule that applies to every packet of this way and the chain it names, ("", "") for any other rule."""
    if not expressions or not all(passes(e, way) for e in expressions[:-1]):
        return "", ""
    kind, last = next(iter(expressions[-1].items()))
    return kind, last.get("target", "") if kind in ("jump", "goto") else ""


def passes(expression: dict[str, Any], way: Way) -> bool:
    """Whether every packet of this way surely goes on past a statement."""
    kind, content = next(iter(expression.items()))
    return kind in INDIFFERENT or (kind == "match" and holds(content, way) is True)


def holds(match: dict[str, Any], way: Way) -> bool | None:
    """Whether a condition holds for every packet of this way; None where it may be either."""
    left, operator = match.get("left", {}), match.get("op")
    right, all_told = values(match.get("right"))
    about = next(iter(left.values()), None) if isinstance(left, dict) else None
    key = about.get("key", "") if isinstance(about, dict) else ""
    if "meta" in left and key in ("iif", "iifname", "oif", "oifname"):
        link = way.come if key.startswith("iif") else way.go
        found = any(link.startswith(v[:-1]) if v.endswith("*") else link == v for v in right) if link else None
    elif "ct" in left and key == "status":
        # A packet that comes by no published port is not translated either.
        found = way.translated if way != ANY and right == ["dnat"] else None
    elif "ct" in left and key == "state":
        found = "new" in right
    else:
        found = None
    if not found and not all_told:
        return None
    return found if operator in ("==", "in") or found is None else not found if operator == "!=" else None


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
