"""stats: readings of what a container uses, once or every second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ..containers.model import Container
from ..containers.usage import Usage
from ..errors import NotFound
from ..host.usage import read_usage
from ..records import dataclass
from .core import Core

EVERY = 1.0  # seconds, as Docker


@dataclass
class Usages:
    """Readings of containers."""

    core: Core

    async def once(self, ref: str, *, one_shot: bool) -> tuple[Container, Usage | None, Usage | None]:
        """(container, the reading before, the reading): two a second apart unless `one_shot`; None where it does not run."""
        container = self.core.find_container(ref)
        before = None if one_shot else await self.read(container)
        if before is not None:
            await asyncio.sleep(EVERY)
        return container, before, await self.read(container)

    async def stream(self, ref: str) -> AsyncIterator[tuple[Container, Usage | None, Usage | None]]:
        """As `once`, every second until the container is removed; NotFound at the first step."""
        container = self.core.find_container(ref)
        before = None
        while True:
            now = await self.read(container)
            yield container, before, now
            before = now
            await asyncio.sleep(EVERY)
            try:
                container = self.core.find_container(container.id)
            except NotFound:
                return

    async def read(self, container: Container) -> Usage | None:
        container = self.core.state.containers.get(container.id, container)
        if container.state.status not in ("running", "paused"):
            return None
        own = container.host_config.network_mode != "host" and not container.config.network_disabled
        return await self.core.on_host(lambda: read_usage(container.state.pid, networks=own))
