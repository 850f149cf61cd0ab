"""Who waits for a container to stop, and for it to be removed."""

from __future__ import annotations

import asyncio
from dataclasses import field

from ..records import dataclass


@dataclass(frozen=True, slots=True)
class Ended:
    """What who waits is told: the exit code, and why the container is there still where its removal failed."""

    code: int
    problem: str = ""


Waiting = dict[str, list[asyncio.Future[Ended]]]


@dataclass
class Exits:
    """Who waits for a container to stop, and for it to be removed."""

    stopped: Waiting = field(default_factory=dict)
    removed: Waiting = field(default_factory=dict)

    def wait(self, table: Waiting, container_id: str) -> asyncio.Future[Ended]:
        future = asyncio.get_running_loop().create_future()
        # Of those who went away, for one that runs for a year, nothing is kept.
        table[container_id] = [*(other for other in table.get(container_id, ()) if not other.done()), future]
        return future

    def settle(self, table: Waiting, container_id: str, ended: Ended) -> None:
        for future in table.pop(container_id, []):
            if not future.done():
                future.set_result(ended)

    def settle_removal(self, container_id: str, ended: Ended) -> None:
        """Who waits for the removal, and who waits for a container to stop that never ran: of a failure too, as in Docker, for nobody tries again."""
        self.settle(self.removed, container_id, ended)
        self.settle(self.stopped, container_id, ended)


def settled(ended: Ended) -> asyncio.Future[Ended]:
    """What is known already, as who waits expects it."""
    future: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
    future.set_result(ended)
    return future
