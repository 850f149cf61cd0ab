"""/volumes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ...volumes.model import Volume
from ..filters import PRUNE_VOLUMES, VOLUMES, boolean, parse_filters, prune_matcher, volume_matcher
from ..messages import Answer, Request, empty, json_response
from ..volume_view import volume_json
from ..wire import VolumeBody, decode
from .swarm import not_a_manager

if TYPE_CHECKING:
    from ...daemon.engine import Engine


async def listing(engine: Engine, request: Request) -> Answer:
    """`volume ls`."""
    state = engine.state
    mounted = {name for c in state.containers.values() for name in c.volume_names}
    matches = volume_matcher(parse_filters(request.text("filters"), VOLUMES), lambda v: v.name in mounted)
    return json_response({"Volumes": [volume_json(v) for _, v in sorted(state.volumes.items()) if matches(v)], "Warnings": None})


async def inspect(engine: Engine, request: Request) -> Answer:
    """`volume inspect`."""
    return json_response(volume_json(engine.volumes.find(request["name"])))


async def create(engine: Engine, request: Request) -> Answer:
    """`volume create`."""
    body = decode(await request.json(), VolumeBody)
    if body.cluster_volume_spec is not None:
        return await not_a_manager(engine, request)
    volume = await engine.create_volume(body.name, body.driver or "local", body.driver_opts, body.labels, anonymous=not body.name)
    return json_response(volume_json(volume), 201)


async def remove(engine: Engine, request: Request) -> Answer:
    """`volume rm`."""
    await engine.remove_volume(request["name"], request.flag("force"))
    return empty()


async def prune(engine: Engine, request: Request) -> Answer:
    """`volume prune`: anonymous ones only unless all were asked for; clients before 1.42 always mean all."""
    filters = parse_filters(request.text("filters"), PRUNE_VOLUMES)
    everything = request.version < (1, 42) or boolean(filters, "all", False)
    suits = prune_matcher(filters, time.time_ns(), lambda v: v.labels)

    def matches(volume: Volume) -> bool:
        return suits(volume) and (bool(everything) or volume.anonymous)

    names, freed = await engine.prune_volumes(matches)
    return json_response({"VolumesDeleted": names or None, "SpaceReclaimed": freed})
