"""Volumes with mount options are mounted while somebody uses them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from pathlib import Path

from ..containers.model import Container
from ..host.volume_mounts import mount_volume, unmount_volume
from ..records import dataclass
from ..volumes.model import Volume
from ..volumes.options import LocalMount, local_mount
from .core import Core


@dataclass
class VolumeMounts:
    """Who uses which volume: containers that run, by their ids, and others by a word of their own."""

    core: Core
    users: dict[str, set[str]] = field(default_factory=dict)

    def wanted(self, container: Container) -> Iterator[tuple[Volume, LocalMount]]:
        """The container's volumes that something must be mounted on."""
        for mount in container.mounts:
            volume = self.core.state.volumes.get(mount.name) if mount.type == "volume" else None
            if volume is not None and (wish := local_mount(volume.options)) is not None:
                yield volume, wish

    async def hold(self, container: Container, user: str = "") -> None:
        """Mount what is not mounted yet; Failed in Docker's words, and then nothing is held."""
        user = user or container.id
        for volume, wish in self.wanted(container):
            async with self.core.locked(f"volume {volume.name}"):
                self.users.setdefault(volume.name, set()).add(user)
                try:
                    await self.core.on_host(mount_volume, wish, Path(volume.mountpoint))
                except BaseException:
                    self.forget(volume.name, user)
                    raise

    async def release(self, container: Container, user: str = "") -> None:
        """Unmount what nobody uses any more."""
        user = user or container.id
        for volume, _ in self.wanted(container):
            async with self.core.locked(f"volume {volume.name}"):
                self.forget(volume.name, user)
                if not self.users.get(volume.name) and not self.running(volume.name, user):
                    await self.core.on_host(unmount_volume, Path(volume.mountpoint))

    def forget(self, name: str, user: str) -> None:
        holding = self.users.get(name, set())
        holding.discard(user)
        if not holding:
            self.users.pop(name, None)

    def running(self, name: str, user: str) -> bool:
        """Whether another container that runs mounts the volume: one that the daemon before us has started, say."""
        return any(c.id != user and c.state.running and name in c.volume_names for c in self.core.state.containers.values())
