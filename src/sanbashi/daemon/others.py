"""The tables of others: which chains drop what we forward, and our one rule in them where that is asked for."""

from __future__ import annotations

import logging
from dataclasses import replace

from ..errors import StepFailed
from ..host.acceptance import accept, withdraw
from ..host.counts import Counts
from ..host.foreign import USUAL, foreign_drops
from ..host.passing import ANY, Way
from ..network.firewall import entering
from ..network.leasing import has_leases
from ..network.model import NetworkState
from ..network.options import bridge_options
from .core import Core

log = logging.getLogger("sanbashi.drift")

JUDGING = "tables of others"  # a lock beside those of containers and networks


async def look_at_others(core: Core) -> None:
    """Which chains drop what we forward; clients of gated ports meet a changed policy anew."""
    async with core.locked(JUDGING):
        await judge(core, our_ways(core))
    try:
        await core.on_host(core.kernel.forget_admitted)
    except StepFailed as error:
        log.debug("%s", error.message)


async def look_for_new_networks(core: Core) -> None:
    """The same where networks have come since, which the rules of others may not know: who asks how things stand is told the truth."""
    if our_ways(core) != core.judged:
        async with core.locked(JUDGING):
            if (ways := our_ways(core)) != core.judged:  # who held the lock may have looked for us
                await judge(core, ways)


async def take_back(core: Core) -> None:
    """Our rule out of every chain of others; where a look may be under way, under its lock: it would put the rule in again."""
    for chain in await core.on_host(withdraw, core.kernel.nft):
        log.info("took our rule out of chain %s", chain)


async def judge(core: Core, ways: tuple[Way, ...]) -> None:
    """The chains that drop on these ways, our rule in them where that is asked for, and a line of the log for each that is new.

    One at a time: two would each find a chain without our rule and put theirs in.
    """
    drops = await core.on_host(foreign_drops, Counts(), ways)
    if core.config.foreign_accept and drops:
        for sentence in await core.on_host(accept, core.kernel.nft, drops):
            log.warning("%s", sentence)
        drops = await core.on_host(foreign_drops, Counts(), ways)
    for drop in drops:
        if drop not in core.facts.foreign_drops:
            log.warning("%s", drop)
    core.facts = replace(core.facts, foreign_drops=drops)
    core.judged = ways


def our_ways(core: Core) -> tuple[Way, ...]:
    """On which ways new packets go; with our rule asked for, on any: a network that comes later has a bridge of another name."""
    ways = ways_of(core.state.network) or USUAL
    return (*ways, ANY) if core.config.foreign_accept else ways


def ways_of(state: NetworkState) -> tuple[Way, ...]:
    """On which ways our networks let new packets go: out of their bridges, to published ports, untranslated to a container."""
    ways = []
    for network in state.networks.values():
        if network.driver == "bridge" and not has_leases(network):
            verdict = entering(network, bridge_options(network))
            ways += [] if network.internal else [Way(come=network.bridge)]
            ways += [] if verdict == "drop" else [Way(go=network.bridge, translated=verdict == "goto into_nat")]
    return tuple(ways)
