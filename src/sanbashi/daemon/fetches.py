"""`import ADDRESS`: a file of somebody's web server as the body that a client would have sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack
from typing import Any

EVERY = 1 << 20  # bytes between two words of progress


async def pieces(address: str, report: Callable[[dict[str, Any]], None]) -> AsyncGenerator[bytes, None]:
    """The file's bytes; `report` hears Docker's messages. To be closed by who opens it."""
    from ..host.fetching import checked_address, fetched  # read in when it is needed, as what pulls is

    url = checked_address(address)
    stack = ExitStack()
    try:
        remote = await asyncio.to_thread(stack.enter_context, fetched(url))
        report({"status": f"Downloading from {url}"})
        done = told = 0
        while piece := await asyncio.to_thread(remote.read):
            done += len(piece)
            if done - told >= EVERY or done == remote.size:
                told = done
                report({"status": "Importing", "progressDetail": {"current": done, "total": remote.size}})
            yield piece
    finally:
        await asyncio.to_thread(stack.close)
