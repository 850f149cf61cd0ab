"""Logs with max-size and max-file: looked at every second while their containers run; what was put aside is packed where that is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path

from ..containers.logging import LogLimits, log_limits
from ..containers.model import Container
from ..errors import SanbashiError
from ..host.logparts import pack
from ..host.rotating import rotate
from ..records import dataclass
from .core import Core

log = logging.getLogger("sanbashi.logs")

EVERY = 1.0  # seconds; a log may grow beyond its limit by what comes in one


@dataclass(frozen=True, slots=True)
class Watched:
    """A log that is looked at: what it may have, and the fifo by which its conmon is told."""

    path: Path
    limits: LogLimits
    control: Path


@dataclass
class Packing:
    """Old files of a container's log being packed in a worker thread."""

    container_id: str
    task: asyncio.Task[None]
    stop: threading.Event


@dataclass
class Rotation:
    """The logs that are watched, by container, and those of which something may have to be packed, the one that waits longest first."""

    core: Core
    watched: dict[str, Watched] = field(default_factory=dict)
    unpacked: dict[str, None] = field(default_factory=dict)
    packing: Packing | None = None  # one at a time: it is never in a hurry, and takes one hand at most
    task: asyncio.Task[None] | None = None

    def begin(self, container: Container, path: Path | None, control: Path) -> None:
        """Watch the log of a container that runs, if it is one that is rotated."""
        limits = log_limits(container.host_config.log_config)
        if path is None or not limits.rotated:
            return
        self.watched[container.id] = Watched(path, limits, control)
        if limits.packed:
            self.unpacked[container.id] = None  # what a daemon before us, or a run before this one, has left
        if self.task is None or self.task.done():
            self.task = asyncio.get_running_loop().create_task(self.look())

    async def end(self, container_id: str) -> None:
        """Watch it no more; nothing is written to its folder after this."""
        self.watched.pop(container_id, None)
        self.unpacked.pop(container_id, None)
        if self.packing is not None and self.packing.container_id == container_id:
            self.packing.stop.set()
            await asyncio.wait([self.packing.task])

    async def look(self) -> None:
        while self.watched:
            await asyncio.sleep(EVERY)
            for container_id, entry in list(self.watched.items()):
                if self.watched.get(container_id) is not entry:  # it has ended since
                    continue
                if self.packing is not None and self.packing.container_id == container_id:
                    continue
                with telling(container_id):
                    limits = entry.limits
                    rotated = await self.core.on_host(rotate, entry.path, limits.size, limits.files, entry.control)
                    # What has ended meanwhile is packed when it runs again.
                    if rotated and limits.packed and self.watched.get(container_id) is entry:
                        self.unpacked[container_id] = None
            if self.packing is None and self.unpacked:
                stop = threading.Event()
                container_id = next(iter(self.unpacked))
                del self.unpacked[container_id]
                task = asyncio.get_running_loop().create_task(self.pack(container_id, self.watched[container_id], stop))
                self.packing = Packing(container_id, task, stop)

    async def pack(self, container_id: str, entry: Watched, stop: threading.Event) -> None:
        """Pack what was put aside of a log; where that is not yet whole it waits for another turn."""
        try:
            with telling(container_id):
                if not await self.core.on_host(pack, entry.path, entry.limits.files, stop) and container_id in self.watched:
                    self.unpacked[container_id] = None
        finally:
            self.packing = None

    def close(self) -> None:
        """Stop looking; containers go on writing."""
        if self.packing is not None:
            self.packing.stop.set()
        if self.task is not None:
            self.task.cancel()


@contextlib.contextmanager
def telling(container_id: str) -> Iterator[None]:
    """What the disk refuses is told and tried again with the next change: containers go on."""
    try:
        yield
    except (OSError, SanbashiError) as error:
        log.warning("cannot rotate the log of %s: %s", container_id[:12], error)
