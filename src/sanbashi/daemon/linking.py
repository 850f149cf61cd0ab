"""Links that outlived their time: one is taken away, and the words that a link used to put into an environment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec

from ..containers.links import link_words
from ..containers.model import Container
from ..errors import Conflict, NotFound
from ..network.indexes import with_sandbox
from ..network.links import linked_endpoints, parse_link
from ..network.ports import exposed_ports
from ..records import dataclass
from .core import Core, whole
from .files import refresh_files
from .loop import touched
from .networking import Networking

# Docker's own switch: since 29 the words are written only where the daemon's environment has it.
LEGACY_WORDS = "DOCKER_KEEP_DEPRECATED_LEGACY_LINKS_ENV_VARS"


@dataclass
class Linking:
    """--link on the default bridge."""

    core: Core
    networking: Networking

    @whole
    async def remove(self, ref: str) -> None:
        """`rm --link CONTAINER/ALIAS`: the names and the permission go at once, where the container runs."""
        core = self.core
        name, _, alias = ref.removeprefix("/").rpartition("/")
        if not name:
            raise Conflict("Conflict, cannot remove the default link name of the container")
        container = core.find_container(name)
        async with core.locked(container.id):
            container = core.find_container(container.id)
            host = container.host_config
            rest = tuple(word for word in host.links or () if parse_link(word)[1] != alias)
            if len(rest) == len(host.links or ()):
                raise NotFound(f"No such link: {ref}")
            linked = tuple(link for link in container.linked if link[0] != alias)
            after = msgspec.structs.replace(container, host_config=msgspec.structs.replace(host, links=rest or None), linked=linked)
            sandbox = core.state.network.sandboxes.get(container.sandbox_id)
            if sandbox is None:
                await core.put(after)
                return
            kept = replace(sandbox, host_links=tuple(link for link in sandbox.host_links if link[0] != alias))
            new = with_sandbox(core.state.network, kept)
            await self.networking.loop.change(new, touched(new, sandbox.id), after)
            await refresh_files(self.core, sandbox.id)


def words_of(core: Core, container: Container) -> Iterator[str]:
    """The environment words of a container's links on the default bridge."""
    state = core.state
    sandbox = state.network.sandboxes.get(container.sandbox_id)
    bridge = state.network.network_names.get("bridge")
    if sandbox is None or bridge is None:
        return
    for alias, endpoint in linked_endpoints(state.network, bridge, sandbox.host_links):
        target = state.containers[state.network.sandboxes[endpoint.sandbox_id].container_id]
        ports = exposed_ports(target.config.exposed_ports or {})
        if endpoint.ipv4 is not None:
            yield from link_words(alias, container.name, str(endpoint.ipv4.ip), sorted(ports), target.config.env or ())
