"""One rule of ours in each foreign chain that drops forwarded packets, where the administrator asked for it.

It accepts exactly what bears the mark that our table puts on packets of our networks; what of that may pass our own table decides. It bears the
comment `sanbashi`, by which it is found again; nothing else in tables of others is ever touched.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from .foreign import COMMENT, ForeignDrop, listing
from .foreign import ours as of_ours
from .nft import Nft, NftError

log = logging.getLogger("sanbashi.host")

RULE = f'meta mark and 0x08000000 == 0x08000000 accept comment "{COMMENT}"'  # table.nft, chain marked
LAYERS = ("ip", "ip6", "inet")  # in the bridge family packets bear no mark of ours yet


def accept(nft: Nft, drops: Iterable[ForeignDrop]) -> tuple[str, ...]:
    """Put the rule first in each of these chains that has none; a sentence for each that was changed or could not be."""
    said = []
    for drop in drops:
        family = drop.chain.split()[0]
        if drop.passed or "iptables-legacy" in drop.because or family not in LAYERS:
            continue
        try:
            nft.run(f"insert rule {drop.chain} {RULE}")
        except NftError as error:
            said.append(f"cannot put our rule into chain {drop.chain}: {error.words.splitlines()[0] if error.words else 'nftables refused'}")
        else:
            said.append(f"put a rule into chain {drop.chain} ({drop.owner}) that lets packets of containers pass")
    return tuple(said)


def withdraw(nft: Nft) -> tuple[str, ...]:
    """Take every such rule away; the chains it stood in."""
    gone = []
    for rule in ours(nft):
        chain = f"{rule['family']} {rule['table']} {rule['chain']}"
        try:
            nft.run(f"delete rule {chain} handle {rule['handle']}")
        except NftError as error:
            if error.errno != 2:
                log.warning("our rule in chain %s cannot be taken away: %s", chain, error.words)
            continue
        gone.append(chain)
    return tuple(gone)


def ours(nft: Nft) -> Iterator[dict[str, Any]]:
    """The rules of this comment in foreign base chains of the forward hook."""
    try:
        chains = [c["chain"] for c in listing(nft, "list chains") if "chain" in c]
    except NftError:  # no nftables in this kernel
        return
    foreign = [c for c in chains if c.get("hook") == "forward" and c["family"] in LAYERS and not of_ours(c)]
    for family, table in dict.fromkeys((c["family"], c["table"]) for c in foreign):
        try:
            rules = [r["rule"] for r in listing(nft, f"list table {family} {table}") if "rule" in r]
        except NftError:  # gone meanwhile
            continue
        yield from (r for r in rules if r.get("comment") == COMMENT)
