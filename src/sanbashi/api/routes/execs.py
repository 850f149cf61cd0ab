"""/containers/{id}/exec and /exec."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ...containers.detach import DetachScanner, parse_keys
from ...errors import Invalid, SanbashiError
from ..messages import Answer, Hijacked, Request, Response, Stream, json_response
from ..streams import STDERR, STDOUT, Attachment, frame, stream_type, talk
from ..wire import ExecStart, decode, exec_body

if TYPE_CHECKING:
    from ...daemon.engine import Engine

EXIT_TIME = 5.0  # seconds; a process may close its output and go on


async def create(engine: Engine, request: Request) -> Answer:
    """`exec`, first half."""
    config = exec_body(await request.json(required=True))
    parse_keys(config.detach_keys)
    return json_response({"Id": await engine.create_exec(request["id"], config)}, 201)


async def start(engine: Engine, request: Request) -> Answer:
    """`exec`, second half: hijacked unless detached. What fails after the hijack is told in the stream, as Docker tells it."""
    body = decode(await request.json(), ExecStart)
    found = engine.inspect_exec(request["id"])
    if body.detach:
        await engine.start_exec(request["id"], detach=True, tty=body.tty, console_size=body.console_size)
        return Response()
    config = found.config
    scanner = DetachScanner(parse_keys(config.detach_keys)) if config.tty else None
    streams = frozenset(n for n, wanted in ((STDOUT, config.attach_stdout or config.tty), (STDERR, config.attach_stderr)) if wanted)

    starting: list[asyncio.Task[Attachment | None]] = []

    def begin() -> None:
        starting.append(asyncio.ensure_future(engine.start_exec(request["id"], detach=False, tty=config.tty, console_size=body.console_size)))

    def close() -> None:
        """Nobody will talk: what is starting is nobody's."""
        for task in starting:
            task.add_done_callback(let_go)

    async def run(client: Stream) -> None:
        try:
            attachment = await starting[0]
        except SanbashiError as error:
            text = f"{error.message}\r\n".encode()
            await client.write(text if body.tty else frame(STDOUT, text))
            return
        if attachment is not None:
            end = await talk(
                client,
                attachment,
                framed=not body.tty,  # what the client was told to expect, as in Docker
                stdin=config.attach_stdin,
                close_stdin=not config.tty,
                streams=streams,
                scanner=scanner,
            )
            if end == "detached" and (container := engine.state.containers.get(found.container_id)) is not None:
                engine.core.tell_container("exec_detach", container, execID=found.id)
            if end == "ended":
                # The client asks for the exit code as soon as the stream ends: it must stand by then.
                await asyncio.wait([asyncio.ensure_future(engine.execs.wait(request["id"]))], timeout=EXIT_TIME)

    return Hijacked(run, stream_type(request.version, body.tty), close, begin)


def let_go(started: asyncio.Task[Attachment | None]) -> None:
    """Of an exec whose client has gone before it heard anything: it runs, unheard, or could not be started."""
    if not started.cancelled() and started.exception() is None and (attachment := started.result()) is not None:
        attachment.close()


async def resize(engine: Engine, request: Request) -> Answer:
    """The size of an exec's terminal."""
    await engine.resize_exec(request["id"], *size_of(request))
    return Response()


async def inspect(engine: Engine, request: Request) -> Answer:
    """Where an exec stands."""
    found = engine.inspect_exec(request["id"])
    config = found.config
    words = config.cmd or ("",)
    return json_response(
        {
            "ID": found.id,
            "Running": found.is_running,
            "ExitCode": found.exit_code,
            "ProcessConfig": {
                "tty": config.tty,
                "entrypoint": words[0],
                "arguments": list(words[1:]),
                "privileged": config.privileged,
                **({"user": config.user} if config.user else {}),
            },
            "OpenStdin": config.attach_stdin,
            "OpenStderr": config.attach_stderr,
            "OpenStdout": config.attach_stdout,
            "CanRemove": not found.is_running and found.exit_code is not None,
            "ContainerID": found.container_id,
            "DetachKeys": "",
            "Pid": found.pid,
        }
    )


def size_of(request: Request) -> tuple[int, int]:
    """(rows, columns) of a resize."""
    rows, columns = request.integer("h"), request.integer("w")
    if rows is None or columns is None or rows < 0 or columns < 0:
        raise Invalid("invalid resize: h and w must be numbers of rows and columns")
    return rows, columns
