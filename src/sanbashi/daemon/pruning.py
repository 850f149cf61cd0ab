"""Removing what nothing uses, and counting what is used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Any, TypeVar

from ..containers.model import Container
from ..errors import Conflict, Failed, NotFound
from ..host.volume_mounts import size_of
from ..network.model import PREDEFINED, Network
from ..records import dataclass
from ..volumes.model import Volume
from .core import Core
from .lifecycle import Lifecycle
from .networking import Networking
from .volumes import Volumes

log = logging.getLogger("sanbashi.pruning")

T = TypeVar("T")


@dataclass
class Pruning:
    """`prune` of each kind; the API hands in a predicate made from the request's filters."""

    core: Core
    networking: Networking
    volumes_: Volumes
    lifecycle: Lifecycle
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def alone(self, work: Callable[[], Any]) -> Any:
        if self.busy.locked():
            raise Conflict("a prune operation is already running")
        async with self.busy:
            return await work()

    async def networks(self, matches: Callable[[Network], bool] = lambda network: True) -> list[str]:
        """Names of the networks removed."""
        state = self.core.state.network
        wished = {n for c in self.core.state.containers.values() if c.state.running for n, _ in c.networks}
        select = [
            n
            for n in state.networks.values()
            if not (n.name in PREDEFINED or n.config_only or n.name in wished or state.network_endpoints.get(n.id)) and matches(n)
        ]
        select.sort(key=lambda network: network.name)
        names: list[str] = await self.alone(lambda: self.networking.prune(select))
        self.core.events.tell("network", "prune", "", {"reclaimed": "0"})
        return names

    async def containers(self, matches: Callable[[Container], bool] = lambda container: True) -> tuple[list[str], int]:
        """(ids of the stopped containers removed, bytes freed)."""

        async def work() -> tuple[list[str], int]:
            removed, freed = [], 0
            for container in [c for c in self.core.state.containers.values() if not c.state.running and matches(c)]:
                freed += await self.core.on_host(self.core.snapshots.size, container.id)
                try:
                    await self.lifecycle.remove(container.id)
                except (Conflict, NotFound):  # started or removed by somebody meanwhile
                    continue
                except Failed as error:  # one that cannot go keeps no other, as in Docker
                    log.warning("pruning %s: %s", container.name, error.message)
                    continue
                removed.append(container.id)
            return removed, freed

        removed, freed = await self.alone(work)
        self.core.events.tell("container", "prune", "", {"reclaimed": str(freed)})
        return removed, freed

    async def volumes(self, matches: Callable[[Volume], bool] = lambda volume: volume.anonymous) -> tuple[list[str], int]:
        """(names of the volumes removed, bytes freed)."""
        select = [v for v in self.core.state.volumes.values() if matches(v)]
        result: tuple[list[str], int] = await self.alone(lambda: self.volumes_.prune(select))
        return result

    async def disk_usage(self) -> dict[str, Any]:
        """Bytes: of layers in all, of each image's and each container's own, of each volume."""
        state, core = self.core.state, self.core

        def measure() -> dict[str, Any]:
            return {
                "containers": {id_: core.snapshots.size(id_) for id_ in state.containers},
                "volumes": {name: size_of(Path(volume.mountpoint)) for name, volume in state.volumes.items()},
            }

        sizes: dict[str, Any] = await core.on_host(measure)
        layers = {diff: size for image in state.images.values() for diff, size in zip(image.diff_ids, image.sizes, strict=False)}
        return {**sizes, "layers": sum(layers.values())}
