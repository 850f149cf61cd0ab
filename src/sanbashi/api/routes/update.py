"""/containers/{id}/update."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from ...containers.model import HostConfig
from ...containers.updating import BLOCK_RATES
from ..messages import Answer, Request, json_response
from ..wire import decode

if TYPE_CHECKING:
    from ...daemon.engine import Engine


async def update(engine: Engine, request: Request) -> Answer:
    """`update`."""
    document = await request.json(required=True)
    wish = decode(document, HostConfig)
    if wish.pids_limit is not None and wish.pids_limit <= 0:
        wish = replace(wish, pids_limit=-1)  # 0 and what is below mean no limit, where it is given
    if request.version < (1, 55):  # until then limits of devices stayed as create had them
        wish = replace(wish, **dict.fromkeys(BLOCK_RATES))
    said = document.get("RestartPolicy") or {}
    policy = wish.restart_policy if said.get("Name") else None
    return json_response({"Warnings": await engine.updating.update(request["id"], wish, policy) or None})
