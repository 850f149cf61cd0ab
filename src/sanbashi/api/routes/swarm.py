"""Swarm and plugins: what clients ask in passing gets the answers of a plain engine without either."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import NotFound, Unavailable
from ..messages import Answer, Request, json_response

if TYPE_CHECKING:
    from ...daemon.engine import Engine

NOT_A_MANAGER = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'


async def not_a_manager(engine: Engine, request: Request) -> Answer:
    """Everything that only a swarm has."""
    raise Unavailable(NOT_A_MANAGER)


async def plugins(engine: Engine, request: Request) -> Answer:
    """There are none."""
    return json_response([])


async def plugin(engine: Engine, request: Request) -> Answer:
    """None has that name."""
    raise NotFound(f'plugin "{request["name"]}" not found')
