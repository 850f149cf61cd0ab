"""How long a stop waits for a container that does not end at its signal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from sanbashi.containers.model import Container
from sanbashi.daemon import stopping

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
