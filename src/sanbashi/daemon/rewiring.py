"""Networks and published ports that change while containers run: the same loop as any change."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from ..containers.model import Container
from ..containers.publication import change_ports
from ..errors import Conflict
from ..host.taken import PortTaken
from ..network import commands
from ..network.model import Network
from ..network.ports import exposed_ports, parse_bindings
from ..network.publishing import cannot_connect, carrier
from ..network.updating import NetworkChange, update_network, with_ports
from ..records import dataclass
from .core import Core, whole
from .files import refresh_files
from .loop import Slice, touched
from .networking import Networking

log = logging.getLogger("sanbashi.network")

PORT_ATTEMPTS = 10


@dataclass
class Rewiring:
    """`network update`, `port publish` and `port unpublish`."""

    core: Core
    networking: Networking

    @whole
    async def network(self, ref: str, change: NetworkChange) -> tuple[str, ...]:
        """Change a network with everything on it; warnings."""
        core = self.core
        async with self.holding(commands.find_network(core.state.network, ref)) as part:
            id_ = next(iter(part.networks))
            new, network, warnings = update_network(core.state.network, id_, change, core.network_facts)
            await self.networking.loop.change(new, part)
        for sandbox in part.sandboxes:
            await refresh_files(self.core, sandbox)
        log.info("network %s: changed %s", network.name, ", ".join([*change.labels, *change.options]) or "nothing")
        self.core.tell_network("update", network)
        return warnings

    @asynccontextmanager
    async def holding(self, network: Network) -> AsyncIterator[Slice]:
        """A network and all sandboxes on it, which nobody else changes meanwhile.

        Containers are locked before the network: a start holds its container's lock while it waits for the network's.
        """
        core = self.core
        while True:
            async with AsyncExitStack() as stack:
                held = sorted(core.state.network.network_endpoints.get(network.id, ()))
                for container in held:
                    await stack.enter_async_context(core.locked(container))
                await stack.enter_async_context(core.locked(network.id))
                network = commands.find_network(core.state.network, network.id)
                state = core.state.network
                members: Mapping[str, str] = state.network_endpoints.get(network.id, {})
                if set(members) <= set(held):
                    yield Slice(networks=[network.id], sandboxes=[state.endpoints[e].sandbox_id for e in members.values()])
                    return

    @whole
    async def ports(self, ref: str, publish: Sequence[str], unpublish: Sequence[str]) -> None:
        """Publish and unpublish ports of a container, running or not."""
        core = self.core
        container = core.find_container(ref)
        async with core.locked(container.id):
            container = core.find_container(container.id)
            mode = container.host_config.network_mode
            if mode in ("host", "none") or mode.startswith("container:"):
                raise Conflict(f"container {container.name} has no ports of its own to publish: its network mode is {mode}")
            after = change_ports(container, publish, unpublish, dict(self.standing(container)))
            host = after.host_config
            specs = parse_bindings(host.port_bindings or {}, publish_all=host.publish_all_ports, exposed=after.config.exposed_ports or {})
            if container.state.running and container.sandbox_id:
                self.networking.bridge_filter.look()
                exposed = exposed_ports(after.config.exposed_ports or {})
                avoid: frozenset[tuple[str, int]] = frozenset()
                for attempt in range(PORT_ATTEMPTS):
                    new = with_ports(core.state.network, container.sandbox_id, specs, exposed, core.network_facts, avoid=avoid)
                    try:
                        await self.networking.loop.change(new, touched(new, container.sandbox_id), after)
                        break
                    except PortTaken as taken:
                        busy = taken.item.protocol, taken.item.port
                        fixed = any(s.protocol == busy[0] and 0 <= busy[1] - s.host_port < s.count and not s.host_port_end for s in specs)
                        if fixed or attempt == PORT_ATTEMPTS - 1:
                            endpoint = carrier(core.state.network, container.sandbox_id, taken.item.address)
                            raise cannot_connect(endpoint, taken.message, taken.hint) from taken
                        avoid |= {busy}
            else:
                await core.put(after)
            core.tell_container("update", after)

    def standing(self, container: Container) -> Iterator[tuple[str, list[tuple[str, int]]]]:
        """Where each port of a container is published now."""
        state = self.core.state.network
        found: dict[str, list[tuple[str, int]]] = {}
        for endpoint_id in state.sandbox_endpoints.get(container.sandbox_id, ()):
            for p in (b for run in state.endpoints[endpoint_id].ports for b in run.each()):
                found.setdefault(f"{p.container_port}/{p.protocol}", []).append((str(p.host_ip), p.host_port))
        yield from found.items()
