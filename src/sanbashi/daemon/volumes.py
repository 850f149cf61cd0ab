"""Volumes: named places under DATA_ROOT/volumes that outlive containers."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import Conflict, Invalid, NotFound, NotSupported
from ..volumes.model import Volume
from .core import Core, new_id, now, whole

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


@dataclass
class Volumes:
    """The local driver."""

    core: Core

    def find(self, name: str) -> Volume:
        """By name."""
        volume = self.core.state.volumes.get(name)
        if volume is None:
            raise NotFound(f"get {name}: no such volume")
        return volume

    def users(self, name: str) -> list[str]:
        """The ids of containers that mount a volume, running or not."""
        return [c.id for c in self.core.state.containers.values() if any(m.type == "volume" and m.name == name for m in c.mounts)]

    @whole
    async def create(
        self, name: str = "", driver: str = "local", options: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None, *, anonymous: bool = False
    ) -> Volume:
        """`volume create`; the one that is there already when it is of the same kind."""
        core = self.core
        name = name or new_id()
        if not NAME.fullmatch(name):
            raise Invalid(
                f'create {name}: "{name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. '
                "If you intended to pass a host directory, use absolute path"
            )
        if driver not in ("", "local"):
            raise NotFound(f"create {name}: error looking up volume plugin {driver}: plugin {driver!r} not found".replace("'", '"'))
        if options:
            raise NotSupported(f"create {name}: options of the local driver ({', '.join(sorted(options))}) are not supported yet")
        if (present := core.state.volumes.get(name)) is not None:
            return present
        mountpoint = core.config.data_root / "volumes" / name / "_data"
        await core.on_host(lambda: mountpoint.mkdir(parents=True, exist_ok=True))
        volume = Volume(name=name, created=now(), mountpoint=str(mountpoint), labels=dict(labels or {}), anonymous=anonymous)
        await core.commit(core.state.with_volume(volume), [("volume", name)])
        core.events.tell("volume", "create", name, {"driver": "local"})
        return volume

    @whole
    async def remove(self, name: str, force: bool = False) -> None:
        """`volume rm`."""
        core = self.core
        try:
            self.find(name)
        except NotFound:
            if force:
                return
            raise
        if users := self.users(name):
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        await core.on_host(remove_folder, core.config.data_root / "volumes" / name)
        await core.commit(core.state.without_volume(name), [("volume", name)])
        core.events.tell("volume", "destroy", name, {"driver": "local"})

    async def prune(self, select: Iterable[Volume]) -> tuple[list[str], int]:
        """Remove those of `select` that nobody mounts: (names, bytes)."""
        removed, freed = [], 0
        for volume in select:
            if not self.users(volume.name):
                size = await self.core.on_host(size_of, Path(volume.mountpoint))
                await self.remove(volume.name)
                removed.append(volume.name)
                freed += size
        self.core.events.tell("volume", "prune", "", {"reclaimed": str(freed)})
        return removed, freed


def remove_folder(path: Path) -> None:
    """Remove a volume's folder; gone already is success."""
    if path.exists():
        shutil.rmtree(path)


def size_of(path: Path) -> int:
    """Bytes of the files below a folder, links not followed."""
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH116, PTH118 - os.walk gives text, and there may be very many
            except FileNotFoundError:
                continue
    return total
