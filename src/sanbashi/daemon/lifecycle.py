"""Containers through their life: start, stop, the exit, restart, remove."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import time
from collections.abc import Awaitable, Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from ..containers import lifecycle as moves
from ..containers.health import first_health
from ..containers.model import Container, ContainerState
from ..containers.restart import RestartDecision, decide_restart
from ..containers.signals import signal_number
from ..errors import Conflict, Failed, NotFound, NotModified, SanbashiError
from ..host.crash import crash_point
from ..host.gathering import BridgeFull
from ..host.taken import PortTaken
from ..host.volume_mounts import remove_volume
from ..network.plan import Step
from .core import Core, both, now, whole
from .files import write_files
from .health import HealthChecks
from .networking import Networking
from .process import Process
from .saved import Key
from .stages import stage, stages

log = logging.getLogger("sanbashi.containers")

PORT_ATTEMPTS = 10  # as Docker: how often another ephemeral port is tried when the host has the chosen one
STOP_TIMEOUT = 10
SIGKILL = 9


@dataclass
class Exits:
    """Who waits for a container to stop, and for it to be removed."""

    stopped: dict[str, list[asyncio.Future[int]]] = field(default_factory=dict)
    removed: dict[str, list[asyncio.Future[int]]] = field(default_factory=dict)

    def wait(self, table: dict[str, list[asyncio.Future[int]]], container_id: str) -> asyncio.Future[int]:
        future = asyncio.get_running_loop().create_future()
        table.setdefault(container_id, []).append(future)
        return future

    def settle(self, table: dict[str, list[asyncio.Future[int]]], container_id: str, code: int) -> None:
        for future in table.pop(container_id, []):
            if not future.done():
                future.set_result(code)


@dataclass
class Lifecycle:
    """The verbs on one container."""

    core: Core
    networking: Networking
    process: Process
    health: HealthChecks
    exits: Exits = field(default_factory=Exits)
    restarts: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)
    closing: bool = False

    # -- start

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
            self.cancel_restart(container.id)
            self.delays.pop(container.id, None)
            await self.bring_up(msgspec.structs.replace(container, stopped_by_user=False, restart_count=0))

    async def bring_up(self, container: Container) -> None:
        """Start a container whose lock is held; on failure everything is as before and the container says why."""
        before = container
        avoid: frozenset[tuple[str, int]] = frozenset()
        try:
            for attempt in range(PORT_ATTEMPTS):
                try:
                    with stages("start", before.id):
                        container = await self.bring_up_once(before, avoid)
                    break
                except Occupied as taken:
                    if attempt == PORT_ATTEMPTS - 1 or not taken.another:
                        raise taken.error from None
                    avoid |= {(taken.protocol, taken.port)}
        except SanbashiError as error:
            self.process.release(container.id)
            await self.note_failed_start(before, error)
            raise
        self.core.tell_container("start", container)
        self.health.begin(container)

    async def note_failed_start(self, container: Container, error: SanbashiError) -> None:
        """State.Error and the exit code of a start that failed."""
        code = getattr(error, "exit_code", 128)
        state = msgspec.structs.replace(container.state, error=error.message, exit_code=code, pid=0, status=container.state.status)
        if state.status in ("running", "restarting"):
            state = msgspec.structs.replace(state, status="exited", finished_at=now())
        if container.id in self.core.state.containers:
            await self.core.put(msgspec.structs.replace(container, state=state, sandbox_id="", monitor_pid=0), fact=True)
            self.exits.settle(self.exits.stopped, container.id, code)
            if container.host_config.auto_remove:
                await self.remove_whole(self.core.state.containers[container.id], volumes=True)

    async def bring_up_once(self, container: Container, avoid: frozenset[tuple[str, int]]) -> Container:
        core = self.core
        if container.sandbox_id:
            # What a start left that could not be undone, because the disk was full, say.
            await self.undo_start(container)
            container = msgspec.structs.replace(container, sandbox_id="")
        self.process.hasten()
        with stage("reserve"):
            first, rest, container = await self.reserve(container, avoid)
        try:
            pinned = asyncio.ensure_future(self.pin(first))
            (pid, monitor_pid), stale = await both(self.create(container, pinned), self.wire(pinned, container, rest, avoid))
            for sandbox in stale:
                # What an address that came meanwhile is written into; the runtime only binds the files.
                await self.networking.refresh_files(sandbox)
            crash_point("created")
            with stage("start", runtime=True):
                await self.process.start(container)
            crash_point("started")
            health = first_health(container.config, container.state.health)
            state = ContainerState(status="running", pid=pid, started_at=now(), finished_at=container.state.finished_at, health=health)
            with stage("confirm"):
                confirmed = await core.put(msgspec.structs.replace(container, state=state, monitor_pid=monitor_pid, boot_id=core.boot_id))
        except SanbashiError as error:
            told = self.explained(error, container)  # before the sandbox goes, with what was asked for
            await self.undo_start(container)
            raise told from error
        crash_point("confirmed")
        return confirmed

    async def pin(self, steps: tuple[Step, ...]) -> None:
        """The network namespace, for which the runtime and the links wait."""
        with stage("namespace"):
            await self.networking.apply(steps)
        crash_point("namespace")

    async def create(self, container: Container, pinned: Awaitable[None]) -> tuple[int, int]:
        """The files and the process, which waits for `start`: (pid, conmon's pid)."""
        with stage("files"):
            await self.write_files(container)
        return await self.process.create(container, self.networking.namespace_path(container), pinned)

    async def wire(
        self, pinned: Awaitable[None], container: Container, steps: tuple[Step, ...], avoid: frozenset[tuple[str, int]]
    ) -> Collection[str]:
        """Links, rules and names, while the runtime makes the container; then the addresses from outside, which the links must be there for.

        The sandboxes whose files have to be written anew.
        """
        await pinned
        with stage("network"):
            await self.networking.apply(steps)
        try:
            return await self.networking.leasing.acquire(container, avoid)
        except PortTaken:
            raise
        except SanbashiError as error:
            raise self.prefixed(error) from error

    async def reserve(self, container: Container, avoid: frozenset[tuple[str, int]]) -> tuple[tuple[Step, ...], tuple[Step, ...], Container]:
        """Reserve addresses, names and ports; the steps that make them true and the container that holds them."""
        core, mode = self.core, container.host_config.network_mode
        if mode.startswith("container:"):
            self.networking.shared_with(container)
            return (), (), await core.put(container)
        await self.networking.settled(*(wish.network_id or name for name, wish in container.networks))
        old = core.state
        try:
            new, sandbox_id = self.networking.reserve(container, avoid)
        except SanbashiError as error:
            raise self.prefixed(error) from error
        container = msgspec.structs.replace(container, sandbox_id=sandbox_id)
        part = self.networking.touched(new, sandbox_id)
        keys: list[Key] = [*part.keys(old.network, new), ("container", container.id)]
        crash_point("before reserve")
        await core.commit(replace(old, network=new).with_container(container), keys)
        crash_point("reserved")
        first, rest = self.networking.steps_up(old.network, part)
        for endpoint_id in core.state.network.sandbox_endpoints.get(sandbox_id, ()):
            endpoint = core.state.network.endpoints[endpoint_id]
            self.networking.tell("connect", core.state.network.networks[endpoint.network_id], container=container.id)
        return first, rest, container

    async def write_files(self, container: Container) -> None:
        """The files that the container sees through bind mounts, and those of the containers that link to it."""
        sandbox_id = container.sandbox_id
        if sandbox_id:
            await self.core.on_host(lambda: write_files(self.core, container, starts=True))
            for other in self.networking.touched(self.core.state.network, sandbox_id).sandboxes:
                if other != sandbox_id:
                    await self.networking.refresh_files(other)

    async def undo_start(self, container: Container) -> None:
        """Take away what a failed start left, in the reverse order."""
        await self.process.destroy(container)
        await self.networking.close(container, msgspec.structs.replace(container, sandbox_id=""), unsure=True)

    def explained(self, error: SanbashiError, container: Container) -> SanbashiError:
        """A failure of the start in Docker's words: the network's get their prefix, the runtime's have their own."""
        if isinstance(error, PortTaken):
            protocol, port = error.item.protocol, error.item.port
            words = f"driver failed programming external connectivity on endpoint {container.name} ({container.id}): {error.message}"
            return Occupied(protocol, port, self.may_move(container, protocol, port), self.prefixed(Failed(words, hint=error.hint)))
        if isinstance(error, BridgeFull):
            network = next((n.name for n in self.core.state.network.networks.values() if n.bridge == error.link.master), error.link.master)
            words = f"failed to create endpoint {container.name} on network {network}: {error.message}"
            return self.prefixed(Failed(words, hint=error.hint))
        return error

    def may_move(self, container: Container, protocol: str, port: int) -> bool:
        """Whether another host port would do for this publication: an ephemeral one or one of a range."""
        sandbox = self.core.state.network.sandboxes.get(container.sandbox_id)
        specs = sandbox.ports if sandbox else ()
        return any(s.protocol == protocol and (s.host_port == 0 or s.host_port <= port <= s.host_port_end) for s in specs)

    @staticmethod
    def prefixed(error: SanbashiError) -> SanbashiError:
        return type(error)(f"failed to set up container networking: {error.message}", hint=error.hint)

    # -- exit

    async def exited(self, container_id: str, code: int, oom: bool, run: int) -> None:
        """The monitor says that a container's process ended; `run` tells which one, so that a late word does not end the next."""
        async with self.core.locked(container_id):
            with stages("exit", container_id):
                await self.take_down(container_id, code, oom, run)

    async def take_down(self, container_id: str, code: int, oom: bool, run: int) -> None:
        """Everything that follows from the end of a container's process; its lock is held."""
        core = self.core
        container = core.state.containers.get(container_id)
        if container is None or not container.state.running or run != self.process.runs.get(container_id, 0):
            return
        log.info("%s exited with %d", container.name, code)
        self.health.end(container_id)
        container = self.health.interrupted(container)
        names = [core.state.network.endpoints[e].network_id for e in core.state.network.sandbox_endpoints.get(container.sandbox_id, ())]
        with stage("destroy"):
            await self.process.destroy(container)
        crash_point("process gone")
        decision = self.restart_decision(container, code)
        state = msgspec.structs.replace(
            container.state,
            status="restarting" if decision.restart else "exited",
            pid=0,
            exit_code=code,
            finished_at=now(),
            oom_killed=oom,
            error="",
        )
        after = msgspec.structs.replace(container, state=state, sandbox_id="", monitor_pid=0)
        with stage("network"):
            await self.networking.close(container, after)
        if oom:
            core.tell_container("oom", after)
        for network_id in names:
            if (network := core.state.network.networks.get(network_id)) is not None:
                self.networking.tell("disconnect", network, container=container.id)
        core.tell_container("die", container, exitCode=str(code), execDuration=str(duration(container)))
        if decision.restart:
            self.schedule_restart(container_id, decision)
        self.exits.settle(self.exits.stopped, container_id, code)
        if container.host_config.auto_remove and not decision.restart:
            await self.remove_whole(core.state.containers[container_id], volumes=True)

    def restart_decision(self, container: Container, code: int) -> RestartDecision:
        if self.closing:
            return RestartDecision(restart=False)
        return decide_restart(
            container.host_config.restart_policy,
            exit_code=code,
            restart_count=container.restart_count,
            ran_for=float(duration(container)),
            last_delay=self.delays.get(container.id, 0.0),
            stopped_by_user=container.stopped_by_user,
        )

    def schedule_restart(self, container_id: str, decision: RestartDecision) -> None:
        self.delays[container_id] = decision.delay
        self.restarts[container_id] = asyncio.get_running_loop().create_task(self.restart_later(container_id, decision.delay))

    async def restart_later(self, container_id: str, delay: float) -> None:
        await asyncio.sleep(delay)
        async with self.core.locked(container_id):
            self.restarts.pop(container_id, None)
            container = self.core.state.containers.get(container_id)
            if container is None or container.state.status != "restarting":
                return
            self.networking.leasing.abandoned.discard(container_id)
            try:
                await self.bring_up(msgspec.structs.replace(container, restart_count=container.restart_count + 1))
            except SanbashiError as error:
                log.warning("restarting %s: %s", container.name, error.message)

    def cancel_restart(self, container_id: str) -> None:
        if (task := self.restarts.pop(container_id, None)) is not None:
            task.cancel()

    # -- stop and its kin

    @whole
    async def stop(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        """`stop`: the stop signal, then after `timeout` seconds SIGKILL; NotModified where it does not run."""
        container = self.core.find_container(ref)
        if not container.state.running:
            raise NotModified("container already stopped")
        await self.stop_running(container, timeout, signal)
        self.core.tell_container("stop", container)

    async def stop_running(self, container: Container, timeout: int | None, signal: str, *, by_user: bool = True) -> None:
        if container.state.status == "restarting":
            async with self.core.locked(container.id):
                self.cancel_restart(container.id)
                current = self.core.find_container(container.id)
                if current.state.status == "restarting":
                    await self.core.put(
                        msgspec.structs.replace(current, stopped_by_user=True, state=msgspec.structs.replace(current.state, status="exited"))
                    )
                    return
        gone = self.exits.wait(self.exits.stopped, container.id)
        if by_user:
            container = await self.mark_stopped(container.id)
        if not container.state.running:
            return
        wanted = signal or container.config.stop_signal or "SIGTERM"
        if timeout is None:
            timeout = container.config.stop_timeout if container.config.stop_timeout is not None else STOP_TIMEOUT
        number = signal_number(wanted)
        await self.send(container, number)
        if number == SIGKILL:
            await gone
            return
        try:
            await asyncio.wait_for(asyncio.shield(gone), None if timeout < 0 else timeout)
        except TimeoutError:
            await self.send(container, SIGKILL)
            await gone

    async def mark_stopped(self, container_id: str) -> Container:
        async with self.core.locked(container_id):
            container = self.core.find_container(container_id)
            return await self.core.put(msgspec.structs.replace(container, stopped_by_user=True), fact=True)

    async def send(self, container: Container, number: int) -> None:
        """A signal to the container's first process; a paused one is thawed so that it can die."""
        if container.state.status == "paused":
            await self.process.resume(container)
        await self.process.kill(container, number)
        self.core.tell_container("kill", container, signal=str(number))

    async def restart(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        """`restart`: stop where it runs, then start."""
        container = self.core.find_container(ref)
        with self.networking.leasing.attended(container.id):
            await self.restart_whole(container, timeout, signal)

    @whole
    async def restart_whole(self, container: Container, timeout: int | None, signal: str) -> None:
        if container.state.running:
            auto_remove = container.host_config.auto_remove
            if auto_remove:
                await self.core.put(msgspec.structs.replace(container, host_config=msgspec.structs.replace(container.host_config, auto_remove=False)))
            await self.stop_running(self.core.find_container(container.id), timeout, signal)
        async with self.core.locked(container.id):
            current = self.core.find_container(container.id)
            if not current.state.running:
                await self.bring_up(msgspec.structs.replace(current, stopped_by_user=False, host_config=container.host_config))
        self.core.tell_container("restart", container)

    @whole
    async def kill(self, ref: str, signal: str = "KILL") -> None:
        """`kill`: any signal; SIGKILL and the stop signal keep the restart policy from acting."""
        container = self.core.find_container(ref)
        number = signal_number(signal or "KILL")
        moves.check_running(container, "kill")
        if container.state.status == "restarting":
            await self.stop_running(container, 0, "")
            return
        if number in (SIGKILL, signal_number(container.config.stop_signal or "SIGTERM")):
            await self.mark_stopped(container.id)
        gone = self.exits.wait(self.exits.stopped, container.id) if number == SIGKILL else None
        await self.send(container, number)
        if gone is not None:
            await asyncio.wait_for(gone, 10)

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

    # -- remove

    @whole
    async def remove(self, ref: str, *, force: bool = False, volumes: bool = False) -> None:
        """`rm`."""
        id_ = self.core.find_container(ref).id
        while (container := self.core.state.containers.get(id_)) is not None:
            if container.state.running:
                moves.check_remove(container, ref, force)
                if container.host_config.auto_remove:
                    removed = self.exits.wait(self.exits.removed, id_)
                    await self.stop_running(container, 0, "SIGKILL")
                    await removed
                    return
                await self.stop_running(container, 0, "SIGKILL")
            async with self.core.locked(id_):
                current = self.core.state.containers.get(id_)
                # Where somebody has started it meanwhile it must be stopped first.
                if current is not None and not current.state.running:
                    await self.remove_whole(current, volumes=volumes)

    async def remove_whole(self, container: Container, *, volumes: bool) -> None:
        """Remove a stopped container, marked first so that a crash half way is finished at the next start."""
        core = self.core
        self.cancel_restart(container.id)
        state = msgspec.structs.replace(container.state, status="removing")
        await core.put(msgspec.structs.replace(container, state=state), fact=True)
        crash_point("removing")
        await core.on_host(self.remove_files, container)
        gone = self.anonymous_volumes(container) if volumes else ()
        for name in gone:
            await core.on_host(remove_volume, core.config.data_root / "volumes" / name)
        crash_point("files gone")
        new = core.state.without_container(container.id)
        for name in gone:
            new = new.without_volume(name)
        await core.commit(new, [("container", container.id), *(("volume", n) for n in gone)])
        self.process.release(container.id)
        self.delays.pop(container.id, None)
        core.tell_container("destroy", container)
        self.exits.settle(self.exits.removed, container.id, container.state.exit_code)

    def anonymous_volumes(self, container: Container) -> tuple[str, ...]:
        """The container's own anonymous volumes that nobody else mounts."""
        if not container.anonymous_volumes:
            return ()
        used = {m.name for c in self.core.state.containers.values() if c.id != container.id for m in c.mounts}
        return tuple(n for n in container.anonymous_volumes if n in self.core.state.volumes and n not in used)

    def remove_files(self, container: Container) -> None:
        self.core.snapshots.unmount(container.id)
        self.core.snapshots.remove(container.id)
        remove_tree(self.core.container_dir(container.id))
        remove_tree(self.core.bundle_dir(container.id))

    # -- rename, wait

    @whole
    async def rename(self, ref: str, name: str) -> None:
        """`rename`: names in the networks' zones follow at once."""
        core = self.core
        container = core.find_container(ref)
        async with core.locked(container.id):
            container = core.find_container(container.id)
            name = moves.check_rename(container, name, core.state.container_names)
            from ..network.commands import rename_container

            old = core.state
            new = rename_container(old.network, container.id, name)
            part = self.networking.touched(new, container.sandbox_id) if container.sandbox_id else None
            after = msgspec.structs.replace(container, name=name)
            if part is None:
                await core.put(after)
            else:
                await self.networking.change(new, part, after)
        core.tell_container("rename", after, oldName=f"/{container.name}")

    def wait(self, ref: str, condition: str = "not-running") -> asyncio.Future[int]:
        """A future of the exit code; registered before this returns. `condition`: not-running, next-exit or removed."""
        container = self.core.find_container(ref)
        if condition in ("", "not-running") and not container.state.running:
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            future.set_result(container.state.exit_code)
            return future
        return self.exits.wait(self.exits.removed if condition == "removed" else self.exits.stopped, container.id)


class Occupied(SanbashiError):
    """A host port that a process outside took; `another`: a different one would do."""

    def __init__(self, protocol: str, port: int, another: bool, error: SanbashiError) -> None:
        super().__init__(error.message, hint=error.hint)
        self.protocol, self.port, self.another, self.error = protocol, port, another, error


def duration(container: Container) -> int:
    """Whole seconds since the container was started."""
    try:
        started = time.strptime(container.state.started_at[:19], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return 0
    import calendar

    return max(0, int(time.time() - calendar.timegm(started)))


def remove_tree(path: os.PathLike[str]) -> None:
    """Remove a folder; gone already is success."""
    shutil.rmtree(path, ignore_errors=False, onerror=gone_is_fine)


def gone_is_fine(function: Any, path: str, failure: Any) -> None:
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]


def running(containers: Iterable[Container]) -> list[Container]:
    """Those that run."""
    return [c for c in containers if c.state.running]


__all__ = ["Conflict", "Exits", "Lifecycle"]
