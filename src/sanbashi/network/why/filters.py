"""What chains of somebody else's do to a packet of which nearly all is known: lets pass, drops, or cannot be told.

A rule has conditions that hold, do not hold, or are not understood; so what a chain does is a set of fates, and only one fate is certainty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from ...records import dataclass
from .conditions import Packet, matches
from .facts import Chain, Rule, Tables

OURS_FROM, OURS_UNTIL = -5, 30  # priorities between which forwarded packets of ours bear the mark: table.nft, chains marked and unmarked
INDIFFERENT = ("counter", "log", "comment", "mangle", "notrack", "ct helper", "ct timeout", "ct count", "set", "map", "meter", "flow")
DECIDING = ("accept", "drop", "reject", "queue", "tproxy", "redirect", "dnat", "snat", "masquerade", "synproxy")
REJECT = {"type": "target", "name": "REJECT"}  # iptables' own, for which nft has no words of its own
REMARK = {"type": "match", "name": "comment"}  # iptables' own words for people
DEEPEST = 16
ADMINISTRATORS = 0x53420000  # docs/firewall.md


@dataclass(frozen=True, slots=True)
class Fate:
    """One thing that may become of a packet, and the rule that has it so; None for a policy, or for going on."""

    what: Literal["accept", "drop", "on", "return", "odd"]
    rule: Rule | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A chain that does not simply let a packet pass; `certain`: it drops it."""

    chain: Chain
    rule: Rule | None
    certain: bool
    because: str


def findings(tables: Tables, families: Sequence[str], hook: str, packet: Packet) -> Iterator[Finding]:
    """Of each base chain of a hook, in the order of priorities, what it does to a packet where it does anything."""
    for chain in sorted((c for c in tables.chains if c.hook == hook and c.family in families), key=lambda c: c.priority):
        if chain.family == ("ip6" if packet.version == 4 else "ip"):
            continue
        marked = packet.marked and hook == "forward" and OURS_FROM <= chain.priority < OURS_UNTIL and chain.family != "bridge"
        fates = walk(tables.rules, chain, chain.name, packet, marked)
        ends = {f.what: f for f in reversed(fates)}
        if "on" in ends or "return" in ends:
            policy = Fate("drop" if chain.policy == "drop" else "accept")
            ends.setdefault(policy.what, policy)
        passes, drops, odd = "accept" in ends, ends.get("drop"), ends.get("odd")
        if drops is not None and not passes and odd is None:
            yield Finding(chain, drops.rule, True, reason(drops.rule))
        elif drops is not None:
            yield Finding(chain, drops.rule, False, f"{reason(drops.rule)}, on conditions that cannot be told from here")
        elif odd is not None:
            yield Finding(chain, odd.rule, False, "a rule redirects, translates or queues what it may match")


def reason(rule: Rule | None) -> str:
    """Why a chain drops, in words."""
    if rule is None:
        return "its policy is drop"
    return f"rule #{rule.handle}{f' ({rule.comment})' if rule.comment else ''} of chain {rule.chain} {verdict_of(rule)}s"


def verdict_of(rule: Rule) -> str:
    last = rule.expressions[-1] if rule.expressions else {}
    return "reject" if "reject" in last or last.get("xt") == REJECT else "drop"


def walk(
    rules: Mapping[tuple[str, str, str], Sequence[Rule]], base: Chain, name: str, packet: Packet, marked: bool, depth: int = 0
) -> tuple[Fate, ...]:
    """Everything that may become of a packet that enters a chain, the likeliest to be met first."""
    found: list[Fate] = []
    for rule in rules.get((base.family, base.table, name), ()):
        sure, fates = outcome(rules, base, rule, packet, marked, depth)
        found += (f for f in fates if f.what != "on")
        if sure and fates and all(f.what != "on" for f in fates):
            return tuple(found)
    return (*found, Fate("on"))


def outcome(
    rules: Mapping[tuple[str, str, str], Sequence[Rule]], base: Chain, rule: Rule, packet: Packet, marked: bool, depth: int
) -> tuple[bool, tuple[Fate, ...]]:
    """(whether a rule surely applies, what may become of a packet it applies to); () where it surely does not, or decides nothing."""
    sure = True
    for expression in rule.expressions:
        statement, content = next(iter(expression.items()))
        if statement == "match":
            holds = matches(content, packet, marked)
            if holds is False:
                return True, ()
            sure = sure and holds is True
        elif statement in ("accept", "drop", "reject"):
            return sure, (Fate("accept" if statement == "accept" else "drop", rule),)
        elif statement == "return":
            return sure, (Fate("return", rule),)
        elif statement in ("jump", "goto"):
            below = walk(rules, base, str(content.get("target", "")), packet, marked, depth + 1) if depth < DEEPEST else (Fate("odd", rule),)
            back: Literal["on", "return"] = "on" if statement == "jump" else "return"
            return sure, tuple(Fate(back) if f.what in ("on", "return") else f for f in below)
        elif statement == "vmap":
            return sure, tuple(mapped(content, rules, base, rule, packet, marked, depth))
        elif statement == "xt" and content == REJECT:
            return sure, (Fate("drop", rule),)
        elif statement in DECIDING:
            return sure, (Fate("odd", rule),)
        elif statement not in INDIFFERENT and content != REMARK:
            sure = False  # a limit, a quota, a match of iptables' own
    return sure, ()


def mapped(
    content: Mapping[str, Any],
    rules: Mapping[tuple[str, str, str], Sequence[Rule]],
    base: Chain,
    rule: Rule,
    packet: Packet,
    marked: bool,
    depth: int,
) -> Iterator[Fate]:
    """What a verdict map may do: of an inline one what its pairs say that may match; of a named one anything."""
    data = content.get("data")
    pairs = data.get("set") if isinstance(data, dict) else None
    if not isinstance(pairs, list):
        yield from (Fate("drop", rule), Fate("accept", rule), Fate("on"))
        return
    surely = False
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], dict)):
            yield from (Fate("drop", rule), Fate("accept", rule))
            continue
        holds = matches({"left": content.get("key"), "op": "==", "right": pair[0]}, packet, marked)
        if holds is False:
            continue
        one = Rule(chain=rule.chain, handle=rule.handle, expressions=(pair[1],), comment=rule.comment)
        _, fates = outcome(rules, base, one, packet, marked, depth)
        yield from fates or (Fate("on"),)
        if holds:
            surely = True
            break
    if not surely:
        yield Fate("on")


def admits_by_mark(tables: Tables) -> bool:
    """Whether a rule of somebody else's may give packets the administrator's mark, with which our tables let them pass."""
    return any(
        ADMINISTRATORS & ~number == 0
        for rules in tables.rules.values()
        for rule in rules
        for expression in rule.expressions
        if (mangle := expression.get("mangle")) and mangle.get("key") == {"meta": {"key": "mark"}}
        for number in numbers(mangle.get("value"))
    )


def numbers(value: object) -> Iterator[int]:
    """The numbers in an expression."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from numbers(each)
