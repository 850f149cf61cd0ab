"""A request's body, which arrives on the loop, read by a worker thread like a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import TypeVar

from ..host.room import in_room
from ..host.transfers import Stopped

T = TypeVar("T")


def apart(call: Callable[[], T]) -> asyncio.Future[T]:
    """Run blocking work that waits for a client, or for a server elsewhere, in a thread of its own; Unavailable where it finds the disk full.

    The threads that asyncio has for all are few: a handful of clients that stop in the middle would hold up everybody else who needs one.
    """
    threads = ThreadPoolExecutor(1, "apart")
    try:
        return asyncio.get_running_loop().run_in_executor(threads, in_room, call)
    finally:
        threads.shutdown(wait=False)  # when that is done


class Feed:
    """`read` in a worker thread takes from an async iterable of the loop, a piece at a time: what is not read yet is not asked for."""

    def __init__(self, stream: AsyncIterable[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self.pieces = aiter(stream)
        self.loop = loop
        self.ready = b""
        self.ended = False
        self.asked: Future[bytes | None] | None = None

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, *exc: object) -> None:
        self.ended = True
        if self.asked is not None:
            self.asked.cancel()

    def stop(self) -> None:
        """Wake a thread that waits for the next piece."""
        self.__exit__()

    async def piece(self) -> bytes | None:
        return await anext(self.pieces, None)

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes (all of them if negative); b"" at the end."""
        if size < 0:
            whole = []
            while part := self.read(1 << 20):
                whole.append(part)
            return b"".join(whole)
        while not self.ready and not self.ended:
            self.asked = asyncio.run_coroutine_threadsafe(self.piece(), self.loop)
            try:
                piece = self.asked.result()
            except CancelledError:
                raise Stopped from None
            if piece is None:
                self.ended = True
            else:
                self.ready = piece
        data, self.ready = self.ready[:size], self.ready[size:]
        return data
