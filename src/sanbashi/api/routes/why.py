"""/sanbashi/why: why one does, or does not, reach another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import Invalid
from ..messages import Answer, Request, json_response
from ..why_view import why_json

if TYPE_CHECKING:
    from ...daemon.engine import Engine


async def why(engine: Engine, request: Request) -> Answer:
    """`why`: ?from=web01&to=web02:80, and probe=1 for a real packet."""
    for name in ("from", "to"):
        if not request.text(name).strip():
            raise Invalid(f"{name} is required", hint="GET /sanbashi/why?from=web01&to=web02:80")
    answer = await engine.why.answer(request.text("from").strip(), request.text("to"), probing=request.flag("probe"))
    return json_response(why_json(answer))
