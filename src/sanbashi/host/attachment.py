"""What a client that is attached to a container's or an exec's streams holds, and the buffer between.

The source (conmon, an exec's pipes) is always drained; a client that takes nothing for PATIENCE seconds while its buffer is full is cut,
so that it cannot hold up the container for longer. Until then the source waits for it, as a pipe would: a bulk transfer through a slower
client is whole.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

STDOUT, STDERR = 1, 2
BUFFER = 1 << 20  # bytes waiting for one client before its source is asked to wait
PATIENCE = 10.0  # seconds


class Source(Protocol):
    """What an attachment is attached to."""

    async def write(self, data: bytes) -> None: ...

    def close_stdin(self) -> None: ...

    def left(self, attachment: Attachment) -> None: ...

    def taken(self) -> None: ...


class Attachment:
    """One client's end: `read` gives (1 stdout or 2 stderr, bytes) and None at the end; with a terminal everything is stdout.

    `stdin` says whether this client may write. `cut` is true when the client was too slow and lost the rest.
    """

    def __init__(self, source: Source, *, stdin: bool = True) -> None:
        self._source = source
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._ended = False
        self._closed = False
        self._news = asyncio.Event()
        self._patience: asyncio.TimerHandle | None = None
        self.stdin = stdin
        self.cut = False

    async def read(self) -> tuple[int, bytes] | None:
        """The next output; None when there is no more."""
        while not self._waiting:
            if self._ended or self._closed:
                return None
            self._news.clear()
            await self._news.wait()
        stream, block = self._waiting.popleft()
        self._bytes -= len(block)
        self._calm()
        if self._bytes < BUFFER:
            self._source.taken()
        return stream, block

    async def write(self, data: bytes) -> None:
        """Give input; waits while the process does not read. Dropped where there is no standard input to give it to."""
        if self.stdin and data and not self._closed:
            await self._source.write(data)

    async def close_stdin(self) -> None:
        """The client has no more input (half-close); output goes on."""
        if self.stdin and not self._closed:
            self._source.close_stdin()

    def close(self) -> None:
        """The client is gone or done."""
        if not self._closed:
            self._closed = True
            self._waiting.clear()
            self._bytes = 0
            self._calm()
            self._news.set()
            self._source.left(self)

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    # The source's side.

    @property
    def full(self) -> bool:
        """Whether the source should wait for this client."""
        return self._bytes >= BUFFER and not self._closed

    def put(self, stream: int, block: bytes) -> None:
        """Output for the client."""
        if self._closed or self._ended:
            return
        self._waiting.append((stream, block))
        self._bytes += len(block)
        self._news.set()
        if self.full and self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(PATIENCE, self._cut)

    def _cut(self) -> None:
        self._patience = None
        self.cut = True
        self.close()

    def end(self) -> None:
        """There is no more output; what waits is still read."""
        self._ended = True
        self._news.set()
