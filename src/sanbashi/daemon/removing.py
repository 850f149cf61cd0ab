"""A stopped container's removal, which a crash half way does not undo: its files, its anonymous volumes, its row."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from ..containers.model import Container
from ..errors import SanbashiError, Unavailable, words
from ..host.crash import crash_point
from ..host.deleting import delete
from ..host.volume_mounts import remove_volume
from ..records import dataclass
from .content import Content
from .core import Core
from .exits import Ended, Exits
from .process import Process
from .restarts import Restarts

log = logging.getLogger("sanbashi.containers")


@dataclass
class Removing:
    """Removes what has stopped."""

    core: Core
    process: Process
    exits: Exits
    restarts: Restarts
    content: Content

    async def remove_whole(self, container: Container, *, volumes: bool) -> None:
        """Remove a stopped container with all its files; where one cannot go the container stays, dead, and this may be tried again, as in Docker."""
        try:
            await self.take_out(container, volumes=volumes, whole=True)
        except Exception as error:
            await self.note_failed(container.id, error)
            raise

    async def remove_ended(self, container: Container) -> Path | None:
        """The removal that --rm asked for, at the container's end; what is left to delete. A full disk alone is waited out, by who tells of exits."""
        try:
            return await self.take_out(container, volumes=True)
        except Unavailable:
            raise
        except Exception as error:
            await self.note_failed(container.id, error)
            raise

    async def note_failed(self, container_id: str, error: Exception) -> None:
        """That its removal failed, and why; who waits for it is told."""
        current = self.core.state.containers.get(container_id)
        if current is not None:
            state = msgspec.structs.replace(current.state, status="dead", dead=True, error=words(error))
            await self.core.put(msgspec.structs.replace(current, state=state), fact=True)
            self.exits.settle_removal(container_id, Ended(state.exit_code, state.error))

    async def clear_away(self, remains: Path | None) -> None:
        """Delete what `take_out` has left, for which who waits for the removal need not wait; after a crash the next start does it."""
        if remains:
            await self.core.on_host(delete, remains)

    async def take_out(self, container: Container, *, volumes: bool, whole: bool = False) -> Path | None:
        """Remove a stopped container, unless `whole` but for the deletion of the files that this gives.

        Marked first, so that a crash half way is finished at the next start.
        """
        core = self.core
        self.restarts.cancel(container.id)
        if container.state.status != "removing":
            state = msgspec.structs.replace(container.state, status="removing")
            await core.put(msgspec.structs.replace(container, state=state), fact=True)
        crash_point("removing")
        remains = await core.on_host(self.remove_files, container, whole)
        try:
            gone = [name for name in self.anonymous_volumes(container) if await self.has_removed(name)] if volumes else []
            crash_point("files gone")
            new = core.state.without_container(container.id)
            for name in gone:
                new = new.without_volume(name)
            await core.commit(new, [("container", container.id), *(("volume", n) for n in gone)])
        except SanbashiError:
            await self.clear_away(remains)  # what is tried again finds it no more, and on a full disk its room is wanted
            raise
        self.process.release(container.id)
        self.restarts.forget(container.id)
        core.tell_container("destroy", container)
        self.exits.settle_removal(container.id, Ended(container.state.exit_code))
        if bereft := self.content.bereft(container):
            await core.on_host(self.content.drop, bereft)
        return remains

    async def has_removed(self, volume: str) -> bool:
        """Remove the files of an anonymous volume; False where they have to stay, which is logged and keeps no container from going, as in Docker."""
        try:
            await self.core.on_host(remove_volume, self.core.config.data_root / "volumes" / volume)
        except Unavailable:  # a full disk, on which the whole is tried again
            raise
        except SanbashiError as error:
            log.error("%s", error.message)
            return False
        return True

    def anonymous_volumes(self, container: Container) -> tuple[str, ...]:
        """The container's own anonymous volumes that nobody else mounts."""
        if not container.anonymous_volumes:
            return ()
        used = {name for c in self.core.state.containers.values() if c.id != container.id for name in c.volume_names}
        return tuple(n for n in container.anonymous_volumes if n in self.core.state.volumes and n not in used)

    def remove_files(self, container: Container, whole: bool = False) -> Path | None:
        """All but what lies in its writable layer, which goes last: where something else cannot go, the next try finds it in its place."""
        self.core.snapshots.unmount(container.id)
        delete(self.core.container_dir(container.id))
        delete(self.core.bundle_dir(container.id))
        if whole:
            self.core.snapshots.remove(container.id)
            return None
        return self.core.snapshots.set_aside(container.id)
