"""/containers/{id}/stats."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec

from ...containers.model import Container
from ...containers.usage import Usage
from ..messages import Answer, Request, Streamed, Version, json_response
from ..streams import begun
from ..usage_view import usage_json

if TYPE_CHECKING:
    from ...daemon.engine import Engine


async def stats(engine: Engine, request: Request) -> Answer:
    """`stats`: one object, or one every second until the client goes or the container is removed."""
    if request.flag("stream", True):
        engine.find_container(request["id"])
        return Streamed(usage_bits(await begun(engine.usages.stream(request["id"])), request.version))
    container, before, now = await engine.usages.once(request["id"], one_shot=request.flag("one-shot"))
    return json_response(usage_json(container, before, now, request.version))


async def usage_bits(readings: AsyncIterator[tuple[Container, Usage | None, Usage | None]], version: Version) -> AsyncIterator[bytes]:
    """Readings as JSON lines."""
    async for container, before, now in readings:
        yield msgspec.json.encode(usage_json(container, before, now, version)) + b"\n"
