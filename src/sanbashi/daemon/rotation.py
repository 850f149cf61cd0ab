"""Logs with max-size and max-file: looked at every second while their containers run."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from pathlib import Path

from ..containers.logging import log_limits
from ..containers.model import Container
from ..host.rotating import rotate
from .core import Core

log = logging.getLogger("sanbashi.logs")

EVERY = 1.0  # seconds; a log may grow beyond its limit by what comes in one


@dataclass
class Rotation:
    """The logs that are watched, by container."""

    core: Core
    watched: dict[str, tuple[Path, int, int, Path]] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None

    def begin(self, container: Container, path: Path | None, control: Path) -> None:
        """Watch the log of a container that runs, if it is one that is rotated."""
        limits = log_limits(container.host_config.log_config)
        if path is None or not limits.rotated:
            return
        self.watched[container.id] = (path, limits.size, limits.files, control)
        if self.task is None or self.task.done():
            self.task = asyncio.get_running_loop().create_task(self.look())

    def end(self, container_id: str) -> None:
        """Watch it no more."""
        self.watched.pop(container_id, None)

    async def look(self) -> None:
        while self.watched:
            await asyncio.sleep(EVERY)
            for container_id, entry in list(self.watched.items()):
                try:
                    await self.core.on_host(rotate, *entry)
                except OSError as error:
                    log.warning("cannot rotate the log of %s: %s", container_id[:12], error)

    def close(self) -> None:
        """Stop looking; containers go on writing."""
        if self.task is not None:
            self.task.cancel()
