"""The rules of others in a namespace, as values: the base chains of every hook, and the rules of their tables."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

from ..network.ruleset import TABLE
from ..network.why.facts import Chain, Rule, Tables
from .counts import Counts
from .foreign import GUARD, LEGACY, command, listing, owner_of
from .nft import TERSE, Nft, NftError

FAMILIES = ("ip", "ip6", "inet", "bridge")
HANDLES = 1 << 3  # NFT_CTX_OUTPUT_HANDLE
CONNTRACK = {"xt": {"type": "match", "name": "conntrack"}}
STATE = re.compile(r"\bct state (!= )?([a-z,]+) .*# handle (\d+)$")
UNREADABLE = ({"queue": None},)  # a table that the library cannot put into words: what it does is not known


def foreign_rules(counts: Counts) -> Tables:
    """All that is not ours in the namespace of the calling thread; the tables with a base chain alone, as others are never met."""
    with Nft(counts) as nft:
        try:
            chains = [c["chain"] for c in listing(nft, "list chains") if "chain" in c]
        except NftError:  # no nftables in this kernel
            return Tables(legacy=tuple(legacy()))
        foreign = [c for c in chains if c["family"] in FAMILIES and c["table"] not in (TABLE, GUARD)]
        bases = [c for c in foreign if "hook" in c]
        rules: dict[tuple[str, str, str], list[Rule]] = {}
        for family, table in dict.fromkeys((c["family"], c["table"]) for c in bases):
            for key, rule in rules_of(nft, family, table, [c["name"] for c in foreign if (c["family"], c["table"]) == (family, table)]):
                rules.setdefault(key, []).append(rule)
    return Tables(chains=tuple(chain_of(c, foreign) for c in bases), rules=rules, legacy=tuple(legacy()))


def rules_of(nft: Nft, family: str, table: str, chains: list[str]) -> Iterator[tuple[tuple[str, str, str], Rule]]:
    """The rules of a table, each with its chain's key."""
    try:
        found = [r["rule"] for r in listing(nft, f"list table {family} {table}") if "rule" in r]
    except (NftError, ValueError):
        for name in chains:
            yield (family, table, name), Rule(chain=name, handle=0, expressions=UNREADABLE)
        return
    states = states_in(nft, family, table) if any(CONNTRACK in rule.get("expr", []) for rule in found) else {}
    for rule in found:
        expressions = [states.get(rule["handle"], e) if e == CONNTRACK else e for e in rule.get("expr", [])]
        made = Rule(chain=rule["chain"], handle=rule["handle"], expressions=expressions, comment=rule.get("comment", ""))
        yield (family, table, rule["chain"]), made


def states_in(nft: Nft, family: str, table: str) -> dict[int, dict[str, Any]]:
    """What rules of iptables ask of a connection's state, by handle: in JSON the library hides it, in its text it does not.

    A rule that asks anything else of the connection is left out, and stays one that is not understood.
    """
    found = {}
    for line in nft.run(f"list table {family} {table}", flags=HANDLES | TERSE).splitlines():
        match = STATE.search(line)
        if match is not None and len(re.findall(r"\bct ", line)) == 1:
            operator = "!=" if match[1] else "in"
            left = {"ct": {"key": "state"}}
            found[int(match[3])] = {"match": {"op": operator, "left": left, "right": match[2].split(",")}}
    return found


def chain_of(chain: dict[str, Any], foreign: list[dict[str, Any]]) -> Chain:
    """A base chain with its owner, as far as its neighbours tell, and the command that lets forwarded packets pass."""
    beside = {c["name"] for c in foreign if (c["family"], c["table"]) == (chain["family"], chain["table"])}
    owner = owner_of(chain, beside)
    mend = command(owner, chain) if chain["hook"] == "forward" else ""
    priority = int(chain.get("prio", 0))
    return Chain(
        family=chain["family"],
        table=chain["table"],
        name=chain["name"],
        hook=chain["hook"],
        priority=priority,
        policy=chain.get("policy", "accept"),
        owner=owner,
        mend=mend,
    )


def legacy() -> Iterator[str]:
    """The older tools of iptables that have rules here, which nftables does not show."""
    for path, tool in LEGACY.values():
        try:
            tables = path.read_text().split()
        except OSError:
            continue
        for table in tables if shutil.which(tool) else ():
            done = subprocess.run([tool, "-w", "-t", table, "-S"], capture_output=True, text=True, check=False)
            if re.search(r"^-A |^-P \S+ DROP$", done.stdout, re.MULTILINE):
                yield tool
                break
