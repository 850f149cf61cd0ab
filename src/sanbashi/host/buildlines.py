"""The lines of a build as they come, of its output and of its standard error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ..records import dataclass

LONGEST = 1 << 20  # bytes of one line; what is longer comes in pieces


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the output (`stream` 1) or the standard error (2), without its end."""

    stream: int
    text: str


async def merged(out: asyncio.StreamReader, err: asyncio.StreamReader) -> AsyncIterator[Line]:
    """The lines of both streams as they come; what stderr has goes first, for the next step's line stands in the other."""
    queue: asyncio.Queue[Line | None] = asyncio.Queue(256)

    async def read(reader: asyncio.StreamReader, stream: int) -> None:
        try:
            while data := await piece(reader):
                await queue.put(Line(stream, data.decode(errors="replace").removesuffix("\n").removesuffix("\r")))
        finally:
            await queue.put(None)

    tasks = [asyncio.create_task(read(reader, stream)) for stream, reader in ((2, err), (1, out))]
    open_ = len(tasks)
    try:
        while open_:
            line = await queue.get()
            if line is None:
                open_ -= 1
            else:
                yield line
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def piece(reader: asyncio.StreamReader) -> bytes:
    """The next line, or as much of a long one as there is room for; b"" at the end."""
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return error.partial
    except asyncio.LimitOverrunError as error:
        return await reader.readexactly(error.consumed)
