"""/_ping, /version, /info, /events, /system/df."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import msgspec

from ...daemon.events import Event
from ...errors import Invalid
from ..disk_view import kinds_of, totals, usage_of
from ..filters import EVENTS, event_matcher, parse_filters
from ..info_view import info_json
from ..messages import JSON, MAXIMUM, MINIMUM, Answer, Request, Response, Streamed, Version, json_response, version_text
from ..streams import begun
from ..times import SECOND, parse_moment

if TYPE_CHECKING:
    from ...daemon.engine import Engine

# RFC 7464 has a record separator before each text.
JSON_LINES, JSON_NEWLINES, JSON_SEQUENCE = "application/jsonl", "application/x-ndjson", "application/json-seq"
PING = (("Builder-Version", "1"), ("Cache-Control", "no-cache, no-store, must-revalidate"), ("Pragma", "no-cache"), ("Swarm", "inactive"))
PONG = Response(200, b"OK", "text/plain; charset=utf-8", PING)


async def ping(engine: Engine, request: Request) -> Answer:
    """Every client's first question; the answer's headers say which version to speak."""
    return PONG


async def version(engine: Engine, request: Request) -> Answer:
    """`version`."""
    document = engine.version()
    spoken = {"ApiVersion": version_text(MAXIMUM), "MinAPIVersion": version_text(MINIMUM)}
    same = {name: document[name] for name in ("Arch", "BuildTime", "GitCommit", "GoVersion", "KernelVersion", "Os") if name in document}
    components = [
        {**c, "Details": {**spoken, **same, "Experimental": "false", **c.get("Details", {})}} if c.get("Name") == "Engine" else c
        for c in (*document.get("Components", ()), *(await engine.programs()).components())
    ]
    return json_response({**document, **spoken, "Components": components})


async def info(engine: Engine, request: Request) -> Answer:
    """`info`."""
    return json_response(info_json(await engine.info(), request.version))


async def options(engine: Engine, request: Request) -> Answer:
    """OPTIONS of any path; nobody is told anything by it, as Docker has it."""
    return Response(200)


async def counters(engine: Engine, request: Request) -> Answer:
    """What the engine's work has cost since its start, counted; ours, beside Docker's API."""
    return json_response(engine.counters())


async def events(engine: Engine, request: Request) -> Answer:
    """`events`: the head goes out at once, and nothing that happens after it is missed."""
    now = time.time_ns()
    since, until = parse_moment(request.text("since"), now, "since"), parse_moment(request.text("until"), now, "until")
    if since is not None and until is not None and until < since:
        raise Invalid(f"`since` time ({request.text('since')}) cannot be after `until` time ({request.text('until')})")
    matches = event_matcher(parse_filters(request.text("filters"), EVENTS))
    kind = stream_kind(request.headers.get("accept", ""), JSON_LINES if request.version >= (1, 52) else JSON)
    found = engine.events.subscribe(since=since, until=until, matches=matches)
    return Streamed(event_bits(await begun(found), request.version, b"\x1e" if kind == JSON_SEQUENCE else b""), kind)


def stream_kind(accept: str, default: str) -> str:
    """The content type of a stream of JSON: what the client asks for by name, else the version's own."""
    asked = [word.split(";")[0].strip().lower() for word in accept.split(",")]
    return next((kind for kind in asked if kind in (JSON_LINES, JSON_NEWLINES, JSON_SEQUENCE)), default)


async def event_bits(found: AsyncIterator[Event], version: Version, before: bytes) -> AsyncIterator[bytes]:
    """Events as JSON lines, each with what its content type wants `before` it."""
    async for event in found:
        if version >= (1, 46) or (event.type, event.action) != ("image", "create"):
            yield before + event_line(event)


def event_line(event: Event) -> bytes:
    """One event, with the three fields of the first years.

    Docker sends those to clients before 1.52 alone. docker-compose 1.29 asks for the newest version and reads `id`: its `up` would lose sight
    of what it started.
    """
    document: dict[str, Any] = {}
    if event.type in ("container", "image"):
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
    kinds = kinds_of(request.texts("type") if request.version >= (1, 42) else ())
    cache = await engine.build_cache() if "build-cache" in kinds else []
    document = usage_of(await engine.disk_usage(), cache, engine.state, request.version, time.time_ns(), kinds)
    if request.version < (1, 52):
        return json_response(document)
    verbose = request.flag("verbose")
    sums = totals(document, verbose=verbose)
    return json_response(sums if verbose else document | sums)
