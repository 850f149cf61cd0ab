"""A body that is read by a thread."""

from __future__ import annotations

import asyncio
import errno
import threading

import pytest

from sanbashi.daemon.feed import apart
from sanbashi.errors import Unavailable

MANY = 100  # more than asyncio has threads, on any machine


def test_work_that_waits_for_its_clients_holds_up_nobody_else() -> None:
    async def work() -> None:
        sent = threading.Event()
        waiting = [apart(sent.wait) for _ in range(MANY)]
        try:
            assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 60) == "done"
        finally:
            sent.set()
        assert await asyncio.gather(*waiting) == [True] * MANY

    asyncio.run(work())


def test_a_full_disk_is_told_in_our_words() -> None:
    def write() -> None:
        raise OSError(errno.ENOSPC, "no room")

    async def work() -> None:
        with pytest.raises(Unavailable, match="no space left"):
            await apart(write)

    asyncio.run(work())
