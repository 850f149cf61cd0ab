"""Start-up, drift and shut-down: the same plan as any change, from what is there to what is saved."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Sequence
from dataclasses import field, replace
from functools import partial
from typing import Any

import msgspec

from ..containers.model import Container
from ..containers.restart import starts_with_daemon
from ..errors import SanbashiError, Unavailable
from ..host.mounts import unshare_path
from ..host.snapshots import SNAPSHOTS
from ..network import commands
from ..network.absent import without_absent
from ..network.indexes import reindex
from ..network.picture import HostResolver, Picture
from ..network.plan import Add, Remove, Step, plan
from ..network.wanted import everything
from ..records import dataclass
from .core import Core, new_id, now
from .drift import Drift
from .lifecycle import Lifecycle
from .loop import Slice
from .networking import Networking
from .process import Process
from .remembered import remembering
from .stopping import STOP_TIMEOUT
from .targets import targets_first

log = logging.getLogger("sanbashi.reconcile")

KEEPER_SETTLED = 1.0  # seconds that a keeper must have lived for its loss to be the first: then the next one is started at once
KEEPER_PATIENCE = 1.0  # the most that is waited for the next one where each dies young
KEEPER_DESPAIR = 10.0  # and where none can be started
TAKING_DOWN = 30  # seconds; with the default for a container, well within what systemd gives a service to stop


@dataclass
class Reconcile:
    """Brings the host and the saved state together."""

    core: Core
    networking: Networking
    lifecycle: Lifecycle
    process: Process
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    drift: Drift = field(init=False)
    renewing: bool = False
    renewed: float = 0.0  # when the keeper was last made anew, on the monotonic clock
    delay: float = 0.0

    def __post_init__(self) -> None:
        self.drift = Drift(self.core, self.networking)

    async def start_up(self) -> None:
        """After the saved state was loaded: finish or undo what a crash cut, mend the kernel, take up the running containers."""
        core = self.core
        core.state = replace(core.state, network=reindex(core.state.network))
        await self.finish_removals()
        alive, ended = await self.take_stock()
        await self.close_sandboxes_of({c.id for c in alive})
        await self.make_predefined()
        steps = await self.difference()
        if steps:
            log.info("start-up: %d steps bring the kernel to the saved state", len(steps))
        # Last and by itself: a port that is taken is no reason to leave containers without a network.
        for_host = [s for s in steps if isinstance(s, Add | Remove) and isinstance(s.item, HostResolver)]
        try:
            await self.networking.loop.apply(s for s in steps if s not in for_host)
        except SanbashiError as error:
            # A container that may do so can make its own namespace unfit; the others are not to suffer for it.
            log.error("start-up: %s; going on one by one", error.message)
            await self.drift.repair("start-up")
        await self.reconnect()
        await self.serve_host(for_host)
        await self.process.remove_strays({c.id for c in alive})
        await self.clear_stranded(alive)
        for container in alive:
            if container.state.status == "running":
                self.lifecycle.health.begin(container)
        for container, code in ended:
            core.tell_container("die", container, exitCode=str(code))
        self.networking.leasing.catch_up()
        self.spawn(self.restart_policies())

    async def reconnect(self) -> None:
        """What no picture holds: the routes that the kernel made with our bridges' addresses."""
        try:
            await self.drift.connect(self.core.state.network.networks, "start-up")
        except SanbashiError as error:
            log.error("start-up: %s", error.message)

    async def clear_stranded(self, alive: Sequence[Container]) -> None:
        """Roots that the last daemon was putting in place when it was killed."""
        try:
            await self.core.on_host(self.core.snapshots.clear_stranded, [container.monitor_pid for container in alive])
        except SanbashiError as error:
            log.error("start-up: %s", error.message)

    async def serve_host(self, steps: Sequence[Step]) -> None:
        """Let the host ask for names of containers; where that cannot be, the log and `info` say so and everything else goes on."""
        try:
            await self.networking.loop.apply(steps)
        except SanbashiError as error:
            self.core.problems = (*self.core.problems, ": ".join(filter(None, (error.message, error.hint))))
            log.error("%s", self.core.problems[-1])

    async def finish_removals(self) -> None:
        """Containers whose removal was cut half way."""
        for container in list(self.core.state.containers.values()):
            # One of --rm that could not be removed goes as well: nobody else will ask for it.
            if container.state.status == "removing" or (container.state.dead and container.host_config.auto_remove):
                await self.process.destroy(container)
                await self.networking.sandboxes.close(container, msgspec.structs.replace(container, sandbox_id=""))
                await self.remove(container.id, volumes=container.host_config.auto_remove)

    async def remove(self, container_id: str, *, volumes: bool) -> None:
        """Remove a container that has stopped; what is in the way is logged, and no reason not to start."""
        container = self.core.state.containers[container_id]
        try:
            await self.lifecycle.removing.remove_whole(container, volumes=volumes)
        except SanbashiError as error:
            log.error("start-up: the removal of %s: %s", container.name, error.message)

    async def take_stock(self) -> tuple[list[Container], list[tuple[Container, int]]]:
        """The containers that still run, and those that ended while nobody looked with their exit codes; both saved."""
        core = self.core
        alive: list[Container] = []
        ended: list[tuple[Container, int]] = []
        for container in list(core.state.containers.values()):
            same_boot = container.boot_id == core.boot_id
            if container.state.status in ("running", "paused"):
                code = await self.process.find(container) if same_boot else 255
                if isinstance(code, str):
                    if code != container.state.status:  # a pause, or its end, that was cut before it was saved
                        state = msgspec.structs.replace(container.state, status=code)
                        container = await core.put(msgspec.structs.replace(container, state=state), fact=True)
                    alive.append(container)
                    continue
                await self.process.destroy(container)
                ended.append((await self.saved_as_exited(container, code), code))
            elif container.state.status == "restarting":
                ended.append((await self.saved_as_exited(container, container.state.exit_code), container.state.exit_code))
            elif container.sandbox_id:
                # A start that was reserved and never confirmed: undone, nobody was told that it runs.
                log.info("undoing the unfinished start of %s", container.name)
                await self.process.destroy(container)
                await core.put(msgspec.structs.replace(container, sandbox_id=""), fact=True)
                if container.host_config.auto_remove and container.state.status == "created":
                    await self.remove(container.id, volumes=True)
        return alive, ended

    async def saved_as_exited(self, container: Container, code: int) -> Container:
        container = self.lifecycle.health.interrupted(container)
        state = msgspec.structs.replace(container.state, status="exited", pid=0, exit_code=code, finished_at=now())
        container = remembering(self.core.state.network, container.sandbox_id, container) if container.sandbox_id else container
        return await self.core.put(msgspec.structs.replace(container, state=state, sandbox_id="", monitor_pid=0), fact=True)

    async def close_sandboxes_of(self, alive: set[str]) -> None:
        """Sandboxes whose container does not run go from the state; the kernel follows with the rest."""
        core = self.core
        for sandbox in list(core.state.network.sandboxes.values()):
            if sandbox.container_id not in alive or core.state.containers[sandbox.container_id].sandbox_id != sandbox.id:
                old = core.state
                new = commands.close_sandbox(old.network, sandbox.id)
                await core.commit(replace(old, network=new), Slice(sandboxes=[sandbox.id]).keys(old.network))

    async def make_predefined(self) -> None:
        """bridge, host and none, where they are not there yet; docker0 follows the settings."""
        core, config = self.core, self.core.config
        new = commands.predefined_networks(
            core.state.network,
            core.network_facts,
            ids={name: new_id() for name in ("bridge", "host", "none")},
            created=now(),
            bip=config.bip or next((a for a in core.network_facts.addresses.get(config.bridge, ()) if a.version == 4), None),
            bip6=config.bip6,
            fixed_cidr=config.fixed_cidr,
            fixed_cidr_v6=config.fixed_cidr_v6,
            default_gateways=tuple(g for g in (config.default_gateway, config.default_gateway_v6) if g is not None),
            masquerade=config.ip_masq,
            bridge_name=config.bridge,
        )
        keys = [("network", i) for i in {*core.state.network.networks, *new.networks}]
        await core.commit(replace(core.state, network=new), keys)

    async def restart_policies(self) -> None:
        """Start what should run: always and unless-stopped after a daemon's or the machine's restart, auto-removed ones go."""
        for container in targets_first(self.core.state.containers):
            policy = container.host_config.restart_policy
            if container.state.status == "exited" and container.host_config.auto_remove:
                try:
                    await self.lifecycle.remove(container.id, volumes=True)
                except SanbashiError as error:
                    log.error("the removal of %s: %s", container.name, error.message)
            elif container.state.status == "exited" and starts_with_daemon(
                policy,
                stopped_by_user=container.stopped_by_user,
                exit_code=container.state.exit_code,
                restart_count=container.restart_count,
            ):
                try:
                    await self.lifecycle.start(container.id)
                except SanbashiError as error:
                    log.warning("restart policy of %s: %s", container.name, error.message)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def difference(self) -> tuple[Step, ...]:
        """What must be done so that the kernel and the keeper hold what is saved."""
        core = self.core
        facts = core.network_facts
        wish, absent = without_absent(everything(core.state.network, facts), facts.links_present | facts.links_ours)
        for sentence in absent:
            log.error("left out: %s", sentence)
        have: Picture = await core.on_host(lambda: core.kernel.observe(None, like=wish))
        return plan(have, wish)

    async def repair(self) -> None:
        """After somebody changed what is ours, we do not know what: look at everything and mend the difference, flows alive."""
        await self.drift.repair()

    def keeper_lost(self) -> None:
        """The keeper died: start the next one, which takes over what the last kept."""
        if not self.renewing:
            self.renewing = True
            self.spawn(self.renew_keeper())

    async def renew_keeper(self) -> None:
        """At once; one that dies young again and again is given more time, so that it does not take the machine with it."""
        try:
            while True:
                if time.monotonic() - self.renewed > KEEPER_SETTLED:
                    self.delay = 0.0
                log.warning("the keeper is gone; starting the next one%s", f" in {self.delay:.1f} s" if self.delay else "")
                await asyncio.sleep(self.delay)
                longer = max(0.1, 2 * self.delay)
                self.renewed = time.monotonic()
                try:
                    losses = await self.core.on_host(self.core.keeper.ensure)
                except SanbashiError as error:
                    log.error("no keeper: %s", error.message)
                    self.delay = min(KEEPER_DESPAIR, longer)
                    continue
                self.delay = min(KEEPER_PATIENCE, longer)
                for loss in losses:
                    log.error("the new keeper cannot keep %s: %s", loss.item, loss.error.message)
                self.drift.note("the keeper was gone", "started the next one")
                self.process.try_again()
                return
        finally:
            self.renewing = False

    async def shut_down(self) -> None:
        """Go down: with live restore everything goes on, else the containers are stopped as dockerd does."""
        core = self.core
        await self.drift.close()
        for task in [*self.tasks, *self.networking.leasing.tasks, *self.networking.bridge_filter.tasks, *self.lifecycle.restarts.tasks.values()]:
            task.cancel()
        self.lifecycle.health.close()
        if not core.config.live_restore:
            await self.make_keeper_answer()
            running = [c for c in core.state.containers.values() if c.state.running]
            own = [STOP_TIMEOUT if c.config.stop_timeout is None else c.config.stop_timeout for c in running]
            stops = [self.lifecycle.stopping.stop_running(c, None, "", by_user=False) for c in running]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*stops, return_exceptions=True), longest_stop(own, core.config.shutdown_timeout))
        idle = not any(c.state.running for c in core.state.containers.values())
        idle = idle and await self.make_keeper_answer()
        if idle:
            # Nothing needs what is in the kernel: the next start makes it anew from what is saved.
            await core.on_host(core.kernel.remove_everything)
            await self.end_keeper()
        await self.process.close()
        await core.on_host(core.keeper.close)
        if idle:
            for folder in (core.config.exec_root / "netns", core.config.data_root / SNAPSHOTS, core.config.data_root):
                await core.on_host(unshare_path, folder)
        # Nobody is at work any more when what all work with is closed; what was begun and not told of, the next start undoes.
        await asyncio.to_thread(core.hands.shutdown, wait=True)
        await asyncio.to_thread(core.kernel.close)
        core.store.stop()

    async def make_keeper_answer(self) -> bool:
        """End a keeper that does not answer, for nothing can be taken down without its word; the next one is asked instead, and keeps nothing.

        False where not even a kill ends it: then what it keeps stays for the next daemon, and all else goes down nevertheless.
        """
        try:
            await self.core.on_host(self.core.keeper.ensure)
        except Unavailable as error:
            log.error("%s; it is ended", error.message)
            if not await self.end_keeper(ask=False):
                return False
        self.process.try_again()
        return True

    async def end_keeper(self, *, ask: bool = True) -> bool:
        """Whether the keeper is gone now; the log says why not."""
        try:
            await self.core.on_host(partial(self.core.keeper.end, ask=ask))
        except (SanbashiError, OSError) as error:
            log.error("the keeper cannot be ended: %s", error)
            return False
        return True


def longest_stop(own: Sequence[int], shutdown_timeout: int) -> int | None:
    """Seconds for containers to stop, None where one may take for ever.

    Each has its own time, as with `stop`, and then the kill and the taking down of its network, which are not to be cut on a slow machine: the keeper
    would stay with its ports. --shutdown-timeout is for what hangs nevertheless.
    """
    return None if any(seconds < 0 for seconds in own) else max([shutdown_timeout, *(seconds + TAKING_DOWN for seconds in own)])
