"""The conmons whose end is to be noticed though they leave no exit: each has its control fifo open for as long as it lives.

The closing of that fifo is told by one descriptor for all of them. A pidfd each would be copied and closed again for every program that is started:
with a thousand containers 2 ms a program, for which the daemon stands still.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import StepFailed
from .conmon import is_conmon_of
from .inotify import Closings


class Following:
    """Calls `gone(container id)` in the loop, once, when a conmon that is followed has died. `open` before use, in the loop; `close` at the end."""

    def __init__(self, gone: Callable[[str], None]) -> None:
        self._gone = gone
        self._pids: dict[str, int] = {}  # 0 from when it was told that it has died
        self._descriptors: dict[str, int] = {}  # pidfds, of those whose fifo cannot be watched
        self._closings: Closings | None = None

    def open(self) -> None:
        """Begin to hear."""
        self._closings = Closings(self._look)

    def __contains__(self, container_id: str) -> bool:
        return container_id in self._pids

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._pids))

    def has_died(self, container_id: str) -> bool:
        """Whether it is still followed although that was told of it."""
        return self._pids.get(container_id) == 0

    def follow(self, container_id: str, pid: int, control: Path) -> None:
        """Follow a container's conmon unless it is followed already; one that has ended is told of like any other."""
        if container_id in self._pids:
            return
        assert self._closings is not None
        self._pids[container_id] = pid
        try:
            self._closings.add(container_id, control)
        except StepFailed:  # the host has no more watches for us, or somebody has deleted the fifo
            with contextlib.suppress(ProcessLookupError):
                self._descriptors[container_id] = descriptor = os.pidfd_open(pid)
                asyncio.get_running_loop().add_reader(descriptor, self._look, container_id)
        # It may have ended before it was watched.
        asyncio.get_running_loop().call_soon(self._look, container_id)

    def _look(self, container_id: str) -> None:
        """Something was closed: by conmon, whose memory is gone by then, or by us, who wrote to it."""
        if (pid := self._pids.get(container_id, 0)) and not is_conmon_of(pid, container_id):
            self._unwatch(container_id)
            self._pids[container_id] = 0
            self._gone(container_id)

    def _unwatch(self, container_id: str) -> None:
        if self._closings is not None:
            self._closings.remove(container_id)
        if (descriptor := self._descriptors.pop(container_id, None)) is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

    def forget(self, container_id: str) -> bool:
        """Follow it no longer; whether it was followed until now, dead or alive."""
        self._unwatch(container_id)
        return self._pids.pop(container_id, None) is not None

    def close(self) -> None:
        """Follow none any longer."""
        for container_id in self:
            self.forget(container_id)
        if self._closings is not None:
            self._closings.close()
            self._closings = None
