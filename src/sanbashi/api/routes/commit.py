"""/commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...images.model import ImageConfig
from ..messages import Answer, Request, json_response
from ..wire import decode, with_word_lists

if TYPE_CHECKING:
    from ...daemon.engine import Engine


async def commit(engine: Engine, request: Request) -> Answer:
    """`commit`."""
    document = await request.json()
    repo, tag = request.text("repo"), request.text("tag")
    id_ = await engine.committing.commit(
        request.text("container"),
        reference=f"{repo}:{tag}" if repo and tag else repo,
        comment=request.text("comment"),
        author=request.text("author"),
        pause=request.flag("pause", True),
        changes=request.texts("changes"),
        config=decode(with_word_lists(document, "Cmd", "Entrypoint", "Shell"), ImageConfig),
    )
    return json_response({"Id": id_}, 201)
