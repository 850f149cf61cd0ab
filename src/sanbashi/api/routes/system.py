"""/_ping, /version, /info, /events, /system/df."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec

from ...daemon.events import Event
from ..container_view import command_text, mount_json, status_text
from ..filters import EVENTS, event_matcher, parse_filters
from ..image_view import summary_json
from ..messages import MAXIMUM, MINIMUM, Answer, Request, Response, Streamed, Version, json_response, version_text
from ..streams import begun
from ..times import SECOND, nanoseconds, parse_moment
from ..volume_view import volume_json

if TYPE_CHECKING:
    from ...daemon.engine import Engine

PING = (("Builder-Version", "1"), ("Cache-Control", "no-cache, no-store, must-revalidate"), ("Pragma", "no-cache"), ("Swarm", "inactive"))


async def ping(engine: Engine, request: Request) -> Answer:
    """Every client's first question; the answer's headers say which version to speak."""
    return Response(200, b"OK", "text/plain; charset=utf-8", PING)


async def version(engine: Engine, request: Request) -> Answer:
    """`version`."""
    document = engine.version()
    spoken = {"ApiVersion": version_text(MAXIMUM), "MinAPIVersion": version_text(MINIMUM)}
    same = {name: document[name] for name in ("Arch", "BuildTime", "GitCommit", "GoVersion", "KernelVersion", "Os") if name in document}
    components = [
        {**c, "Details": {**spoken, **same, "Experimental": "false", **c.get("Details", {})}} if c.get("Name") == "Engine" else c
        for c in document.get("Components", ())
    ]
    return json_response({**document, **spoken, "Components": components})


async def info(engine: Engine, request: Request) -> Answer:
    """`info`."""
    return json_response(engine.info())


async def counters(engine: Engine, request: Request) -> Answer:
    """What the engine's work has cost since its start, counted; ours, beside Docker's API."""
    return json_response(engine.counters())


async def events(engine: Engine, request: Request) -> Answer:
    """`events`: the head goes out at once, and nothing that happens after it is missed."""
    now = time.time_ns()
    since, until = parse_moment(request.text("since"), now, "since"), parse_moment(request.text("until"), now, "until")
    matches = event_matcher(parse_filters(request.text("filters"), EVENTS))
    found = engine.events.subscribe(since=since, until=until, matches=matches)
    return Streamed(event_bits(await begun(found), request.version))


async def event_bits(found: AsyncIterator[Event], version: Version) -> AsyncIterator[bytes]:
    """Events as JSON lines."""
    async for event in found:
        yield event_line(event, version)


def event_line(event: Event, version: Version) -> bytes:
    """One event; clients before 1.52 get the three fields of the first years too."""
    document: dict[str, Any] = {}
    if version < (1, 52) and event.type in ("container", "image"):
        document = {"status": event.action, "id": event.id}
        if "image" in event.attributes:
            document["from"] = event.attributes["image"]
    document |= {
        "Type": event.type,
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": dict(sorted(event.attributes.items()))},
        "scope": "local",
        "time": event.time // SECOND,
        "timeNano": event.time,
    }
    return msgspec.json.encode(document) + b"\n"


async def disk_usage(engine: Engine, request: Request) -> Answer:
    """`system df`."""
    used, state, now = await engine.disk_usage(), engine.state, time.time_ns()
    users: dict[str, int] = {}
    mounted: dict[str, int] = {}
    for container in state.containers.values():
        users[container.image_id] = users.get(container.image_id, 0) + 1
        for mount in container.mounts:
            mounted[mount.name] = mounted.get(mount.name, 0) + 1
    images = [{**summary_json(i, request.version), "Containers": users.get(i.id, 0), "SharedSize": 0} for i in state.images.values()]
    containers = [
        {
            "Id": c.id,
            "Names": [f"/{c.name}"],
            "Image": c.config.image,
            "ImageID": c.image_id,
            "Command": command_text(c),
            "Created": nanoseconds(c.created) // SECOND,
            "Ports": [],
            "SizeRw": used["containers"].get(c.id, 0),
            "SizeRootFs": used["containers"].get(c.id, 0) + (state.images[c.image_id].size if c.image_id in state.images else 0),
            "Labels": dict(c.config.labels),
            "State": c.state.status,
            "Status": status_text(c.state, now),
            "HostConfig": {"NetworkMode": c.host_config.network_mode},
            "NetworkSettings": {"Networks": {}},
            "Mounts": [mount_json(m) for m in c.mounts],
        }
        for c in state.containers.values()
    ]
    volumes = [
        {**volume_json(v), "UsageData": {"RefCount": mounted.get(v.name, 0), "Size": used["volumes"].get(v.name, 0)}} for v in state.volumes.values()
    ]
    return json_response({"LayersSize": used["layers"], "Images": images, "Containers": containers, "Volumes": volumes, "BuildCache": []})
