"""Containers that stand still for a while: pause and unpause."""

from __future__ import annotations

import contextlib

import msgspec

from ..containers import lifecycle as moves
from ..errors import Conflict, NotFound, SanbashiError
from ..host.crash import crash_point
from ..records import dataclass
from .core import Core, whole
from .health import HealthChecks
from .process import Process


@dataclass
class Freezing:
    """Pauses and thaws."""

    core: Core
    process: Process
    health: HealthChecks

    @whole
    async def pause(self, ref: str) -> None:
        """`pause`."""
        await self.freeze(ref, frozen=True)

    @whole
    async def unpause(self, ref: str) -> None:
        """`unpause`."""
        await self.freeze(ref, frozen=False)

    async def stand_still(self, container_id: str) -> bool:
        """Pause a container that may have ended by now; whether it was paused."""
        try:
            await self.freeze(container_id, frozen=True)
        except Conflict:
            return False
        return True

    async def move_on(self, container_id: str) -> None:
        """Undo stand_still; somebody may have ended or removed the container since."""
        with contextlib.suppress(Conflict, NotFound):
            await self.freeze(container_id, frozen=False)

    async def freeze(self, ref: str, *, frozen: bool) -> None:
        container = self.core.find_container(ref)
        async with self.core.locked(container.id):
            container = self.core.find_container(container.id)
            moves.check_freeze(container, frozen)
            await (self.process.pause(container) if frozen else self.process.resume(container))
            crash_point("frozen" if frozen else "thawed")
            if frozen:
                self.health.end(container.id)
                container = self.health.interrupted(container)
            state = msgspec.structs.replace(container.state, status="paused" if frozen else "running")
            try:
                container = await self.core.put(msgspec.structs.replace(container, state=state), fact=not frozen)
            except SanbashiError:
                await self.process.resume(container)
                self.health.begin(self.core.find_container(container.id))
                raise
            if not frozen:
                self.health.begin(container)
        self.core.tell_container("pause" if frozen else "unpause", container)
