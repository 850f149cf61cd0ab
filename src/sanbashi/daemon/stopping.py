"""Signals to containers: stop, with patience, and kill."""

from __future__ import annotations

import asyncio

import msgspec

from ..containers import lifecycle as moves
from ..containers.model import Container
from ..containers.signals import signal_number
from ..errors import Failed, NotModified, SanbashiError
from ..records import dataclass
from .core import Core, whole
from .exits import Ended, Exits
from .process import Process
from .restarts import Restarts

STOP_TIMEOUT = 10
KILL_TIMEOUT = 10
SIGKILL = 9


@dataclass
class Stopping:
    """Ends what runs."""

    core: Core
    process: Process
    exits: Exits
    restarts: Restarts

    @whole
    async def stop(self, ref: str, timeout: int | None = None, signal: str = "") -> None:
        """`stop`: the stop signal, then after `timeout` seconds SIGKILL; NotModified where it does not run, Failed for what goes wrong then."""
        container = self.core.find_container(ref)
        if not container.state.running:
            raise NotModified("container already stopped")
        try:
            await self.stop_and_tell(container, timeout, signal)
        except SanbashiError as problem:
            raise Failed(f"cannot stop container: {ref}: {problem.message}", hint=problem.hint) from problem

    async def stop_and_tell(self, container: Container, timeout: int | None, signal: str) -> None:
        """Stop what runs, with the event `stop`; a restart has it too."""
        await self.stop_running(container, timeout, signal)
        self.core.tell_container("stop", container)

    async def stop_running(self, container: Container, timeout: int | None, signal: str, *, by_user: bool = True) -> None:
        number = stop_signal(container, signal)  # before anything is changed
        gone = self.exits.wait(self.exits.stopped, container.id)
        container = await self.kept_from_restarting(container.id, by_user=by_user)
        if not container.state.running:
            return
        if timeout is None:
            timeout = container.config.stop_timeout if container.config.stop_timeout is not None else STOP_TIMEOUT
        await self.send(container, number)
        if number == SIGKILL:
            await gone
            return
        try:
            await asyncio.wait_for(asyncio.shield(gone), None if timeout < 0 else timeout)
        except TimeoutError:
            await self.send(container, SIGKILL)
            await gone

    async def kept_from_restarting(self, container_id: str, *, by_user: bool = True) -> Container:
        """The container, whose policy is not to start it again; one that had ended, perhaps just now, and waited for that has stopped herewith."""
        async with self.core.locked(container_id):
            container = self.core.find_container(container_id)
            after = msgspec.structs.replace(container, stopped_by_user=by_user or container.stopped_by_user)
            if container.state.status == "restarting":
                self.restarts.cancel(container_id)
                after = msgspec.structs.replace(after, state=msgspec.structs.replace(container.state, status="exited"))
            if after != container:
                await self.core.put(after, fact=True)
            if not after.state.running:
                self.exits.settle(self.exits.stopped, container_id, Ended(after.state.exit_code))
            return after

    async def send(self, container: Container, number: int) -> None:
        """A signal to the container's first process; a paused one is thawed so that it can die."""
        if container.state.status == "paused":
            await self.process.resume(container)
        await self.process.kill(container, number)
        self.core.tell_container("kill", container, signal=str(number))

    @whole
    async def kill(self, ref: str, signal: str = "KILL") -> None:
        """`kill`: any signal; SIGKILL and the stop signal keep the restart policy from acting."""
        try:
            await self.kill_running(ref, signal)
        except SanbashiError as problem:
            problem.frame(f"cannot kill container: {ref}: ")
            raise

    async def kill_running(self, ref: str, signal: str) -> None:
        number = signal_number(signal or "KILL")
        container = self.core.find_container(ref)
        moves.check_running(container)
        if container.state.status == "restarting":
            await self.stop_running(container, 0, "")
            return
        gone = self.exits.wait(self.exits.stopped, container.id) if number == SIGKILL else None
        if number in (SIGKILL, stop_signal(container, "")):
            container = await self.kept_from_restarting(container.id)
            if not container.state.running:  # it ended by itself meanwhile
                return
        await self.send(container, number)
        if gone is not None:
            try:
                await asyncio.wait_for(gone, KILL_TIMEOUT)
            except TimeoutError:
                raise Failed("tried to kill container, but did not receive an exit event") from None


def stop_signal(container: Container, wanted: str) -> int:
    """The number of the signal that stops it: the one wanted, or its own. Invalid where there is none of that name."""
    return signal_number(wanted or container.config.stop_signal or "SIGTERM")
