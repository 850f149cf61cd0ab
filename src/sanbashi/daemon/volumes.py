"""Volumes: named places under DATA_ROOT/volumes that outlive containers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import immutables

from ..errors import Conflict, NotFound, SanbashiError
from ..host.volume_mounts import remove_volume, size_of
from ..records import dataclass
from ..volumes import commands
from ..volumes.model import Volume
from .core import Core, new_id, now, whole


@dataclass
class Volumes:
    """The local driver."""

    core: Core

    def find(self, name: str) -> Volume:
        """By name."""
        return commands.find_volume(self.core.state.volumes, name)

    def users(self, name: str) -> list[str]:
        """The ids of containers that mount a volume, running or not."""
        return [c.id for c in self.core.state.containers.values() if name in c.volume_names]

    @whole
    async def create(
        self,
        name: str = "",
        driver: str = "local",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        *,
        anonymous: bool = False,
    ) -> Volume:
        """`volume create`; the one of that name where it is there already."""
        core = self.core
        folder = core.config.data_root / "volumes"
        name = name or new_id()

        def mountpoint(name: str) -> str:
            return str(folder / name / "_data")

        def made() -> tuple[immutables.Map[str, Volume], Volume]:
            return commands.create_volume(
                core.state.volumes,
                name,
                created=now(),
                mountpoint=mountpoint,
                driver=driver,
                options=options,
                labels=labels,
                anonymous=anonymous,
            )

        volumes, volume = made()
        if volumes is core.state.volumes:
            return volume
        async with core.locked(f"volume {name}"):
            await core.on_host(lambda: Path(volume.mountpoint).mkdir(parents=True, exist_ok=True))
            volumes, volume = made()
            if volumes is core.state.volumes:
                return volume
            try:
                await core.commit(core.state.with_volume(volume), [("volume", name)])
            except SanbashiError:
                # Of a name that somebody chose there may be something older, which is left alone; nobody could find an anonymous one.
                if anonymous:
                    await core.on_host(remove_volume, folder / name)
                raise
        core.events.tell("volume", "create", name, {"driver": "local"})
        return volume

    @whole
    async def remove(self, name: str, force: bool = False) -> None:
        """`volume rm`; `force` makes "not there" no mistake."""
        core = self.core
        async with core.locked(f"volume {name}"):
            if commands.remove_volume(core.state.volumes, name, self.users(name), force=force) is core.state.volumes:
                return
            await core.on_host(remove_volume, core.config.data_root / "volumes" / name)
            await core.commit(core.state.without_volume(name), [("volume", name)])
        core.events.tell("volume", "destroy", name, {"driver": "local"})

    async def prune(self, select: Iterable[Volume]) -> tuple[list[str], int]:
        """Remove those of `select` that nobody mounts: (names, bytes)."""
        removed, freed = [], 0
        for volume in select:
            if not self.users(volume.name):
                size = await self.core.on_host(size_of, Path(volume.mountpoint))
                try:
                    await self.remove(volume.name)
                except (Conflict, NotFound):  # in use since, or removed by somebody
                    continue
                removed.append(volume.name)
                freed += size
        self.core.events.tell("volume", "prune", "", {"reclaimed": str(freed)})
        return removed, freed
