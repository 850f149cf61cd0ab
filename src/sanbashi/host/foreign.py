"""Tables of others that drop what our networks forward: which chain, whose it is, and the command that mends it.

A drop is final whatever our own tables say, so all that can be done is to name it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..network.ruleset import TABLE
from .counts import Counts
from .nft import FAMILIES, TERSE, Nft, NftError

GUARD = "sanbashi_guard"  # host/guard.py
COMMENT = "sanbashi"  # of the one rule of ours that may stand in a chain of others: host/acceptance.py
JSON = 1 << 4  # NFT_CTX_OUTPUT_JSON
LEGACY = {"ip": (Path("/proc/net/ip_tables_names"), "iptables-legacy"), "ip6": (Path("/proc/net/ip6_tables_names"), "ip6tables-legacy")}


@dataclass(frozen=True, slots=True)
class ForeignDrop:
    """A chain that drops forwarded packets: `chain` as "ip filter FORWARD", whose it seems to be, why it drops, and what mends it."""

    chain: str
    owner: str
    because: str
    command: str
    passed: bool = False  # our rule stands in it and lets pass what is ours

    def __str__(self) -> str:
        if self.passed:
            return f"chain {self.chain} ({self.owner}) drops forwarded packets: {self.because}; a rule of ours lets those of containers pass"
        return f"chain {self.chain} ({self.owner}) drops forwarded packets: {self.because}; to let containers be reached run: {self.command}"


def foreign_drops(counts: Counts) -> tuple[ForeignDrop, ...]:
    """The foreign chains of this namespace that drop forwarded traffic, in the order of the tables."""
    with Nft(counts) as nft:
        try:
            chains = [c["chain"] for c in listing(nft, "list chains") if "chain" in c]
        except NftError:  # no nftables in this kernel: then nobody drops by it
            return tuple(legacy_drops())
        found = []
        for chain in chains:
            if chain.get("hook") == "forward" and chain["family"] in ("ip", "ip6", "inet", "bridge") and not ours(chain):
                drop = judge(nft, chain, chains)
                found += [drop] if drop else []
    return (*found, *legacy_drops())


def listing(nft: Nft, command: str) -> list[dict[str, Any]]:
    """The objects that a list command prints as JSON."""
    objects: list[dict[str, Any]] = json.loads(nft.run(command, flags=JSON | TERSE) or '{"nftables": []}')["nftables"]
    return objects


def ours(chain: dict[str, Any]) -> bool:
    # The guard must not be listed at all: libnftables 1.0.6 reads past its names of flags for one with an owner, and the JSON is garbage.
    return chain["table"] in (TABLE, GUARD) and chain["family"] in FAMILIES


def judge(nft: Nft, chain: dict[str, Any], chains: Iterable[dict[str, Any]]) -> ForeignDrop | None:
    """What a base chain of the forward hook does to a packet that none of its rules knows."""
    names = {c["name"] for c in chains if (c["family"], c["table"]) == (chain["family"], chain["table"])}
    place = f"{chain['family']} {chain['table']} {chain['name']}"
    try:
        rules = [r["rule"] for r in listing(nft, f"list table {chain['family']} {chain['table']}") if "rule" in r]
    except NftError:  # gone meanwhile, or written in words that this library does not know
        rules = []
    fate = verdict(chain["name"], rules)
    if fate in ("drop", "reject"):
        because = f"its last rule is {fate}"
    elif not fate and chain.get("policy") == "drop":
        because = "its policy is drop"
    else:
        return None
    owner = owner_of(chain, names)
    passed = any(r["chain"] == chain["name"] and r.get("comment") == COMMENT for r in rules)
    return ForeignDrop(place, owner, because, command(owner, chain), passed)


def verdict(chain: str, rules: Sequence[dict[str, Any]], within: frozenset[str] = frozenset()) -> str:
    """What the rules of a table do to every packet that enters a chain: the first that has no condition decides, "" where none does."""
    for rule in rules:
        if rule["chain"] != chain:
            continue
        kind, target = unconditional(rule.get("expr", []))
        if kind in ("jump", "goto") and target not in within:
            kind = verdict(target, rules, within | {chain})
            if not kind and unconditional(rule["expr"])[0] == "goto":
                return ""
        if kind in ("accept", "drop", "reject"):
            return kind
        if kind == "return":
            return ""
    return ""


def unconditional(expressions: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """The verdict of a rule that has no condition and the chain it names, ("", "") for any other rule."""
    kinds = [next(iter(e)) for e in expressions]
    if kinds and all(k in ("counter", "log", "comment") for k in kinds[:-1]):
        last = expressions[-1][kinds[-1]]
        return kinds[-1], last.get("target", "") if kinds[-1] in ("jump", "goto") else ""
    return "", ""


def owner_of(chain: dict[str, Any], names: Iterable[str]) -> str:
    """Who keeps a chain, as far as its neighbours tell."""
    if chain["table"] == "firewalld":
        return "firewalld"
    if any(n.startswith(("ufw-", "ufw6-")) for n in names):
        return "ufw"
    if "DOCKER-USER" in names or "DOCKER-FORWARD" in names:
        return "Docker"
    return "iptables" if (chain["table"], chain["name"]) == ("filter", "FORWARD") and chain["family"] != "inet" else "nftables"


def command(owner: str, chain: dict[str, Any]) -> str:
    """One command that lets forwarded packets pass that chain."""
    tool = "ip6tables" if chain["family"] == "ip6" else "iptables"
    if owner == "ufw":
        return "ufw default allow routed"
    if owner == "firewalld":
        return "firewall-cmd --permanent --zone=trusted --add-interface=docker0 && firewall-cmd --reload"
    if owner == "Docker":
        return f"{tool} -I DOCKER-USER -j ACCEPT"
    if owner == "iptables":
        return f"{tool} -P FORWARD ACCEPT" if chain.get("policy") == "drop" else f"{tool} -I FORWARD -j ACCEPT"
    if chain.get("policy") == "drop":
        return f"nft 'add chain {chain['family']} {chain['table']} {chain['name']} {{ policy accept; }}'"
    return f"nft insert rule {chain['family']} {chain['table']} {chain['name']} accept"


def legacy_drops() -> Iterator[ForeignDrop]:
    """The same of the older iptables, which nftables does not show; asked only where the kernel says that its filter table is in use."""
    for family, (path, tool) in LEGACY.items():
        try:
            tables = path.read_text().split()
        except OSError:
            continue
        if "filter" not in tables or not shutil.which(tool):
            continue
        done = subprocess.run([tool, "-w", "-S"], capture_output=True, text=True, check=False)
        if re.search(r"^-P FORWARD DROP$", done.stdout, re.MULTILINE):
            names = re.findall(r"^-N (\S+)$", done.stdout, re.MULTILINE)
            chain = {"family": family, "table": "filter", "name": "FORWARD", "policy": "drop"}
            owner = owner_of(chain, names)
            yield ForeignDrop(f"{family} filter FORWARD", owner, "its policy is drop (iptables-legacy)", command(owner, chain))
