"""What waits with a deadline ends when it is told to, at whatever moment that is: wait_for of 3.11 goes on where its answer just comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tests.kernel import load

from sanbashi.daemon.events import Events
from sanbashi.host import logs


async def cancelled(task: asyncio.Task[Any], answer: Callable[[], object], turns: int) -> bool:
    """Cancel a task that waits, so many turns of the loop after its answer has come; whether it ends for that."""
    await asyncio.sleep(0.001)
    answer()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=30)
    return bool(done) and task.cancelled()


@pytest.mark.parametrize("turns", range(4))
def test_a_stream_that_is_told_to_end_just_as_its_answer_comes(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many turns of the loop after it."""

    async def work() -> None:
        reader = asyncio.StreamReader()

        async def connected(host: str, port: int) -> tuple[asyncio.StreamReader, Any]:
            return reader, SimpleNamespace(write=lambda data: None, close=lambda: None)

        monkeypatch.setattr(load.asyncio, "open_connection", connected)
        seen: dict[str, object] = {}
        task = asyncio.create_task(load.stream("host", 80, seen))
        assert await cancelled(task, lambda: reader.feed_data(b"0\n"), turns)
        assert seen["echoed"] in (0, 1)

    asyncio.run(work())


async def forever(once: Callable[[], Awaitable[object]]) -> None:
    while True:
        await once()


def test_who_follows_a_log() -> None:
    async def work() -> None:
        changed = asyncio.Event()
        assert await cancelled(asyncio.create_task(forever(lambda: logs.wait(changed))), changed.set, 0)

    asyncio.run(work())


def test_who_listens_to_events() -> None:
    async def listen(events: Events) -> None:
        async for _ in events.subscribe(until=1 << 62):
            pass

    async def work() -> None:
        events = Events()
        assert await cancelled(asyncio.create_task(listen(events)), lambda: events.tell("container", "start", "id", {}), 0)

    asyncio.run(work())
