"""Networks: made, found and removed; and what else of the network there are verbs for."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from ..errors import Forbidden, NotFound
from ..network import commands
from ..network.model import Network, NetworkRequest
from ..network.parents import has_parent, kinds_to_probe, sharing
from .bridgefilter import BridgeFilter
from .connecting import Connecting
from .core import Core, new_id, now, whole
from .facts import look_again
from .leasing import Leasing
from .loop import Loop, Slice
from .sandboxes import Sandboxes

log = logging.getLogger("sanbashi.network")


class Networking:
    """The verbs on networks."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.loop = Loop(core)
        self.leasing = Leasing(core, self.loop)
        self.sandboxes = Sandboxes(core, self.loop, self.leasing)
        self.bridge_filter = BridgeFilter(core, self.loop)
        self.connecting = Connecting(core, self.loop, self.leasing, self.sandboxes, self.bridge_filter)
        self.connect = self.connecting.connect
        self.disconnect = self.connecting.disconnect

    @whole
    async def create(self, request: NetworkRequest) -> tuple[str, str]:
        """`network create`: (id, warning)."""
        id_ = new_id()
        # Routes and links may have come since: a chosen subnet must not touch them. The cost is a network's, not a container's.
        await look_again(self.core)
        facts = self.core.network_facts
        commands.check_request(self.core.state.network, request)
        if kinds := kinds_to_probe(commands.from_configuration(self.core.state.network, request)):
            facts = replace(facts, missing_links=await self.core.on_host(self.core.kernel.lacks, kinds))
        async with self.core.locked(id_):
            before = self.core.state.network
            new, network, warnings = commands.create_network(before, request, facts, id=id_, created=now())
            for reason in commands.subnet_reasons(before, request, facts):
                log.info("network %s: %s", network.name, reason)
            await self.loop.change(new, Slice(networks=[id_]))
        for warning in warnings:
            log.warning("network %s: %s", network.name, warning)
        self.core.tell_network("create", network)
        return network.id, "\n".join(warnings)

    @whole
    async def remove(self, ref: str) -> None:
        """`network rm`."""
        network = commands.find_network(self.core.state.network, ref)
        async with self.core.locked(network.id):
            network = self.find(network.id)
            # A parent link is made once for all networks on it, and stays for the last of them.
            beside = [other.id for other in sharing(self.core.state.network, network)] if has_parent(network) else []
            await self.loop.change(commands.remove_network(self.core.state.network, network.id), Slice(networks=[network.id, *beside]))
        if not network.config_only:  # as Docker has it: of a configuration only the making is told
            self.core.tell_network("destroy", network)

    def find(self, ref: str) -> Network:
        """By id, name or prefix."""
        return commands.find_network(self.core.state.network, ref)

    @whole
    async def prune(self, select: Iterable[Network]) -> list[str]:
        """Remove the given networks that nothing uses; their names."""
        removed = []
        for network in select:
            try:
                await self.remove(network.id)
            except (NotFound, Forbidden):  # removed or taken by somebody meanwhile
                continue
            removed.append(network.name)
        return removed
