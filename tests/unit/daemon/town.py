"""A daemon on fakes: the kernel is a picture, processes are a table and the store is a file; all three outlive the daemon, as the real ones do."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Network, ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from tests.fakes import Crash, FakeKernel

from sanbashi.containers.model import Config, Container, HostConfig, HostPort
from sanbashi.daemon import freezing, leasing, lifecycle, loop, removing, sandboxes, starting
from sanbashi.daemon.config import DaemonConfig
from sanbashi.daemon.core import Core
from sanbashi.daemon.health import HealthChecks
from sanbashi.daemon.lifecycle import Lifecycle
from sanbashi.daemon.networking import Networking
from sanbashi.daemon.reconcile import Reconcile
from sanbashi.daemon.rewiring import Rewiring
from sanbashi.daemon.saved import Change, Key, Store
from sanbashi.daemon.state import State
from sanbashi.errors import Failed, SanbashiError, StepFailed, Unavailable
from sanbashi.network.indexes import reindex
from sanbashi.network.model import EndpointWish, NetworkFacts, NetworkRequest
from sanbashi.network.picture import Item, Picture
from sanbashi.network.plan import Step, plan
from sanbashi.network.wanted import everything

FACTS = NetworkFacts(
    pools=((ip_network("172.17.0.0/16"), 16), (ip_network("172.18.0.0/15"), 16), (ip_network("172.20.0.0/14"), 16)),
    ephemeral=(50000, 50100),
    ula=IPv6Network("fd9c:f72:1cca::/48"),
)
CREATED = "2026-11-23T17:45:20.520830267Z"


def number(name: str) -> str:
    """64 hex digits that stand for a name."""
    return hashlib.sha256(name.encode()).hexdigest()


class Ground(FakeKernel):
    """The fake kernel as the daemon sees it: one call at a time, from any thread; a step that was asked to fail does so once."""

    def __init__(self, items: Mapping[tuple[object, ...], Item] | None = None) -> None:
        super().__init__(items=dict(items or {}))
        self.turn = threading.Lock()
        self.dead = False  # the daemon: none of its parts does anything any more
        self.unforeseen: Exception | None = None

    def namespace(self, sandbox: str) -> Path:
        return Path("/netns") / sandbox[:12]

    def apply(self, steps: Sequence[Step]) -> tuple[Item, ...]:
        with self.turn:
            if self.dead:
                raise Crash
            try:
                return super().apply(steps)
            except StepFailed as error:
                self.fail_at = None
                raise self.unforeseen or error from None
            except Crash:
                self.dead = True
                raise

    def observe(self, scope: Picture | None = None, *, like: Picture | None = None) -> Picture:
        with self.turn:
            return super().observe(scope, like=like)


@dataclass
class World:
    """What outlives a daemon, and the boundaries that its daemons passed; at the one numbered `trouble` something goes wrong, once."""

    folder: Path
    kernel: Ground = field(default_factory=Ground)
    processes: dict[str, str] = field(default_factory=dict)  # container id -> created, running
    exit_codes: dict[str, int] = field(default_factory=dict)
    passed: list[tuple[str, bool]] = field(default_factory=list)  # name, and whether it may go wrong short of a crash
    trouble: int | None = None
    crash: bool = False
    full: int | None = None  # the number of the boundary from which on no commit succeeds
    unforeseen: Exception | None = None  # what is raised in place of a failure that we understand

    def boundary(self, name: str, failure: SanbashiError | None = None) -> None:
        """Something is about to happen, or did; `failure` is how it may go wrong short of a crash."""
        if self.kernel.dead:
            raise Crash
        self.passed.append((name, failure is not None))
        if self.full is not None and self.full < len(self.passed) and isinstance(failure, Unavailable):
            raise failure
        if self.trouble == len(self.passed) - 1 and (self.crash or failure is not None):
            self.trouble = None
            self.kernel.dead = self.crash
            raise Crash if self.crash else self.unforeseen or cast(SanbashiError, failure)

    def crash_point(self, name: str) -> None:
        """In place of host.crash."""
        self.boundary(name)

    def copy(self, folder: Path) -> World:
        """Another world that is as this one; no daemon may run in this."""
        shutil.copytree(self.folder, folder)
        return World(folder, Ground(self.kernel.items), dict(self.processes))


class Ledger(Store):
    """The real store; each commit is a boundary, before and after."""

    world: World

    def connect(self) -> sqlite3.Connection:
        database = super().connect()
        database.execute("PRAGMA synchronous=OFF")  # the machine does not crash here, and waiting for the disk is all that a commit costs
        return database

    async def commit(self, changes: Sequence[Change], expected: Mapping[Key, int] | None = None, *, urgent: bool = False) -> int:
        await asyncio.sleep(0)  # others go on while the real one waits for its thread
        self.world.boundary("commit", Unavailable("the disk is full"))
        revision = await super().commit(changes, expected, urgent=urgent)
        self.world.boundary("committed")
        return revision


@dataclass
class Processes:
    """daemon.process without processes."""

    world: World
    core: Core
    runs: dict[str, int] = field(default_factory=dict)
    on_exit: Any = None

    def hasten(self) -> None:
        pass

    def hastened(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    async def create(
        self, container: Container, namespace: str, place: Callable[[], None], pinned: Awaitable[None], begun: asyncio.Event
    ) -> tuple[int, int]:
        place()
        await pinned
        begun.set()
        self.world.boundary("create", Failed("the runtime cannot create"))
        assert not namespace or ("namespace", container.sandbox_id) in self.world.kernel.items
        self.world.processes[container.id] = "created"
        self.runs[container.id] = self.runs.get(container.id, 0) + 1
        return 4242, 4241

    async def start(self, container: Container) -> None:
        self.world.boundary("start", Failed("the runtime cannot start"))
        assert self.world.processes[container.id] == "created"
        self.world.processes[container.id] = "running"

    async def destroy(self, container: Container) -> None:
        self.world.boundary("destroy")
        self.world.processes.pop(container.id, None)

    async def bury(self, container: Container, begun: asyncio.Event) -> None:
        begun.set()
        await self.destroy(container)

    async def kill(self, container: Container, signal: int) -> None:
        if self.world.processes.pop(container.id, None):
            self.world.exit_codes[container.id] = 128 + signal
            await self.on_exit(container.id, 128 + signal, False, self.runs.get(container.id, 0))

    async def find(self, container: Container) -> int | str:
        return "running" if self.world.processes.get(container.id) == "running" else self.world.exit_codes.get(container.id, 255)

    async def remove_strays(self, alive: set[str]) -> None:
        for id_ in set(self.world.processes) - alive:
            del self.world.processes[id_]

    def release(self, container_id: str) -> None:
        """Nobody is attached."""

    def try_again(self) -> None:
        """No exit waits."""

    async def close(self) -> None:
        """Nothing listens."""


class Nothing:
    """Whatever is asked of it is done; the snapshots, the keeper and the execs of a test that has none."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: ()


@dataclass
class Daemon:
    """The parts of a daemon that a test asks for."""

    world: World
    core: Core
    networking: Networking
    lifecycle: Lifecycle
    reconcile: Reconcile
    processes: Processes
    rewiring: Rewiring

    @property
    def state(self) -> State:
        return self.core.state

    def container(self, name: str) -> Container:
        return self.core.find_container(name)

    def check(self) -> None:
        """The kernel, the processes, the indexes and the store all say what the state says."""
        state = self.state
        want = everything(state.network, self.core.network_facts)
        missing, extra = want - self.world.kernel.picture, self.world.kernel.picture - want
        assert not missing and not extra, f"missing {sorted(map(str, missing))}, left {sorted(map(str, extra))}"
        assert plan(self.world.kernel.picture, want) == ()
        running = [c for c in state.containers.values() if c.state.running]
        assert self.world.processes == {c.id: "running" for c in running}
        assert {c.sandbox_id for c in state.containers.values() if c.sandbox_id} == set(state.network.sandboxes)
        assert all(c.sandbox_id in state.network.sandboxes for c in running)
        assert state.network == reindex(state.network)
        saved = Ledger(self.core.store.path).load()
        assert replace(saved, network=reindex(saved.network)) == state


def daemon_in(world: World, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """A daemon that has loaded the world's saved state and done nothing yet."""
    for module in (freezing, leasing, lifecycle, loop, removing, sandboxes, starting):
        monkeypatch.setattr(module, "crash_point", world.crash_point)
    world.folder.mkdir(exist_ok=True)
    store = Ledger(world.folder / "state.db")
    store.world = world
    core = Core(
        config=DaemonConfig(data_root=world.folder, exec_root=world.folder / "run"),
        facts=cast(Any, SimpleNamespace()),
        network_facts=FACTS,
        store=store,
        kernel=cast(Any, world.kernel),
        keeper=cast(Any, Nothing()),
        snapshots=cast(Any, Nothing()),
        state=store.load(),
        boot_id="this boot",
    )
    store.start()
    processes = Processes(world, core)
    network = Networking(core)
    life = Lifecycle(core, network, cast(Any, processes), HealthChecks(core, cast(Any, Nothing())), cast(Any, Nothing()))
    processes.on_exit = life.exited
    return Daemon(world, core, network, life, Reconcile(core, network, life, cast(Any, processes)), processes, Rewiring(core, network))


@asynccontextmanager
async def daemon(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Daemon]:
    """A daemon that was started; at the end it is gone without having done anything more, be it by a crash."""
    world.kernel.dead = False
    strangers = asyncio.all_tasks()
    made = daemon_in(world, monkeypatch)
    try:
        await made.reconcile.start_up()
        yield made
    finally:
        others = asyncio.all_tasks() - strangers
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        made.core.store.stop()
        made.core.hands.shutdown(wait=True)


def a_container(name: str, *networks: str | EndpointWish, ports: Mapping[str, str] | None = None, **host: Any) -> Container:
    """A container as create leaves it; `ports` as {"80/tcp": "8080"}."""
    wishes = [EndpointWish(network=n) if isinstance(n, str) else n for n in networks]
    return Container(
        id=number(name),
        name=name,
        created=CREATED,
        config=Config(hostname=number(name)[:12], image="busybox"),
        host_config=HostConfig(
            network_mode=networks[0] if networks and isinstance(networks[0], str) else "bridge",
            port_bindings={port: (HostPort(host_port=p),) for port, p in (ports or {}).items()},
            **host,
        ),
        image_id="sha256:" + number("busybox"),
        path="sh",
        networks=tuple((w.network, w) for w in wishes),
    )


async def settle_town(town: Daemon) -> None:
    """Two networks; db and runner run, the one on bridge, the other on both bridge and app; web is only created."""
    await town.networking.create(NetworkRequest(name="app", enable_ipv6=True))
    await town.networking.create(NetworkRequest(name="spare", enable_ipv6=True, options={"com.docker.network.bridge.enable_icc": "false"}))
    for container in (
        a_container("db", "bridge", ports={"5432/tcp": "5432", "53/udp": ""}),
        a_container("runner", "app", "bridge", ports={"80/tcp": "8000"}),
        a_container("web", "app", ports={"80/tcp": "8080", "53/udp": "", "81/tcp": "9000-9010"}, links=("runner:it",)),
    ):
        await town.core.put(container)
    await town.lifecycle.start("runner")
    await town.lifecycle.start("db")


def without_failure(container: Container) -> Container:
    """A container but for what a failed start writes into it."""
    return msgspec.structs.replace(container, state=msgspec.structs.replace(container.state, error="", exit_code=0))


__all__ = ["FACTS", "Crash", "Daemon", "Picture", "World", "a_container", "daemon", "daemon_in", "number", "settle_town", "without_failure"]
