"""What Docker has and this engine has not: one sentence each, 501."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ...errors import NotSupported
from ..messages import Answer, Request

if TYPE_CHECKING:
    from ...daemon.engine import Engine


def refused(sentence: str, hint: str = "") -> Callable[[Engine, Request], Awaitable[Answer]]:
    """A handler that refuses with this sentence."""

    async def refuse(engine: Engine, request: Request) -> Answer:
        raise NotSupported(sentence, hint=hint)

    return refuse


checkpoints = refused("checkpoints are not supported")
attestations = refused("attestations are not supported")
plugins = refused("plugins are not supported")
swarm = refused("swarm mode is not supported")
