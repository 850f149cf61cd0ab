"""How long a stop waits for a container that does not end at its signal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from sanbashi.containers.model import Container, RestartPolicy
from sanbashi.daemon import stopping
from sanbashi.daemon.exits import Ended
from sanbashi.errors import Failed

from .town import World, a_container, daemon


@pytest.mark.parametrize(
    ("own", "asked", "waited"),
    [(None, None, 10), (3, None, 3), (0, None, 0), (3, 5, 5), (3, 0, 0), (None, -1, None), (-1, None, None)],
    ids=["ten seconds", "its own time", "none of its own", "the request's", "none by the request", "for ever", "for ever by its own"],
)
def test_then_it_is_killed(own: int | None, asked: int | None, waited: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float | None] = []
    signals: list[int] = []

    async def in_vain(what: Awaitable[Any], timeout: float | None) -> None:
        waits.append(timeout)
        raise TimeoutError

    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            made = a_container("web", "bridge")
            await town.core.put(msgspec.structs.replace(made, config=msgspec.structs.replace(made.config, stop_timeout=own)))
            await town.lifecycle.start("web")
            end = town.processes.kill

            async def kill(container: Container, signal: int) -> None:
                signals.append(signal)
                if signal == stopping.SIGKILL:
                    await end(container, signal)

            monkeypatch.setattr(town.processes, "kill", kill)
            monkeypatch.setattr(stopping, "asyncio", SimpleNamespace(wait_for=in_vain, shield=asyncio.shield))
            await town.lifecycle.stop("web", asked)
            state = town.container("web").state
            assert (state.running, state.exit_code) == (False, 137)

    asyncio.run(work())
    assert (waits, signals) == ([waited], [15, 9])


@pytest.mark.parametrize("verb", ["stop", "kill"])
def test_one_that_ends_by_itself_at_the_same_moment_is_not_started_again(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its policy had decided, and who stops it has the last word nevertheless."""

    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            await town.core.put(a_container("web", "bridge", restart_policy=RestartPolicy(name="always")))
            await town.lifecycle.start("web")
            web = town.container("web")
            async with town.core.locked(web.id):
                town.processes.world.processes.pop(web.id)
                ended = asyncio.create_task(town.lifecycle.exited(web.id, 1, False, 1))
                await turns()
                verbs = {"stop": town.lifecycle.stop, "kill": town.lifecycle.kill}
                stopped = asyncio.create_task(verbs[verb]("web"))
                await turns()
            await asyncio.wait_for(asyncio.gather(ended, stopped), 60)
            left = town.container("web")
            assert (left.state.status, left.state.exit_code, left.stopped_by_user) == ("exited", 1, True)
            assert not town.lifecycle.restarts.tasks and not town.lifecycle.exits.stopped
            town.check()

    asyncio.run(work())


def test_who_waits_for_one_that_is_to_be_started_again_hears_that_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            await town.core.put(a_container("web", "bridge", restart_policy=RestartPolicy(name="always")))
            await town.lifecycle.start("web")
            web = town.container("web")
            town.processes.world.processes.pop(web.id)
            await town.lifecycle.exited(web.id, 3, False, 1)
            assert town.container("web").state.status == "restarting"
            waiting = town.lifecycle.wait("web")
            await town.lifecycle.stop("web")
            assert await asyncio.wait_for(waiting, 60) == Ended(3)

    asyncio.run(work())


def test_a_kill_that_nothing_follows_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def in_vain(container: Container, number: int) -> None:
        """The kernel is busy."""

    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            await town.core.put(a_container("web", "bridge"))
            await town.lifecycle.start("web")
            monkeypatch.setattr(town.processes, "kill", in_vain)
            monkeypatch.setattr(stopping, "KILL_TIMEOUT", 0)
            with pytest.raises(Failed, match="cannot kill container: web: tried to kill container, but did not receive an exit event"):
                await town.lifecycle.kill("web")

    asyncio.run(work())


async def turns() -> None:
    """Until the others wait for something."""
    for _ in range(100):
        await asyncio.sleep(0)
