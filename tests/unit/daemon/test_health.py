"""Health checks joined to the engine: probes run one after the other, their outcome is saved and told, and they end with the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from sanbashi.containers.health import LONGEST, SECOND
from sanbashi.containers.model import ExecConfig, Health, HealthConfig
from sanbashi.errors import Failed

from .town import Daemon, World, a_container, daemon

CHECK = HealthConfig(test=("CMD", "probe"), interval=7 * SECOND, retries=2)


class Saying:
    """The output of a probe; `endless` never ends by itself."""

    def __init__(self, *pieces: bytes, endless: bool = False) -> None:
        self.pieces, self.endless = list(pieces), endless

    async def read(self) -> tuple[int, bytes] | None:
        if self.pieces:
            return 1, self.pieces.pop(0)
        if self.endless:
            await asyncio.Event().wait()
        return None


@dataclass
class Probes:
    """Execs whose outcomes a test gives, and the clock that the watch sleeps by: each probe comes when the test asks for it."""

    asked: list[ExecConfig] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)
    outcome: tuple[int, Any] = (0, Saying())
    failure: Failed | None = None
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    resting: asyncio.Event = field(default_factory=asyncio.Event)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.resting.set()
        await self.turn.acquire()

    async def next(self, code: int = 0, *pieces: bytes, **how: Any) -> None:
        """Let the next probe run to its end and be noted."""
        await self.resting.wait()
        self.resting.clear()
        self.outcome = code, Saying(*pieces, **how)
        self.turn.release()
        await self.resting.wait()

    async def create(self, ref: str, config: ExecConfig) -> str:
        self.asked.append(config)
        return f"exec {len(self.asked)}"

    async def start(self, exec_id: str) -> Any:
        if self.failure is not None:
            raise self.failure
        return self.outcome[1]

    async def wait(self, exec_id: str) -> int:
        return self.outcome[0]

    def abandon(self, exec_id: str) -> None:
        self.abandoned.append(exec_id)


@asynccontextmanager
async def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: HealthConfig | None = CHECK) -> AsyncIterator[tuple[Daemon, Probes]]:
    """A daemon with one container, web, that runs and has a check."""
    async with daemon(World(tmp_path / "data"), monkeypatch) as town:
        probes = Probes()
        town.lifecycle.health.execs, town.lifecycle.health.sleep = cast(Any, probes), probes.sleep
        web = a_container("web", "bridge")
        await town.core.put(msgspec.structs.replace(web, config=msgspec.structs.replace(web.config, healthcheck=check)))
        await town.lifecycle.start("web")
        try:
            yield town, probes
        finally:
            town.lifecycle.health.close()


def health(town: Daemon) -> Health:
    found = town.container("web").state.health
    assert found is not None
    return found


def told(town: Daemon) -> list[str]:
    return [e.action for e in town.core.events.kept if e.action.startswith("health_status")]


def test_from_starting_to_healthy_to_unhealthy_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with watched(tmp_path, monkeypatch) as (town, probes):
            assert health(town) == Health(status="starting")
            seen = []
            for code in (1, 0, 1, 1, 1, 0):
                await probes.next(code, b"out ", b"put")
                seen.append((health(town).status, health(town).failing_streak))
            assert seen == [("starting", 1), ("healthy", 0), ("healthy", 1), ("unhealthy", 2), ("unhealthy", 3), ("healthy", 0)]
            assert told(town) == ["health_status: healthy", "health_status: unhealthy", "health_status: healthy"]
            assert len(health(town).log) == 5 and health(town).log[-1].output == "out put"
            assert probes.slept == [7.0] * 7 and probes.asked[0] == ExecConfig(cmd=("probe",), attach_stdout=True, attach_stderr=True)
            assert probes.abandoned == [f"exec {n}" for n in range(1, 7)]
            town.check()

    asyncio.run(asyncio.wait_for(work(), 120))


def test_dockers_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with watched(tmp_path, monkeypatch, HealthConfig(test=("CMD-SHELL", "a | b"))) as (town, probes):
            for _ in range(3):
                await probes.next(1)
            assert health(town).status == "unhealthy" and probes.slept == [30.0] * 4
            assert probes.asked[0].cmd == ("/bin/sh", "-c", "a | b")

    asyncio.run(asyncio.wait_for(work(), 120))


def test_the_start_period_probes_more_often_and_counts_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        check = HealthConfig(test=("CMD", "probe"), start_period=3600 * SECOND, retries=1)
        async with watched(tmp_path, monkeypatch, check) as (town, probes):
            await probes.next(1)
            await probes.next(1)
            assert (health(town).status, health(town).failing_streak, len(health(town).log)) == ("starting", 0, 2)
            await probes.next(0)
            assert health(town).status == "healthy" and probes.slept == [5.0, 5.0, 5.0, 30.0]

    asyncio.run(asyncio.wait_for(work(), 120))


def test_a_probe_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        check = HealthConfig(test=("CMD", "probe"), timeout=SECOND // 1000)
        async with watched(tmp_path, monkeypatch, check) as (town, probes):
            await probes.next(0, b"so far", endless=True)
            (entry,) = health(town).log
            assert (entry.exit_code, entry.output) == (-1, "Health check exceeded timeout (0.001s): so far")
            assert probes.abandoned == ["exec 1"]

    asyncio.run(asyncio.wait_for(work(), 120))


def test_what_cannot_be_run_and_what_says_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with watched(tmp_path, monkeypatch) as (town, probes):
            probes.failure = Failed("no such program")
            await probes.next()
            probes.failure = None
            await probes.next(0, b"x" * 3000, b"\xff" + b"y" * 3000)
            first, second = health(town).log
            assert (first.exit_code, first.output) == (-1, "no such program")
            assert second.output == "x" * 3000 + "\ufffd" + "y" * (LONGEST - 3001) + "..."

    asyncio.run(asyncio.wait_for(work(), 120))


def test_it_ends_with_the_run_and_begins_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with watched(tmp_path, monkeypatch) as (town, probes):
            await probes.next(0)
            watch = town.lifecycle.health.watches[town.container("web").id]
            await town.lifecycle.stop("web", 1)
            with pytest.raises(asyncio.CancelledError):
                await watch
            assert not town.lifecycle.health.watches
            assert health(town).status == "unhealthy", "as in Docker, where nobody watches"
            await town.lifecycle.start("web")
            assert (health(town).status, len(health(town).log)) == ("starting", 1)
            await probes.next(0)
            assert health(town).status == "healthy"
            town.check()

    asyncio.run(asyncio.wait_for(work(), 120))


def test_a_probe_under_way_when_the_container_stops_is_ended_and_not_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with watched(tmp_path, monkeypatch) as (town, probes):
            probes.outcome = 0, Saying(endless=True)
            probes.turn.release()
            while not probes.asked:
                await asyncio.sleep(0)
            watch = town.lifecycle.health.watches[town.container("web").id]
            await town.lifecycle.stop("web", 1)
            with pytest.raises(asyncio.CancelledError):
                await watch
            assert probes.abandoned == ["exec 1"] and not health(town).log

    asyncio.run(asyncio.wait_for(work(), 120))


def test_a_new_daemon_goes_on_watching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with watched(tmp_path, monkeypatch) as (town, probes):
            await probes.next(0)
            world = town.world
        async with daemon(world, monkeypatch) as town:
            assert health(town).status == "healthy"
            assert set(town.lifecycle.health.watches) == {town.container("web").id}
            town.lifecycle.health.close()

    asyncio.run(asyncio.wait_for(work(), 120))


@pytest.mark.parametrize("check", [None, HealthConfig(test=("NONE",)), HealthConfig()])
def test_no_check_no_health(check: HealthConfig | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with watched(tmp_path, monkeypatch, check) as (town, _):
            assert town.container("web").state.health is None and not town.lifecycle.health.watches
            await town.lifecycle.stop("web", 1)
            assert town.container("web").state.health is None

    asyncio.run(asyncio.wait_for(work(), 120))


def test_an_outcome_that_cannot_be_saved_ends_no_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with watched(tmp_path, monkeypatch) as (town, probes):
            await probes.resting.wait()
            town.world.full = len(town.world.passed)
            await probes.next(0)
            assert health(town).status == "starting"
            town.world.full = None
            await probes.next(0)
            assert health(town).status == "healthy"

    asyncio.run(asyncio.wait_for(work(), 120))
