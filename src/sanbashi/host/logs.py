"""A container's log, as conmon keeps it (k8s-file), read as Docker's clients expect it.

A line of the file is `2016-10-06T00:17:09.669794202+00:00 stdout F text`; P instead of F is a piece of a line without its end. As Docker's own
log drivers do, pieces are put together to lines of at most 16 KiB, and a line is there when it is whole.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from ..errors import StepFailed
from .inotify import IN_CLOSE_WRITE, IN_CREATE, IN_MODIFY, IN_MOVED_TO, Watch
from .logparts import BLOCK, Part, parts

Line = tuple[str, int, bytes]  # RFC 3339 in UTC with nine digits, 1 stdout or 2 stderr, the text with its newline if it had one
PIECE = 16 << 10
MARGIN = 8  # lines more than asked for: the two streams' pieces may lie between each other
AGAIN = 0.25  # seconds after which a follower looks whether the container still runs: one that ends without a word changes no log
STREAMS = {b"stdout": 1, b"stderr": 2}


class Joiner:
    """Puts the pieces of lines together, each stream's apart."""

    def __init__(self) -> None:
        self._pieces: dict[int, tuple[str, bytearray]] = {}

    def add(self, line: bytes) -> Iterator[Line]:
        """One line of the file in, the lines that are whole by it out; a damaged one (the machine died) counts as none."""
        parts = line.split(b" ", 3)
        if len(parts) != 4 or parts[1] not in STREAMS or parts[2] not in (b"F", b"P"):
            return
        stream = STREAMS[parts[1]]
        when, text = self._pieces.pop(stream) if stream in self._pieces else (normal_time(parts[0].decode()), bytearray())
        text += parts[3]
        if parts[2] == b"F":
            text += b"\n"
            yield when, stream, bytes(text)
        elif len(text) >= PIECE:
            yield when, stream, bytes(text)
        else:
            self._pieces[stream] = (when, text)

    def lines(self, block: Iterable[bytes], since: str = "", until: str = "") -> Iterator[Line]:
        """Lines of the file in, the whole lines of a time out; "" for no bound."""
        for raw in block:
            for line in self.add(raw):
                if line[0] >= since and not (until and line[0] > until):
                    yield line

    def rest(self, since: str = "", until: str = "") -> Iterator[Line]:
        """What has no end and will get none."""
        for stream, (when, text) in sorted(self._pieces.items(), key=lambda item: item[1][0]):
            if when >= since and not (until and when > until):
                yield when, stream, bytes(text)
        self._pieces.clear()


def normal_time(text: str) -> str:
    """A time as conmon writes it -> UTC with nine digits and Z."""
    for zone in ("+00:00", "Z"):
        if text.endswith(zone):
            whole, _, part = text.removesuffix(zone).partition(".")
            return f"{whole}.{part:0<9}Z"
    seconds, _, rest = text.partition(".")
    digits = rest[: len(rest) - 6]
    moment = datetime.fromisoformat(seconds + rest[-6:]).astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{digits:0<9}Z"


async def read_log(
    path: Path,
    *,
    since: str = "",
    until: str = "",
    tail: int | None = None,
    follow: bool = False,
    running: Callable[[], bool] = lambda: False,
) -> AsyncIterator[Line]:
    """The log's lines in order. `since` and `until` are times in UTC as the lines have them, "" for none; `tail` the last so many of what is there.

    `follow` goes on while `running` says that the container does, and ends when it has said its last or at `until`.
    """
    since, until = since and normal_time(since), until and normal_time(until)
    if follow:
        path.parent.mkdir(parents=True, exist_ok=True)
    changed = asyncio.Event()
    watch = watching(path.parent, changed) if follow else None
    joiner = Joiner()
    reader = Reader(path, tail=tail)
    try:
        finished = not (follow and running())
        kept: deque[Line] = deque(maxlen=None if tail is None else min(tail, 1 << 31))
        for block in reader.blocks():
            for line in joiner.lines(block, since, until):
                if tail is None:
                    yield line
                else:
                    kept.append(line)
            await asyncio.sleep(0)  # a log may be of any length, and none of it be wanted: others have their turn
        if finished:
            kept.extend(joiner.rest(since, until))
        for line in kept:
            yield line
        while follow:
            alive, found = running(), False
            for block in reader.blocks():
                found = True
                for line in joiner.lines(block, since):
                    if until and line[0] > until:
                        return
                    yield line
                await asyncio.sleep(0)
            if not found:
                if not alive:
                    break
                await wait(changed)
            changed.clear()
        for line in joiner.rest(since, until):
            yield line
    finally:
        reader.close()
        if watch is not None:
            watch.close()


def watching(directory: Path, changed: asyncio.Event) -> Watch | None:
    """What tells of changes there; None where the host has no more watches for us (128, mostly): then the follower looks by itself."""
    try:
        return Watch(directory, lambda name: changed.set(), mask=IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO)
    except StepFailed:
        return None


async def wait(changed: asyncio.Event) -> None:
    """Until the log changed, or it is time to look whether the container runs."""
    try:
        # Not wait_for: one of 3.11 goes on when it is cancelled in the moment in which the log changes.
        async with asyncio.timeout(AGAIN):
            await changed.wait()
    except TimeoutError:
        return


class Reader:
    """The lines of a log that grows, each once, from its oldest file on; it may come later, be put aside, or start anew at conmon's size limit.

    With `tail` it begins so late that about as many lines are read, never fewer.
    """

    def __init__(self, path: Path, *, tail: int | None = None) -> None:
        self._path = path
        self._ahead: list[Part] = []  # the one that is read first, then what is newer
        self._rest = b""
        self._tail = tail

    def lines(self) -> Iterator[bytes]:
        """Every whole line that was written since the last call."""
        for block in self.blocks():
            yield from block

    def blocks(self) -> Iterator[list[bytes]]:
        """The same, as many at a time as are read at a time."""
        while self._opened():
            block = self._ahead[0].read()
            if not block and len(self._ahead) == 1:
                if self._moved():
                    block = self._ahead[0].read()  # what came after our last look and before the move
                elif not self._cut():
                    return
            if not block and (len(self._ahead) > 1 or self._moved()):
                self._next()
                continue
            *whole, self._rest = (self._rest + block).split(b"\n")
            yield whole

    def _opened(self) -> bool:
        if not self._ahead:
            self._ahead = parts(self._path)
            if self._tail is not None and self._ahead:
                self._skip(self._tail)
                self._tail = None
        return bool(self._ahead)

    def _skip(self, tail: int) -> None:
        """Begin at the newest file, or as many before it as have the lines."""
        missing = tail
        first = len(self._ahead)
        while first and missing > 0:
            first -= 1
            part = self._ahead[first]
            if part.packed:  # read from its beginning: whoever wants the tail keeps no more than that
                missing -= part.lines
                continue
            offset, found = tail_offset(part.descriptor, missing)
            os.lseek(part.descriptor, offset, os.SEEK_SET)
            missing -= found
        first = min(first, len(self._ahead) - 1)
        if tail <= 0 and not self._ahead[first].packed:
            descriptor = self._ahead[first].descriptor
            os.lseek(descriptor, tail_offset(descriptor, tail)[0], os.SEEK_SET)
        for part in self._ahead[:first]:
            part.close()
        self._ahead = self._ahead[first:]

    def _moved(self) -> bool:
        """Whether the path names another file than the one that is read."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        ours = os.fstat(self._ahead[0].descriptor)
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _cut(self) -> bool:
        """Whether our file was made shorter: then it is read from its beginning."""
        if self._ahead[0].packed:
            return False
        descriptor = self._ahead[0].descriptor
        if os.fstat(descriptor).st_size >= os.lseek(descriptor, 0, os.SEEK_CUR):
            return False
        os.lseek(descriptor, 0, os.SEEK_SET)
        self._rest = b""
        return True

    def _next(self) -> None:
        """Go on with the file after ours: the first of those that are newer, or all that are left where ours is not among them any more."""
        if len(self._ahead) == 1:
            ours = self._ahead[0]
            newer = parts(self._path)
            place = next((i for i, part in enumerate(newer) if part.is_same(ours)), -1)
            for part in newer[: place + 1]:
                part.close()
            self._ahead += newer[place + 1 :]
            if place < 0 and os.fstat(ours.descriptor).st_nlink == 0:
                self._rest = b""
        if self._ahead[0].packed:
            self._rest = b""  # there is some only where the file was cut
        self._ahead.pop(0).close()

    def close(self) -> None:
        """Done."""
        while self._ahead:
            self._ahead.pop().close()


def tail_offset(descriptor: int, lines: int) -> tuple[int, int]:
    """Where to begin so that the last `lines` lines are read, and how many of them are there: only as much of the end is looked at as they need."""
    size, length = os.fstat(descriptor).st_size, BLOCK
    while True:
        start = max(0, size - length)
        begins, offset, after_end = [], start, start == 0
        for number, raw in enumerate(os.pread(descriptor, size - start, start).split(b"\n")[:-1]):
            if after_end:
                begins.append(offset)
            cut = number == 0 and start > 0
            after_end = not cut and raw.split(b" ", 3)[2:3] == [b"F"]
            offset += len(raw) + 1
        if start == 0 or len(begins) >= lines + MARGIN:
            return (begins[-lines - MARGIN] if len(begins) >= lines + MARGIN else 0), len(begins)
        length *= 4
