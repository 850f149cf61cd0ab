"""Files that appear in one directory, and files that are let go of, told by the kernel (inotify(7)) to the event loop; no polling."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import StepFailed
from .mounts import libc, refused

# linux/inotify.h
IN_MODIFY, IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE, IN_Q_OVERFLOW, IN_IGNORED = 0x2, 0x8, 0x80, 0x100, 0x4000, 0x8000
IN_NONBLOCK, IN_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
EVENT = struct.Struct("iIII")  # wd, mask, cookie, length of the name that follows


class Watch:
    """Calls `changed(name)` in the loop for every file written to its end or moved into `directory`; close it with `close`."""

    def __init__(self, directory: Path, changed: Callable[[str], None], *, mask: int = IN_CLOSE_WRITE | IN_MOVED_TO) -> None:
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._descriptor = opened(f"watch {directory}")
        try:
            add(self._descriptor, directory, mask)
        except StepFailed:
            os.close(self._descriptor)
            raise
        self._loop.add_reader(self._descriptor, self._read)

    def _read(self) -> None:
        for _, _, name in events(self._descriptor):
            self._changed(name)

    def close(self) -> None:
        """Stop watching."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


class Closings:
    """Calls `closed(key)` in the loop whenever somebody lets go of a file that he could write to; one descriptor, however many files.

    Where the kernel had to leave out what it told it may be any: then it is called for each.
    """

    def __init__(self, closed: Callable[[str], None]) -> None:
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._keys: dict[int, str] = {}  # by watch
        self._watches: dict[str, int] = {}
        self._descriptor = opened("watch for files that are closed")
        self._loop.add_reader(self._descriptor, self._read)

    def add(self, key: str, file: Path) -> None:
        """Watch a file under a key that has none; StepFailed where it is not there, or where there are as many watches as the host lets us have."""
        watch = add(self._descriptor, file, IN_CLOSE_WRITE)
        self._keys[watch], self._watches[key] = key, watch

    def remove(self, key: str) -> None:
        """Forget a key; not known is well."""
        watch = self._watches.pop(key, None)
        if watch is not None:
            del self._keys[watch]
            # Gone already where the file is.
            libc.inotify_rm_watch(self._descriptor, watch)

    def _read(self) -> None:
        for watch, mask, _ in events(self._descriptor):
            if mask & IN_Q_OVERFLOW:
                for key in tuple(self._watches):
                    self._closed(key)
            elif mask & IN_CLOSE_WRITE and watch in self._keys:
                self._closed(self._keys[watch])
            elif mask & IN_IGNORED and watch in self._keys:  # the file is deleted, and nobody has it open any more
                del self._watches[self._keys.pop(watch)]

    def close(self) -> None:
        """Stop watching."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
            self._keys.clear()
            self._watches.clear()


def opened(what: str) -> int:
    """A descriptor for watches; StepFailed, naming what it is for."""
    descriptor = int(libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC))
    if descriptor < 0:
        refused(what)
    return descriptor


def add(descriptor: int, path: Path, mask: int) -> int:
    """The number of a new watch; StepFailed."""
    watch = int(libc.inotify_add_watch(descriptor, os.fsencode(path), ctypes.c_uint32(mask)))
    if watch < 0:
        refused(f"watch {path}")
    return watch


def events(descriptor: int) -> Iterator[tuple[int, int, str]]:
    """What has happened since: (watch, mask, name)."""
    try:
        block = os.read(descriptor, 65536)
    except BlockingIOError:
        return
    offset = 0
    while offset < len(block):
        watch, mask, _, length = EVENT.unpack_from(block, offset)
        offset += EVENT.size
        name = block[offset : offset + length].rstrip(b"\0")
        offset += length
        yield watch, mask, os.fsdecode(name)
