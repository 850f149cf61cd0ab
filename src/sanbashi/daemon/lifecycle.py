"""Containers through their life: the verbs, the exit, and what a policy starts again."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec

from ..containers import lifecycle as moves
from ..containers.model import Container
from ..errors import Failed, SanbashiError, Unavailable, unforeseen, words
from ..host.crash import crash_point
from ..network.commands import rename_container
from .content import Content
from .core import Core, age, both, now, whole
from .exits import Ended, Exits, settled
from .freezing import Freezing
from .health import HealthChecks
from .loop import touched
from .networking import Networking
from .process import Process
from .removing import Removing
from .restarts import Restarts
from .stages import stage, stages
from .starting import Starting
from .stopping import Stopping, stop_signal

log = logging.getLogger("sanbashi.containers")


class Lifecycle:
    """The verbs on one container."""

    def __init__(self, core: Core, networking: Networking, process: Process, health: HealthChecks, content: Content) -> None:
        self.core = core
        self.networking = networking
        self.process = process
        self.health = health
        self.exits = Exits()
        self.restarts = Restarts()
        self.removing = Removing(core, process, self.exits, self.restarts, content)
        self.starting = Starting(core, networking, process, health, self.exits, self.removing)
        self.stopping = Stopping(core, process, self.exits, self.restarts)
        self.freezing = Freezing(core, process, health)
        self.stop = self.stopping.stop
        self.kill = self.stopping.kill
        self.pause = self.freezing.pause
        self.unpause = self.freezing.unpause

    # -- start and restart

    async def start(self, ref: str) -> None:
        """`start`: NotModified where it runs already. Whoever goes away while it waits for an address gives it up."""
        container = self.core.find_container(ref)
        with self.networking.leasing.attended(container.id):
            await self.start_whole(container)

    @whole
    async def start_whole(self, container: Container) -> None:
        async with self.core.locked(container.id):
            container = self.core.find_container(container.id)
            moves.check_start(container)
            self.restarts.cancel(container.id)
            self.restarts.forget(container.id)
            await self.starting.bring_up(msgspec.structs.replace(container, stopped_by_user=False, restart_count=0))

    async def restart(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        """`restart`: stop where it runs, then start; Failed for whatever goes wrong, as Docker has it."""
        container = self.core.find_container(ref)
        with self.networking.leasing.attended(container.id):
            try:
                await self.restart_whole(container, timeout, signal)
            except SanbashiError as problem:
                raise Failed(f"Cannot restart container {ref}: {problem.message}", hint=problem.hint) from problem

    @whole
    async def restart_whole(self, container: Container, timeout: int | None, signal: str) -> None:
        if container.state.running:
            stop_signal(container, signal)
            auto_remove = container.host_config.auto_remove
            if auto_remove:
                await self.core.put(msgspec.structs.replace(container, host_config=msgspec.structs.replace(container.host_config, auto_remove=False)))
            await self.stopping.stop_and_tell(self.core.find_container(container.id), timeout, signal)
        async with self.core.locked(container.id):
            current = self.core.find_container(container.id)
            if not current.state.running:
                moves.check_start(current)
                await self.starting.bring_up(msgspec.structs.replace(current, stopped_by_user=False, host_config=container.host_config))
        self.core.tell_container("restart", container)

    # -- exit

    async def exited(self, container_id: str, code: int, oom: bool, run: int) -> None:
        """The monitor says that a container's process ended; `run` tells which one, so that a late word does not end the next."""
        async with self.core.locked(container_id):
            try:
                with stages("exit", container_id):
                    remains = await self.take_down(container_id, code, oom, run)
            except Unavailable:  # what is tried again
                raise
            except SanbashiError as error:
                await self.note_failed_exit(container_id, code, run, error)
                raise
            await self.removing.clear_away(remains)

    async def note_failed_exit(self, container_id: str, code: int, run: int, error: SanbashiError) -> None:
        """That a container has ended, and what of it could not be taken away: the next start, or the removal, tries again."""
        container = self.core.state.containers.get(container_id)
        if container is None or not container.state.running or run != self.process.runs.get(container_id, 0):
            return
        container = self.health.interrupted(container)
        state = msgspec.structs.replace(container.state, status="exited", pid=0, exit_code=code, finished_at=now(), error=words(error))
        await self.core.put(msgspec.structs.replace(container, state=state, monitor_pid=0), fact=True)
        self.core.tell_container("die", container, exitCode=str(code), execDuration=str(int(age(container.state.started_at))))
        self.exits.settle(self.exits.stopped, container_id, Ended(code))
        if container.host_config.auto_remove:
            self.exits.settle(self.exits.removed, container_id, Ended(code, state.error))

    async def take_down(self, container_id: str, code: int, oom: bool, run: int) -> Path | None:
        """Everything that follows from the end of a container's process; its lock is held. What of a removed one's files is left to delete."""
        core = self.core
        container = core.state.containers.get(container_id)
        if container is None or run != self.process.runs.get(container_id, 0):
            return None
        if container.state.status == "removing" and container.host_config.auto_remove:
            # All but its removal was done when this was tried before.
            return await self.removing.remove_ended(container)
        if not container.state.running:
            return None
        finished = now()
        self.health.end(container_id)
        # The runtime takes longest, so it comes first: what is done here meanwhile would only keep it from being started.
        begun = asyncio.Event()
        burying = asyncio.ensure_future(self.bury(container, begun))
        await begun.wait()
        log.info("%s exited with %d", container.name, code)
        container = self.health.interrupted(container)
        names = [core.state.network.endpoints[e].network_id for e in core.state.network.sandbox_endpoints.get(container.sandbox_id, ())]
        decision = self.restarts.decide(container, code)
        removed = container.host_config.auto_remove and not decision.restart
        state = msgspec.structs.replace(
            container.state,
            # Marked at once, as its removal would: what a crash or a full disk leaves of it is removed all the same.
            status="restarting" if decision.restart else "removing" if removed else "exited",
            pid=0,
            exit_code=code,
            finished_at=finished,
            oom_killed=oom,
            error="",
        )
        after = msgspec.structs.replace(container, state=state, sandbox_id="", monitor_pid=0)
        # Beside the runtime: of a process that has ended only what that remembers is left, and nobody talks any more.
        with stage("network"):
            await both(burying, self.networking.sandboxes.close(container, after, ended=burying))
        if oom:
            core.tell_container("oom", after)
        for network_id in names:
            if (network := core.state.network.networks.get(network_id)) is not None:
                self.core.tell_network("disconnect", network, container=container.id)
        core.tell_container("die", container, exitCode=str(code), execDuration=str(int(age(container.state.started_at))))
        if decision.restart:
            self.restarts.schedule(container_id, decision, self.restart_now)
        self.exits.settle(self.exits.stopped, container_id, Ended(code))
        if removed:
            return await self.removing.remove_ended(core.state.containers[container_id])
        return None

    async def bury(self, container: Container, begun: asyncio.Event) -> None:
        with stage("destroy"):
            await self.process.bury(container, begun)
        crash_point("process gone")

    async def restart_now(self, container_id: str) -> None:
        """What its policy asked for, after the delay."""
        async with self.core.locked(container_id):
            self.restarts.tasks.pop(container_id, None)
            container = self.core.state.containers.get(container_id)
            if container is None or container.state.status != "restarting":
                return
            self.networking.leasing.abandoned.discard(container_id)
            try:
                await self.starting.bring_up(msgspec.structs.replace(container, restart_count=container.restart_count + 1))
            except Exception as error:  # nobody waits for it who could be told
                log.warning("restarting %s: %s", container.name, words(error), exc_info=unforeseen(error))

    # -- remove, rename, wait

    @whole
    async def remove(self, ref: str, *, force: bool = False, volumes: bool = False) -> None:
        """`rm`."""
        id_ = self.core.find_container(ref).id
        while (container := self.core.state.containers.get(id_)) is not None:
            if container.state.running:
                moves.check_remove(container, ref, force)
                if container.host_config.auto_remove:
                    removed = self.exits.wait(self.exits.removed, id_)
                    await self.stopping.stop_running(container, 0, "SIGKILL")
                    if problem := (await removed).problem:
                        raise Failed(problem)
                    return
                await self.stopping.stop_running(container, 0, "SIGKILL")
            async with self.core.locked(id_):
                current = self.core.state.containers.get(id_)
                # Where somebody has started it meanwhile it must be stopped first.
                if current is not None and not current.state.running:
                    if current.sandbox_id:
                        await self.starting.undo_start(current)
                        current = self.core.find_container(id_)
                    await self.removing.remove_whole(current, volumes=volumes)

    @whole
    async def rename(self, ref: str, name: str) -> None:
        """`rename`: names in the networks' zones follow at once."""
        core = self.core
        container = core.find_container(ref)
        async with core.locked(container.id):
            container = core.find_container(container.id)
            name = moves.check_rename(container, name, core.state.container_names)
            old = core.state
            new = rename_container(old.network, container.id, name)
            part = touched(new, container.sandbox_id) if container.sandbox_id else None
            after = msgspec.structs.replace(container, name=name)
            if part is None:
                await core.put(after)
            else:
                await self.networking.loop.change(new, part, after)
        core.tell_container("rename", after, oldName=f"/{container.name}")

    def wait(self, ref: str, condition: str = "not-running") -> asyncio.Future[Ended]:
        """A future of the exit; registered before this returns. `condition`: not-running, next-exit or removed."""
        container = self.core.find_container(ref)
        state = container.state
        if condition in ("", "not-running") and not state.running:
            return settled(Ended(state.exit_code))
        if condition == "removed" and state.dead:  # its removal has failed, and nobody tries it again unasked
            return settled(Ended(state.exit_code, state.error))
        return self.exits.wait(self.exits.removed if condition == "removed" else self.exits.stopped, container.id)
