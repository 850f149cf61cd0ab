"""/containers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec

from ...containers.detach import DetachScanner, parse_keys
from ...containers.logging import log_attributes
from ...errors import Invalid, NotSupported
from ...records import dataclass
from ..container_filters import ALLOWED, container_matcher
from ..container_rows import Rows
from ..container_view import container_json
from ..create_body import create_body
from ..filters import PRUNE, parse_filters, prune_matcher
from ..messages import Answer, Hijacked, Request, Response, Stream, Streamed, empty, json_response
from ..streams import STDERR, STDOUT, Attachment, begun, log_bits, stream_type, talk
from ..times import SECOND, parse_moment
from ..websocket import NORMAL, WebSocket, handshake
from .execs import size_of

if TYPE_CHECKING:
    from ...containers.model import Container
    from ...daemon.engine import Engine
    from ...daemon.exits import Ended

BARE_OBJECT = 7  # bytes: what clients send that mean nothing by it ("{}", "null") is no longer
CLI = "Docker-Client/"  # Docker's CLI looks at a container before it runs something in it
CONDITIONS = ("", "not-running", "next-exit", "removed")
ROWS = Rows()  # rendered rows are only ever looked up by the very objects that they were made of


async def listing(engine: Engine, request: Request) -> Answer:
    """`ps`: the newest first."""
    state = engine.state
    filters = parse_filters(request.text("filters"), ALLOWED)
    limit = request.integer("limit", 0) or 0
    everything = request.flag("all") or limit > 0
    matches = container_matcher(state, filters, everything=everything, find=engine.find_container, find_image=engine.images.find)
    found = sorted((c for c in state.containers.values() if matches(c)), key=lambda c: c.created, reverse=True)
    if limit > 0:
        found = found[:limit]
    sizes = {c.id: await sizes_of(engine, c) for c in found} if request.flag("size") else None
    return Response(200, ROWS.render(state, found, request.version, time.time_ns(), sizes))


async def sizes_of(engine: Engine, container: Container) -> dict[str, int]:
    """SizeRw and SizeRootFs."""
    own = await engine.core.on_host(engine.core.snapshots.size, container.id)
    image = engine.state.images.get(container.image_id)
    return {"SizeRw": own, "SizeRootFs": own + (image.size if image else 0)}


async def create(engine: Engine, request: Request) -> Answer:
    """`create`."""
    body = create_body(await request.json(required=True), request.version)
    platform = request.text("platform") if request.version >= (1, 41) else ""
    id_, warnings = await engine.create_container(body.config, body.host, body.wishes, name=request.text("name"), platform=platform)
    return json_response({"Id": id_, "Warnings": [*warnings, *body.warnings]}, 201)


async def inspect(engine: Engine, request: Request) -> Answer:
    """`inspect`."""
    container = engine.find_container(request["id"])
    sizes = await sizes_of(engine, container) if request.flag("size") else None
    execs = [e.id for e in engine.execs.known.values() if e.container_id == container.id and e.is_running]
    state, version = engine.state, request.version
    if container.state.running and request.headers.get("user-agent", "").startswith(CLI):
        asyncio.get_running_loop().call_soon(engine.execs.expect)  # when this is answered

    def rendered() -> bytes:
        document = container_json(state, engine.config, container, version, execs=execs, sizes=sizes)
        # Docker makes the answers for older clients from maps, so theirs are sorted; inspect prints them as they come.
        return json_response(document, in_order=version >= (1, 52)).body

    if sizes is not None or execs:
        return Response(200, rendered())
    return Response(200, engine.answers.answer(state, ("container", container.id, version), rendered))


async def start(engine: Engine, request: Request) -> Answer:
    """`start`."""
    parse_keys(request.text("detachKeys"))
    if len(await request.whole_body()) > BARE_OBJECT:
        raise Invalid("starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24")
    if request.text("checkpoint") or request.text("checkpoint-dir"):
        raise NotSupported("checkpoints are not supported")
    await engine.start(request["id"])
    return empty()


async def stop(engine: Engine, request: Request) -> Answer:
    """`stop`."""
    await engine.stop(request["id"], request.integer("t"), request.text("signal"))
    return empty()


async def restart(engine: Engine, request: Request) -> Answer:
    """`restart`."""
    await engine.restart(request["id"], request.integer("t"), request.text("signal"))
    return empty()


async def kill(engine: Engine, request: Request) -> Answer:
    """`kill`."""
    await engine.kill(request["id"], request.text("signal") or "KILL")
    return empty()


async def pause(engine: Engine, request: Request) -> Answer:
    """`pause`."""
    await engine.pause(request["id"])
    return empty()


async def unpause(engine: Engine, request: Request) -> Answer:
    """`unpause`."""
    await engine.unpause(request["id"])
    return empty()


async def rename(engine: Engine, request: Request) -> Answer:
    """`rename`."""
    await engine.rename(request["id"], request.text("name"))
    return empty()


async def remove(engine: Engine, request: Request) -> Answer:
    """`rm`."""
    if request.flag("link"):
        await engine.remove_link(request["id"])
        return empty()
    await engine.remove(request["id"], force=request.flag("force"), volumes=request.flag("v"))
    return empty()


async def prune(engine: Engine, request: Request) -> Answer:
    """`container prune`."""
    matches = prune_matcher(parse_filters(request.text("filters"), PRUNE), time.time_ns(), lambda c: c.config.labels)
    removed, freed = await engine.prune_containers(matches)
    return json_response({"ContainersDeleted": removed or None, "SpaceReclaimed": freed})


async def resize(engine: Engine, request: Request) -> Answer:
    """The size of a container's terminal."""
    await engine.resize(request["id"], *size_of(request))
    return Response()


async def top(engine: Engine, request: Request) -> Answer:
    """`top`."""
    titles, rows = await engine.top(request["id"], request.text("ps_args"))
    return json_response({"Titles": titles, "Processes": rows})


async def wait(engine: Engine, request: Request) -> Answer:
    """`wait`: we listen before the head goes out, so a start that follows it is not missed."""
    condition = request.text("condition")
    if condition not in CONDITIONS:
        raise Invalid(f'invalid condition: "{condition}"')
    return Streamed(exit_bits(engine.wait(request["id"], condition or "not-running")))


async def exit_bits(waiting: asyncio.Future[Ended]) -> AsyncIterator[bytes]:
    """The one line of `wait`."""
    ended = await waiting
    problem = {"Error": {"Message": ended.problem}} if ended.problem else {}
    yield msgspec.json.encode({"StatusCode": ended.code, **problem}) + b"\n"


async def attach(engine: Engine, request: Request) -> Answer:
    """`attach`, hijacked."""
    talking = await Talking.begin(engine, request)
    terminal = talking.container.config.tty
    return Hijacked(lambda client: talking.run(client, framed=not terminal), stream_type(request.version, terminal), talking.attachment.close)


async def attach_websocket(engine: Engine, request: Request) -> Answer:
    """`attach` through a websocket: binary messages both ways, the two outputs together."""
    head = handshake(request)
    talking = await Talking.begin(engine, request, every=request.version < (1, 42))

    async def run(client: Stream) -> None:
        messages = WebSocket(client)
        await talking.run(messages, framed=False)
        await messages.close(NORMAL)

    return Hijacked(run, close=talking.attachment.close, head=head)


@dataclass(frozen=True)
class Talking:
    """A client of a container's streams."""

    engine: Engine
    container: Container
    attachment: Attachment
    stdin: bool
    streams: frozenset[int]
    scanner: DetachScanner | None

    @classmethod
    async def begin(cls, engine: Engine, request: Request, *, every: bool = False) -> Talking:
        """Attach as the request wants; `every`: to all three streams whatever it says."""
        keys = parse_keys(request.text("detachKeys"))
        container = engine.find_container(request["id"])
        wanted = {name: request.flag(name) for name in ("stdin", "stdout", "stderr", "stream", "logs")}
        if every:
            wanted |= {"stdin": True, "stdout": True, "stderr": True}
        attachment = await engine.attach(container.id, **wanted)
        stdin = wanted["stdin"] and wanted["stream"]
        streams = frozenset(n for n, name in ((STDOUT, "stdout"), (STDERR, "stderr")) if wanted[name])
        return cls(engine, container, attachment, stdin, streams, DetachScanner(keys) if container.config.tty and stdin else None)

    async def run(self, client: Stream, *, framed: bool) -> None:
        """Carry both ways."""
        config = self.container.config
        end = await talk(
            client,
            self.attachment,
            framed=framed,
            stdin=self.stdin,
            close_stdin=config.stdin_once and not config.tty,
            streams=self.streams,
            scanner=self.scanner,
        )
        if end == "detached":
            self.engine.core.tell_container("detach", self.container)


async def logs(engine: Engine, request: Request) -> Answer:
    """`logs`."""
    stdout, stderr = request.flag("stdout"), request.flag("stderr")
    if not stdout and not stderr:
        raise Invalid("must specify at least one of 'stdout' or 'stderr'")
    if request.text("format"):
        raise Invalid("unsupported log format")
    container = engine.find_container(request["id"])
    now = time.time_ns()
    tail = request.text("tail")
    lines = engine.logs(
        container.id,
        follow=request.flag("follow"),
        stdout=stdout,
        stderr=stderr,
        since=stamp(parse_moment(request.text("since"), now, "since")),
        until=stamp(parse_moment(request.text("until"), now, "until")),
        tail=int(tail) if tail.isdecimal() and tail.isascii() else None,  # "all", and anything else that is no number
    )
    terminal = container.config.tty
    details = log_attributes(container) if request.flag("details") else None
    bits = log_bits(await begun(lines), terminal=terminal, timestamps=request.flag("timestamps"), details=details)
    return Streamed(bits, stream_type(request.version, terminal))


def stamp(moment: int | None) -> str:
    """Nanoseconds as RFC 3339, "" for none."""
    if not moment or moment < 0:
        return ""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(moment // SECOND))}.{moment % SECOND:09d}Z"
