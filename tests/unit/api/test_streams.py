"""Streams of what happens, whose clients may be gone before the first of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sanbashi.api.streams import begun


def test_a_source_whose_client_goes_at_once_is_let_go_of() -> None:
    told: list[str] = []

    async def source() -> AsyncIterator[int]:
        told.append("begun")
        try:
            await asyncio.get_running_loop().create_future()
            yield 1
        finally:
            told.append("ended")

    async def work() -> None:
        asking = asyncio.create_task(begun(source()))
        while not told:
            await asyncio.sleep(0)
            asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        for _ in range(10):
            await asyncio.sleep(0)
        assert asking.cancelled() and told == ["begun", "ended"]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(work())
