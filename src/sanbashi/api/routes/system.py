"""/_ping, /version, /info, /events, /system/df."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec

from ...daemon.events import Event
from ..disk_view import kinds_of, totals, usage_of
from ..filters import EVENTS, event_matcher, parse_filters
from ..messages import MAXIMUM, MINIMUM, Answer, Request, Response, Streamed, Version, json_response, version_text
from ..streams import begun
from ..times import SECOND, parse_moment

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
    kinds = kinds_of(request.texts("type"))
    document = usage_of(await engine.disk_usage(), engine.state, request.version, time.time_ns(), kinds)
    return json_response(document | (totals(document, verbose=request.flag("verbose")) if request.version >= (1, 52) else {}))
