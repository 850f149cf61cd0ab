"""Containers that join a network and leave it, running or not."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

import msgspec

from ..containers.model import Container
from ..errors import Failed, Invalid, NotFound
from ..network import commands
from ..network.model import Endpoint, EndpointWish, Network
from ..network.options import unknown_endpoint_options
from ..records import dataclass
from .bridgefilter import BridgeFilter
from .core import Core, whole
from .files import refresh, refresh_files
from .leasing import Leasing
from .loop import Loop, Slice, touched
from .remembered import forgetting
from .sandboxes import HOST, PRIVATE, SHARING, Sandboxes, find_or_none

log = logging.getLogger("sanbashi.network")


@dataclass
class Connecting:
    """`network connect` and `network disconnect`."""

    core: Core
    loop: Loop
    leasing: Leasing
    sandboxes: Sandboxes
    bridge_filter: BridgeFilter

    async def connect(self, network_ref: str, container_ref: str, wish: EndpointWish) -> None:
        """`network connect`, on a running or a stopped container."""
        with self.leasing.attended(self.core.find_container(container_ref).id):
            await self.connect_whole(network_ref, container_ref, wish)

    @whole
    async def connect_whole(self, network_ref: str, container_ref: str, wish: EndpointWish) -> None:
        core = self.core
        container = core.find_container(container_ref)
        async with core.locked(container.id):
            container = core.find_container(container.id)
            check_there(container)
            running = container.state.running
            if running:
                check_sharing(container)
            await self.sandboxes.settled(network_ref)
            network = find_or_none(core, network_ref, required=running)
            name = network.name if network else network_ref
            check_connect(container, name, network)
            if network is not None:
                commands.check_wish(core.state.network, network, wish)
            joined = dict(container.networks)
            if name in joined and not running:
                return
            # The API has no place for warnings here, in no version: docker shows none.
            for sentence in unknown_endpoint_options(wish.driver_options):
                log.warning("network connect %s %s: %s", name, container.name, sentence)
            wish = replace(wish, network=name, network_id=network.id if network else "")
            after = msgspec.structs.replace(container, networks=(*((n, w) for n, w in container.networks if n != name), (name, wish)))
            if not running or not container.sandbox_id or network is None:
                await core.put(after)
                if shares(container):
                    log.warning(
                        "%s uses the network of %s: that it is connected to %s has no effect",
                        container.name,
                        container.host_config.network_mode,
                        name,
                    )
            else:
                self.bridge_filter.look()
                new, endpoint = self.sandboxes.join(core.state.network, container.sandbox_id, container, network, wish)
                new = commands.publish(new, container.sandbox_id, core.network_facts)
                await self.loop.change(new, touched(new, container.sandbox_id), after, also=partial(refresh, core, after.sandbox_id))
                await self.leased_or_left(container, after, endpoint)
                endpoint = core.state.network.endpoints[endpoint.id]
                log.info("connected %s to %s as %s", container.name, name, endpoint.ipv4 or endpoint.ipv6 or "no address")
                # A stopped container only wishes; it is told of when it starts.
                self.core.tell_network("connect", network, container=container.id)

    async def leased_or_left(self, before: Container, after: Container, endpoint: Endpoint) -> None:
        """Get a new endpoint its lease, where it needs one; without one the container leaves again and is as it was."""
        try:
            stale = await self.leasing.acquire(after)
        except Exception:
            self.leasing.forget([endpoint.id])
            state = self.core.state.network
            back = commands.publish(commands.leave(state, endpoint.id), after.sandbox_id, self.core.network_facts)
            await self.loop.change(back, touched(state, after.sandbox_id), before, also=partial(refresh, self.core, after.sandbox_id))
            raise
        for sandbox in stale:
            await refresh_files(self.core, sandbox)

    @whole
    async def disconnect(self, network_ref: str, container_ref: str, force: bool) -> None:
        """`network disconnect`."""
        core = self.core
        try:
            container = core.find_container(container_ref)
        except NotFound:
            if not force:
                raise
            await self.disconnect_endpoint(commands.find_network(core.state.network, network_ref), container_ref)
            return
        async with core.locked(container.id):
            container = core.find_container(container.id)
            check_there(container)
            running = container.state.running
            # What a container that does not run wishes may be gone by now, and the wish must be taken from it all the same.
            network = find_or_none(core, network_ref, required=running and not force)
            name = network.name if network is not None else network_ref
            if network is not None and network.driver == "host" and running:
                raise Invalid("cannot disconnect container from host network - container was created in host network mode")
            if name not in dict(container.networks):
                raise Failed(f"container {container.id} is not connected to {'' if running else 'the '}network {name}")
            after = msgspec.structs.replace(container, networks=tuple((n, w) for n, w in container.networks if n != name))
            if network is not None:
                after = forgetting(after, network.id)
            members = core.state.network.network_endpoints.get(network.id) if network is not None else None
            endpoint_id = members.get(container.id) if members is not None else None
            if running and shares(container):
                raise Failed(f"container {container.id} is not connected to network {name}")
            if network is None or endpoint_id is None:
                await core.put(after)
            else:
                part = touched(core.state.network, container.sandbox_id)
                self.leasing.forget([endpoint_id])
                new = commands.leave(core.state.network, endpoint_id)
                new = commands.publish(new, container.sandbox_id, core.network_facts)
                await self.loop.change(new, part, after, also=partial(refresh, core, after.sandbox_id))
                self.core.tell_network("disconnect", network, container=container.id)

    async def disconnect_endpoint(self, network: Network, name: str) -> None:
        """`disconnect -f` of a container that is gone: its endpoint is found by name."""
        state = self.core.state.network
        for endpoint_id in (state.network_endpoints.get(network.id) or {}).values():
            endpoint = state.endpoints[endpoint_id]
            if endpoint.container_name == name:
                await self.loop.change(commands.leave(state, endpoint_id), Slice(sandboxes=[endpoint.sandbox_id]))
                return
        raise NotFound(f"endpoint {name} not found")


def shares(container: Container) -> bool:
    """Whether it uses another container's network: it runs with no wish of its own, and stopped it may have any, as in Docker."""
    return container.host_config.network_mode.startswith("container:")


def check_sharing(container: Container) -> None:
    """Docker's refusal of one that runs, whatever network is meant."""
    if shares(container):
        raise Invalid(SHARING)


def check_connect(container: Container, name: str, network: Network | None) -> None:
    """Docker's refusals."""
    mode = container.host_config.network_mode
    if network is not None and network.driver == "host" and mode != "host":
        raise Invalid(HOST)
    if mode == "host":
        raise Invalid(SHARING)
    others = {n for n, _ in container.networks if n != name}
    if ("none" in others and name != "none") or (name == "none" and others):
        raise Invalid(PRIVATE)


def check_there(container: Container) -> None:
    """Failed, in Docker's words, where a container is being removed."""
    if container.state.dead or container.state.status in ("removing", "dead"):
        raise Failed(f"Container {container.id} is marked for removal and cannot be connected or disconnected to the network")
