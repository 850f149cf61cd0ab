"""Files that appear in one directory, told by the kernel (inotify(7)) to the event loop; no polling."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from pathlib import Path

from .mounts import libc, refused

# linux/inotify.h
IN_MODIFY, IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE = 0x2, 0x8, 0x80, 0x100
IN_NONBLOCK, IN_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
EVENT = struct.Struct("iIII")  # wd, mask, cookie, length of the name that follows


class Watch:
    """Calls `changed(name)` in the loop for every file written to its end or moved into `directory`; close it with `close`."""

    def __init__(self, directory: Path, changed: Callable[[str], None], *, mask: int = IN_CLOSE_WRITE | IN_MOVED_TO) -> None:
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._descriptor = libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC)
        if self._descriptor < 0:
            refused(f"watch {directory}")
        if libc.inotify_add_watch(self._descriptor, os.fsencode(directory), ctypes.c_uint32(mask)) < 0:
            number = ctypes.get_errno()
            os.close(self._descriptor)
            ctypes.set_errno(number)
            refused(f"watch {directory}")
        self._loop.add_reader(self._descriptor, self._read)

    def _read(self) -> None:
        try:
            block = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return
        offset = 0
        while offset < len(block):
            _, _, _, length = EVENT.unpack_from(block, offset)
            offset += EVENT.size
            name = block[offset : offset + length].rstrip(b"\0")
            offset += length
            self._changed(os.fsdecode(name))

    def close(self) -> None:
        """Stop watching."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
