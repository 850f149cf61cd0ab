"""Tables of others that drop what our networks forward: which chain, whose it is, and the command that mends it.

A drop is final whatever our own tables say, so all that can be done is to name it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..network.ruleset import TABLE
from ..records import dataclass
from .counts import Counts
from .nft import FAMILIES, TERSE, Nft, NftError
from .passing import Way, told, verdict

GUARD = "sanbashi_guard"  # host/guard.py
COMMENT = "sanbashi"  # of the one rule of ours that may stand in a chain of others: host/acceptance.py
POLICY = "policy"
JSON = 1 << 4  # NFT_CTX_OUTPUT_JSON
# As long as no network is known: what leaves the default network's containers, and what comes to their published ports.
USUAL = (Way(come="docker0"), Way(go="docker0", translated=True))
# Stands while firewalld reloads, and lets known flows pass; no command mends that, and it is over in a moment.
RELOADING = "firewalld_policy_drop"
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


def foreign_drops(counts: Counts, ways: Sequence[Way] = USUAL) -> tuple[ForeignDrop, ...]:
    """The foreign chains of this namespace that drop what is forwarded on one of our ways, in the order of the tables."""
    with Nft(counts) as nft:
        try:
            chains = [c["chain"] for c in listing(nft, "list chains") if "chain" in c]
        except NftError:  # no nftables in this kernel: then nobody drops by it
            return tuple(legacy_drops())
        found = []
        for chain in chains:
            if chain.get("hook") == "forward" and chain["family"] in ("ip", "ip6", "inet", "bridge") and not ours(chain) and not passing_by(chain):
                drop = judge(nft, chain, chains, ways)
                found += [drop] if drop else []
    return (*found, *legacy_drops())


def listing(nft: Nft, command: str) -> list[dict[str, Any]]:
    """The objects that a list command prints as JSON."""
    objects: list[dict[str, Any]] = json.loads(nft.run(command, flags=JSON | TERSE) or '{"nftables": []}')["nftables"]
    return objects


def ours(chain: dict[str, Any]) -> bool:
    # The guard must not be listed at all: libnftables 1.0.6 reads past its names of flags for one with an owner, and the JSON is garbage.
    return chain["table"] in (TABLE, GUARD) and chain["family"] in FAMILIES


def passing_by(chain: dict[str, Any]) -> bool:
    """Whether a chain stands for a moment only."""
    return bool(chain["table"] == RELOADING)


def judge(nft: Nft, chain: dict[str, Any], chains: Iterable[dict[str, Any]], ways: Sequence[Way]) -> ForeignDrop | None:
    """What a base chain of the forward hook does to new packets on our ways; None where all may pass, as far as can be told."""
    names = {c["name"] for c in chains if (c["family"], c["table"]) == (chain["family"], chain["table"])}
    place = f"{chain['family']} {chain['table']} {chain['name']}"
    try:
        rules = [r["rule"] for r in listing(nft, f"list table {chain['family']} {chain['table']}") if "rule" in r]
    except NftError:  # gone meanwhile, or written in words that this library does not know
        rules = []
    counting = told(rules, ways)
    fates = {way: verdict(chain["name"], counting, way) or (POLICY if chain.get("policy") == "drop" else "") for way in ways}
    stopped = {way: fate for way, fate in fates.items() if fate in ("drop", "reject", POLICY)}
    if not stopped:
        return None
    fate = next(iter(stopped.values()))
    because = "its policy is drop" if fate == POLICY else f"its last rule is {fate}"
    owner = owner_of(chain, names)
    passed = any(r["chain"] == chain["name"] and r.get("comment") == COMMENT for r in rules)
    return ForeignDrop(place, owner, because, command(owner, chain, tuple(stopped)), passed)


def owner_of(chain: dict[str, Any], names: Iterable[str]) -> str:
    """Who keeps a chain, as far as its neighbours tell."""
    if chain["table"] == "firewalld":
        return "firewalld"
    if any(n.startswith(("ufw-", "ufw6-")) for n in names):
        return "ufw"
    if "DOCKER-USER" in names or "DOCKER-FORWARD" in names:
        return "Docker"
    return "iptables" if (chain["table"], chain["name"]) == ("filter", "FORWARD") and chain["family"] != "inet" else "nftables"


def command(owner: str, chain: dict[str, Any], ways: Sequence[Way] = USUAL) -> str:
    """One command that lets forwarded packets on these ways pass that chain."""
    tool = "ip6tables" if chain["family"] == "ip6" else "iptables"
    if owner == "ufw":
        return "ufw default allow routed"
    if owner == "firewalld":
        return firewalld_command(ways)
    if owner == "Docker":
        return f"{tool} -I DOCKER-USER -j ACCEPT"
    if owner == "iptables":
        return f"{tool} -P FORWARD ACCEPT" if chain.get("policy") == "drop" else f"{tool} -I FORWARD -j ACCEPT"
    if chain.get("policy") == "drop":
        return f"nft 'add chain {chain['family']} {chain['table']} {chain['name']} {{ policy accept; }}'"
    return f"nft insert rule {chain['family']} {chain['table']} {chain['name']} accept"


def firewalld_command(ways: Sequence[Way]) -> str:
    """Our bridges into the zone from which everything may go; a policy for what comes to one of them untranslated, where it may."""
    links = sorted({link for way in ways for link in (way.come, way.go) if link and not link.startswith("br-")} | {"docker0"})
    steps = [f"--zone=trusted {' '.join(f'--add-interface={link}' for link in (*links, 'br-+'))}"]
    if any(way.go and not way.translated for way in ways):
        policy = "--policy=sanbashi"
        steps += ["--new-policy=sanbashi", f"{policy} --add-ingress-zone=ANY", f"{policy} --add-egress-zone=trusted", f"{policy} --set-target=ACCEPT"]
    return " && ".join((*(f"firewall-cmd --permanent {step}" for step in steps), "firewall-cmd --reload"))


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
