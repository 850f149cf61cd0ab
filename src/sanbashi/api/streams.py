"""The streams of containers on the wire: frames, the two directions of an attachment, progress as JSON lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from ..containers.detach import DetachScanner
from ..errors import SanbashiError
from .messages import MULTIPLEXED_STREAM, RAW_STREAM, Stream, Version

STDOUT, STDERR = 1, 2
T = TypeVar("T")
PROGRESS_WAITING = 1000  # messages that may wait for a slow client before those that only move a bar are left out


class Attachment(Protocol):
    """A connection to a process's streams: 1 is stdout, 2 stderr; with a terminal everything is 1."""

    async def read(self) -> tuple[int, bytes] | None: ...

    async def write(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    def close(self) -> None: ...


def frame(stream: int, data: bytes) -> bytes:
    """Docker's frame: the stream, three zeros, the length in four bytes, the data."""
    return bytes((stream, 0, 0, 0)) + len(data).to_bytes(4) + data


def stream_type(version: Version, terminal: bool) -> str:
    """The content type of a stream: clients since 1.42 are told whether it is framed."""
    return RAW_STREAM if terminal or version < (1, 42) else MULTIPLEXED_STREAM


async def talk(
    client: Stream, attachment: Attachment, *, framed: bool, stdin: bool, close_stdin: bool, streams: frozenset[int], scanner: DetachScanner | None
) -> Literal["ended", "left", "detached"]:
    """Copy both ways until the process's output ends, the client leaves or the detach keys are typed.

    The end of the client's input is handed on where `close_stdin`; otherwise it ends the attachment, as in Docker.
    """
    output = asyncio.create_task(copy_out(client, attachment, framed, streams))
    entry = asyncio.create_task(copy_in(client, attachment, stdin, close_stdin, scanner))
    try:
        await asyncio.wait((output, entry), return_when=asyncio.FIRST_COMPLETED)
        for task in (output, entry):
            if task.done():
                task.result()
        if output.done():
            return "ended"
        return "detached" if entry.result() else "left"
    finally:
        attachment.close()
        for task in (output, entry):
            task.cancel()
        await asyncio.gather(output, entry, return_exceptions=True)


async def copy_out(client: Stream, attachment: Attachment, framed: bool, streams: frozenset[int]) -> None:
    """The process's output to the client, to its end."""
    while (piece := await attachment.read()) is not None:
        stream, data = piece
        if stream in streams:
            await client.write(frame(stream, data) if framed else data)


async def copy_in(client: Stream, attachment: Attachment, stdin: bool, close_stdin: bool, scanner: DetachScanner | None) -> bool:
    """The client's input to the process. Returns when the attachment is over from this side: true where the detach keys were typed."""
    while data := await client.read():
        if stdin:
            through, detached = scanner.feed(data) if scanner else (data, False)
            if through:
                await attachment.write(through)
            if detached:
                return True
    if stdin and close_stdin:
        await attachment.close_stdin()
    elif stdin:
        return False
    await client.gone()
    return False


async def begun(source: AsyncIterator[T]) -> AsyncIterator[T]:
    """The same values from a source that has taken its first step: what it refuses at once is raised here, what it listens to it hears from now."""
    first: asyncio.Future[T] = asyncio.ensure_future(anext(source))
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:  # the client has gone already
        await end(first, source)
        raise
    if first.done() and (error := first.exception()) is not None and not isinstance(error, StopAsyncIteration):
        raise error
    return rest_of(first, source)


async def rest_of(first: asyncio.Future[T], source: AsyncIterator[T]) -> AsyncIterator[T]:
    try:
        try:
            yield await first
        except StopAsyncIteration:
            return
        async for value in source:
            yield value
    finally:
        await end(first, source)


async def end(first: asyncio.Future[T], source: AsyncIterator[T]) -> None:
    """Let go of a source whose first step was asked for."""
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()


async def log_bits(
    lines: AsyncIterator[tuple[str, int, bytes]], *, terminal: bool, timestamps: bool, details: str | None = None
) -> AsyncIterator[bytes]:
    """Log lines as they go over the wire; `details` stand between the time and the line."""
    async for moment, stream, data in lines:
        if details is not None:
            data = f"{details} ".encode() + data
        text = f"{moment} ".encode() + data if timestamps else data
        yield text if terminal else frame(stream, text)


def progress_line(message: Mapping[str, Any]) -> bytes:
    """One message of a progress stream."""
    return msgspec.json.encode(message) + b"\r\n"


async def progress_bits(work: Callable[[Callable[[dict[str, Any]], None]], Awaitable[object]], *, refuse: bool = True) -> AsyncIterator[bytes]:
    """What `work` tells of its progress, as JSON lines. A failure before the first line is raised where `refuse`, one after it is a line."""
    queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def tell(message: dict[str, Any]) -> None:
        # What only moves a bar is left out for a client that is far behind.
        if queue.qsize() < PROGRESS_WAITING or not message.get("progressDetail"):
            queue.put_nowait(message)

    async def run() -> None:
        try:
            await work(tell)
        finally:
            queue.put_nowait(None)

    task = asyncio.create_task(run())
    told = False
    try:
        while (message := await queue.get()) is not None:
            told = True
            yield progress_line(message)
        try:
            await task
        except SanbashiError as error:
            if refuse and not told:
                raise
            yield progress_line({"errorDetail": {"message": error.message}, "error": error.message, **({"hint": error.hint} if error.hint else {})})
    finally:
        # Awaited where it is done, too: asyncio would log a failure that nobody looked at.
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
