"""One start: reserve, namespace, links and runtime side by side, confirm; and the way back where a step fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection
from dataclasses import replace

import msgspec

from ..containers.health import first_health
from ..containers.model import Container, ContainerState
from ..errors import Failed, SanbashiError, StepFailed, words
from ..host.crash import crash_point
from ..host.gathering import BridgeFull
from ..host.taken import PortTaken
from ..network.plan import Step
from ..network.publishing import cannot_connect, carrier
from ..records import dataclass
from .core import Core, both, now
from .exits import Ended, Exits
from .files import place_files, refresh_files, write_files
from .health import HealthChecks
from .loop import touched
from .networking import Networking
from .process import Process
from .removing import Removing
from .sandboxes import Planned
from .saved import Key
from .stages import stage, stages
from .targets import check_targets

PORT_ATTEMPTS = 10  # as Docker: how often another ephemeral port is tried when the host has the chosen one


@dataclass
class Starting:
    """Brings containers up whose lock is held."""

    core: Core
    networking: Networking
    process: Process
    health: HealthChecks
    exits: Exits
    removing: Removing

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
        except Exception as error:  # also what nobody foresaw must leave nothing behind
            self.process.release(container.id)
            await self.note_failed_start(before, error)
            raise
        self.core.tell_container("start", container)
        self.health.begin(container)

    async def note_failed_start(self, container: Container, error: Exception) -> None:
        """State.Error and the exit code of a start that failed."""
        code = getattr(error, "exit_code", 128)
        state = msgspec.structs.replace(container.state, error=words(error), exit_code=code, pid=0, status=container.state.status)
        if state.status in ("running", "restarting"):
            state = msgspec.structs.replace(state, status="exited", finished_at=now())
        saved = self.core.state.containers.get(container.id)
        if saved is not None:
            # Where even the way back failed its sandbox is there still: the next start, or the removal, takes it away.
            left = saved.sandbox_id if saved.sandbox_id in self.core.state.network.sandboxes else ""
            await self.core.put(msgspec.structs.replace(container, state=state, sandbox_id=left, monitor_pid=0), fact=True)
            self.exits.settle(self.exits.stopped, container.id, Ended(code))
            if container.host_config.auto_remove and not left:
                await self.removing.remove_whole(self.core.state.containers[container.id], volumes=True)

    async def bring_up_once(self, container: Container, avoid: frozenset[tuple[str, int]]) -> Container:
        core = self.core
        if container.sandbox_id:
            # What a start left that could not be undone.
            await self.undo_start(container)
            container = msgspec.structs.replace(container, sandbox_id="")
        self.process.hasten()
        self.networking.bridge_filter.look()
        with stage("reserve"):
            first, rest, container = await self.reserve(container, avoid)
        try:
            pinned, begun = asyncio.ensure_future(self.pin(first)), asyncio.Event()
            creating, wiring = self.create(container, pinned, begun), self.wire(pinned, begun, container, rest, avoid)
            (pid, monitor_pid), stale = await both(creating, wiring)
            for sandbox in stale:
                # What an address that came meanwhile is written into; the runtime only binds the files.
                await refresh_files(self.core, sandbox)
            crash_point("created")
            with stage("start"):
                await self.process.start(container)
            crash_point("started")
            health = first_health(container.config, container.state.health)
            state = ContainerState(status="running", pid=pid, started_at=now(), finished_at=container.state.finished_at, health=health)
            with stage("confirm"):
                confirmed = await core.put(msgspec.structs.replace(container, state=state, monitor_pid=monitor_pid, boot_id=core.boot_id))
        except Exception as error:
            told = self.explained(error, container)  # before the sandbox goes, with what was asked for
            await self.undo_start(container)
            if told is error:
                raise
            raise told from error
        crash_point("confirmed")
        return confirmed

    async def pin(self, steps: tuple[Step, ...]) -> None:
        """The network namespace, for which the runtime and the links wait."""
        with stage("namespace"):
            await self.networking.loop.apply(steps)
        crash_point("namespace")

    async def create(self, container: Container, pinned: Awaitable[None], begun: asyncio.Event) -> tuple[int, int]:
        """The process, which waits for `start`: (pid, conmon's pid). `begun` is set when the runtime is at work, or not at all."""
        try:
            path = self.networking.sandboxes.namespace_path(container)
            with self.process.hastened():
                return await self.process.create(container, path, lambda: place_files(self.core, container), pinned, begun)
        finally:
            begun.set()

    async def wire(
        self, pinned: Awaitable[None], begun: asyncio.Event, container: Container, planned: Planned, avoid: frozenset[tuple[str, int]]
    ) -> Collection[str]:
        """Links, rules, names and files, while the runtime makes the container; then the addresses from outside, which the links must be there for.

        The sandboxes whose files have to be written anew. Nothing of it is needed before the runtime works, and it takes longer: until it does,
        every thread that works here would keep it from being started.
        """
        with stage("plan"):
            steps = planned()
        await begun.wait()
        await pinned
        try:
            with stage("network"):
                await both(self.networking.loop.apply(steps), self.write_files(container))
        except BridgeFull:
            raise
        except StepFailed as error:
            raise self.prefixed(Failed(error.message, hint=error.hint)) from error
        try:
            return await self.networking.leasing.acquire(container, avoid)
        except PortTaken:
            raise
        except SanbashiError as error:
            raise self.prefixed(error) from error

    async def reserve(self, container: Container, avoid: frozenset[tuple[str, int]]) -> tuple[tuple[Step, ...], Planned, Container]:
        """Reserve addresses, names and ports; the steps that make them true, the namespace's apart, and the container that holds them."""
        core, mode = self.core, container.host_config.network_mode
        if mode.startswith("container:"):
            self.networking.sandboxes.shared_with(container)
            return (), tuple, await core.put(container)
        check_targets(core, container)
        await self.networking.sandboxes.settled(*(wish.network_id or name for name, wish in container.networks))
        old = core.state
        try:
            new, sandbox_id = self.networking.sandboxes.reserve(container, avoid)
        except SanbashiError as error:
            raise self.prefixed(error) from error
        container = msgspec.structs.replace(container, sandbox_id=sandbox_id)
        part = touched(new, sandbox_id)
        keys: list[Key] = [*part.keys(old.network, new), ("container", container.id)]
        crash_point("before reserve")
        await core.commit(replace(old, network=new).with_container(container), keys)
        crash_point("reserved")
        first, rest = self.networking.sandboxes.steps_up(old.network, sandbox_id, part)
        for endpoint_id in core.state.network.sandbox_endpoints.get(sandbox_id, ()):
            endpoint = core.state.network.endpoints[endpoint_id]
            self.core.tell_network("connect", core.state.network.networks[endpoint.network_id], container=container.id)
        return first, rest, container

    async def write_files(self, container: Container) -> None:
        """The files that the container sees through bind mounts, and those of the containers that link to it."""
        sandbox_id = container.sandbox_id
        if sandbox_id:
            with stage("files"):
                await self.core.on_host(lambda: write_files(self.core, container, starts=True))
                for other in touched(self.core.state.network, sandbox_id).sandboxes:
                    if other != sandbox_id:
                        await refresh_files(self.core, other)

    async def undo_start(self, container: Container) -> None:
        """Take away what a failed start left, in the reverse order."""
        try:
            await self.process.destroy(container)
        finally:
            await self.networking.sandboxes.close(container, msgspec.structs.replace(container, sandbox_id=""), unsure=True)

    def explained(self, error: Exception, container: Container) -> Exception:
        """A failure of the start in Docker's words: the network's get their prefix, the runtime's have their own."""
        if isinstance(error, PortTaken):
            protocol, port = error.item.protocol, error.item.port
            endpoint = carrier(self.core.state.network, container.sandbox_id, error.item.address)
            refused = cannot_connect(endpoint, error.message, error.hint)
            return Occupied(protocol, port, self.may_move(container, protocol, port), self.prefixed(refused))
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


class Occupied(SanbashiError):
    """A host port that a process outside took; `another`: a different one would do."""

    def __init__(self, protocol: str, port: int, another: bool, error: SanbashiError) -> None:
        super().__init__(error.message, hint=error.hint)
        self.protocol, self.port, self.another, self.error = protocol, port, another, error
