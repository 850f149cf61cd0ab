"""The buffer between a source of output and a client."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sanbashi.host import attachment as module
from sanbashi.host.attachment import BUFFER, Attachment
from sanbashi.host.mounts import unescape


class Source:
    """Remembers what it is asked."""

    def __init__(self) -> None:
        self.written = b""
        self.asked: list[str] = []

    async def write(self, data: bytes) -> None:
        self.written += data

    def close_stdin(self) -> None:
        self.asked.append("close stdin")

    def left(self, attachment: Attachment) -> None:
        self.asked.append("left")

    def taken(self) -> None:
        self.asked.append("taken")


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_output_in_order_and_an_end_after_it() -> None:
    async def work() -> None:
        client = Attachment(Source())
        client.put(1, b"a")
        client.put(2, b"b")
        client.end()
        client.put(1, b"too late")
        assert [await client.read() for _ in range(3)] == [(1, b"a"), (2, b"b"), None]

    run(work())


def test_a_client_without_stdin_gives_none() -> None:
    async def work() -> None:
        source = Source()
        client = Attachment(source, stdin=False)
        await client.write(b"x")
        await client.close_stdin()
        assert (source.written, source.asked) == (b"", [])

    run(work())


def test_a_full_client_holds_its_source_until_it_takes_something() -> None:
    async def work() -> None:
        source = Source()
        client = Attachment(source)
        client.put(1, b"x" * BUFFER)
        assert client.full
        await client.read()
        assert not client.full and source.asked == ["taken"] and not client.cut

    run(work())


def test_a_client_that_takes_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)

    async def work() -> None:
        source = Source()
        client = Attachment(source)
        client.put(1, b"x" * BUFFER)
        while not client.cut:
            await asyncio.sleep(0)
        assert source.asked == ["left"]
        assert await client.read() is None

    run(work())


def test_closing_twice_leaves_once() -> None:
    async def work() -> None:
        source = Source()
        client = Attachment(source)
        client.close()
        client.close()
        assert source.asked == ["left"]

    run(work())


def test_paths_in_mountinfo() -> None:
    assert unescape("/a\\040b\\134c") == "/a b\\c"
    assert unescape("/plain") == "/plain"
