"""Health checks: a probe every so often in each running container that has one; what came of it goes into the container's state."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import field

import msgspec

from ..containers.health import LONGEST, after_probe, interrupted, next_probe, probe_command, timed_out, timeout
from ..containers.model import Container, ExecConfig, HealthConfig, HealthLog
from ..errors import SanbashiError
from ..host.attachment import Attachment
from ..records import dataclass
from .core import Core, age, now
from .execs import Execs

log = logging.getLogger("sanbashi.health")


@dataclass
class HealthChecks:
    """One task for each container that is watched; it ends with the container's run, and reconcile begins it anew after a restart."""

    core: Core
    execs: Execs
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    watches: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def begin(self, container: Container) -> None:
        """Watch a container that runs now; nothing where it has no check."""
        self.end(container.id)
        if container.config.healthcheck is not None and probe_command(container.config) is not None:
            task = asyncio.get_running_loop().create_task(self.watch(container.id, container.state.started_at, container.config.healthcheck))
            self.watches[container.id] = task

    def end(self, container_id: str) -> None:
        """Watch it no longer; a probe that is under way is ended."""
        if (task := self.watches.pop(container_id, None)) is not None:
            task.cancel()

    def close(self) -> None:
        """Watch nothing any more."""
        for container_id in list(self.watches):
            self.end(container_id)

    @staticmethod
    def interrupted(container: Container) -> Container:
        """A container that is no longer watched, because it stopped or is paused."""
        state = msgspec.structs.replace(container.state, health=interrupted(container.state.health))
        return msgspec.structs.replace(container, state=state)

    async def watch(self, container_id: str, run: str, check: HealthConfig) -> None:
        """Probe as long as the run lasts that began at `run`."""
        while (container := self.current(container_id, run)) is not None and container.state.health is not None:
            await self.sleep(next_probe(check, container.state.health, age(run)))
            if (container := self.current(container_id, run)) is None:
                return
            began = age(run)
            outcome = await self.probe(container, check)
            try:
                await self.note(container_id, run, check, outcome, began)
            except SanbashiError as error:
                log.error("the health of %s: %s", container.name, error.message)

    def current(self, container_id: str, run: str) -> Container | None:
        """The container as it is, None where that run is over or interrupted."""
        container = self.core.state.containers.get(container_id)
        return container if container is not None and container.state.status == "running" and container.state.started_at == run else None

    async def note(self, container_id: str, run: str, check: HealthConfig, outcome: HealthLog, began: float) -> None:
        """Save what came of a probe, and tell when it changes where the container stands."""
        async with self.core.locked(container_id):
            container = self.current(container_id, run)
            if container is None or (before := container.state.health) is None:
                return
            health = after_probe(check, before, outcome, began)
            await self.core.put(msgspec.structs.replace(container, state=msgspec.structs.replace(container.state, health=health)))
            if health.status != before.status:
                log.info("%s is %s", container.name, health.status)
                self.core.tell_container(f"health_status: {health.status}", container)

    async def probe(self, container: Container, check: HealthConfig) -> HealthLog:
        """Run the check once; what cannot be run is a failure that says so."""
        start, said = now(), Said()
        config = ExecConfig(cmd=probe_command(container.config), attach_stdout=True, attach_stderr=True)
        exec_id = ""
        try:
            exec_id = await self.execs.create(container.id, config)
            attachment = await self.execs.start(exec_id)
            async with asyncio.timeout(timeout(check)):
                if attachment is not None:
                    await said.listen(attachment)
                code, output = await self.execs.wait(exec_id), str(said)
        except TimeoutError:
            code, output = timed_out(check, str(said))
        except SanbashiError as error:
            code, output = -1, error.message
        finally:
            self.execs.abandon(exec_id)
        return HealthLog(start=start, end=now(), exit_code=code, output=output)


@dataclass
class Said:
    """The beginning of a probe's output; the rest is taken and dropped."""

    kept: bytearray = field(default_factory=bytearray)
    more: bool = False

    async def listen(self, attachment: Attachment) -> None:
        """Until its end."""
        while (piece := await attachment.read()) is not None:
            room = LONGEST - len(self.kept)
            self.kept += piece[1][:room]
            self.more |= len(piece[1]) > room

    def __str__(self) -> str:
        return self.kept.decode(errors="replace") + ("..." if self.more else "")
