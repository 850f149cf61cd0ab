"""Logs that are rotated while their containers come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from sanbashi.containers.model import Container, HostConfig, LogConfig
from sanbashi.daemon import rotation
from sanbashi.daemon.rotation import Rotation

from .town import a_container

Work = Callable[..., bool]


def a_logged(name: str) -> Container:
    config = LogConfig(type="json-file", config={"max-size": "1k", "max-file": "3", "compress": "true"})
    return msgspec.structs.replace(a_container(name, "bridge"), host_config=HostConfig(log_config=config))


async def rotated(tmp_path: Path, meanwhile: Callable[[Rotation, Container, Path], Any], until: Callable[[list[str]], bool]) -> list[str]:
    """The names of the logs that were rotated, in order; `meanwhile` happens while the first one is for the first time."""
    looked: list[str] = []
    one, two = a_logged("one"), a_logged("two")
    enough = asyncio.Event()

    async def on_host(work: Work, path: Path, *args: Any) -> bool:
        if work is rotation.pack:
            return True
        if enough.is_set():
            return True
        looked.append(path.name)
        if looked == ["one"]:
            await meanwhile(logs, one, path)
        if until(looked):
            enough.set()
        return True

    logs = Rotation(cast(Any, SimpleNamespace(on_host=on_host)))
    for container in (one, two):
        logs.begin(container, tmp_path / container.name, tmp_path / "ctl")
    task = logs.task
    assert task is not None
    waiting = asyncio.ensure_future(enough.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    assert not task.done(), task.exception()
    logs.close()
    return looked


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "EVERY", 0)


def test_one_that_ends_while_its_log_is_rotated_stops_nothing(tmp_path: Path) -> None:
    async def end(logs: Rotation, container: Container, _: Path) -> None:
        await logs.end(container.id)

    looked = asyncio.run(rotated(tmp_path, end, lambda looked: looked.count("two") == 3))
    assert looked == ["one", "two", "two", "two"]


def test_one_that_ends_before_its_turn_has_none(tmp_path: Path) -> None:
    async def end_two(logs: Rotation, _: Container, __: Path) -> None:
        await logs.end(a_logged("two").id)

    looked = asyncio.run(rotated(tmp_path, end_two, lambda looked: len(looked) == 3))
    assert looked == ["one", "one", "one"]


def test_one_that_runs_again_meanwhile_is_watched_anew(tmp_path: Path) -> None:
    async def again(logs: Rotation, container: Container, path: Path) -> None:
        await logs.end(container.id)
        logs.begin(container, path, path.with_name("ctl"))

    looked = asyncio.run(rotated(tmp_path, again, lambda looked: looked.count("two") == 2 and looked[-1] == "one"))
    assert set(looked) == {"one", "two"}
