"""Who waits for a container to stop, and for it to be removed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass
class Exits:
    """Who waits for a container to stop, and for it to be removed."""

    stopped: dict[str, list[asyncio.Future[int]]] = field(default_factory=dict)
    removed: dict[str, list[asyncio.Future[int]]] = field(default_factory=dict)

    def wait(self, table: dict[str, list[asyncio.Future[int]]], container_id: str) -> asyncio.Future[int]:
        future = asyncio.get_running_loop().create_future()
        # Of those who went away, for one that runs for a year, nothing is kept.
        table[container_id] = [*(other for other in table.get(container_id, ()) if not other.done()), future]
        return future

    def settle(self, table: dict[str, list[asyncio.Future[int]]], container_id: str, code: int) -> None:
        for future in table.pop(container_id, []):
            if not future.done():
                future.set_result(code)
