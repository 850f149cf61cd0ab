"""What goes in and out of a container: attach, logs, the terminal's size; and what runs in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from ..containers.model import Container
from ..errors import Conflict, Failed, NotSupported
from ..host.attachment import Attachment
from ..host.logs import read_log
from ..records import dataclass
from .core import Core
from .process import Process

FIRST_WORDS = 0.1  # seconds


class Replay:
    """An attachment whose output begins with what the log holds; then `live`, or the end."""

    def __init__(self, lines: AsyncIterator[tuple[str, int, bytes]] | None, live: Callable[[], Attachment] | None) -> None:
        self.lines, self.live = lines, live
        self.attached: Attachment | None = None

    def attachment(self) -> Attachment | None:
        """The live one, made when it is first needed."""
        if self.attached is None and self.live is not None:
            self.attached = self.live()
        return self.attached

    async def read(self) -> tuple[int, bytes] | None:
        """The next output; None when there is no more."""
        if self.lines is not None:
            async for _, stream, data in self.lines:
                return stream, data
            self.lines = None
        attached = self.attachment()
        return await attached.read() if attached is not None else None

    async def write(self, data: bytes) -> None:
        """Input for the container."""
        if (attached := self.attachment()) is not None:
            await attached.write(data)

    async def close_stdin(self) -> None:
        """There is no more input."""
        if (attached := self.attachment()) is not None:
            await attached.close_stdin()

    def close(self) -> None:
        """Let go."""
        self.live = None
        if self.attached is not None:
            self.attached.close()


def age(container: Container) -> float:
    """Seconds since a container was started."""
    try:
        started = datetime.fromisoformat(container.state.started_at[:26].rstrip("Z") + "+00:00")
    except ValueError:
        return FIRST_WORDS + 1
    return (datetime.now(UTC) - started).total_seconds()


@dataclass
class Streams:
    """The streams of containers."""

    core: Core
    process: Process

    async def attach(
        self, ref: str, *, stdin: bool = False, stdout: bool = True, stderr: bool = True, stream: bool = True, logs: bool = False
    ) -> Attachment | Replay:
        """A client for the streams; before the start it waits for them and misses nothing. Conflict where it is paused."""
        container = self.core.find_container(ref)
        if container.state.status == "paused":
            raise Conflict(f"container {container.id} is paused, unpause the container before attach")
        if container.state.status == "restarting":
            raise Conflict(f"container {container.id} is restarting, wait until the container is running")
        self.core.tell_container("attach", container)

        def live() -> Attachment:
            return self.process.attach(container, stdin=stdin and container.config.open_stdin)

        if stream and not logs:
            return live()
        return Replay(self.logs(ref, stdout=stdout, stderr=stderr) if logs else None, live if stream else None)

    async def logs(
        self, ref: str, *, follow: bool = False, stdout: bool = True, stderr: bool = True, since: str = "", until: str = "", tail: int | None = None
    ) -> AsyncIterator[tuple[str, int, bytes]]:
        """(timestamp, stream, bytes) of each line as it was written; with `follow` until the container ends."""
        container = self.core.find_container(ref)
        path = self.process.log_path(container)
        if path is None:
            raise NotSupported("configured logging driver does not support reading")

        if not follow:
            await self.spoken(container)

        def running() -> bool:
            current = self.core.state.containers.get(container.id)
            return current is not None and current.state.running

        async for entry in read_log(path, since=since, until=until, tail=tail, follow=follow, running=running):
            if (stdout and entry[1] == 1) or (stderr and entry[1] == 2):
                yield entry

    async def spoken(self, container: Container) -> None:
        """Give a container that has only just been started the time to say its first words.

        Docker takes longer to start a container than a short command takes to run, so scripts ask for its log at once and find it all.
        """
        while (current := self.core.state.containers.get(container.id)) is not None and current.state.running:
            if age(current) > FIRST_WORDS:
                return
            await asyncio.sleep(FIRST_WORDS / 20)

    async def resize(self, ref: str, rows: int, columns: int) -> None:
        """The size of a container's terminal."""
        container = self.running(ref)
        self.process.monitor.resize(container.id, rows, columns)
        self.core.tell_container("resize", container, height=str(rows), width=str(columns))

    def running(self, ref: str) -> Container:
        container = self.core.find_container(ref)
        if not container.state.running:
            raise Conflict(f"container {container.id} is not running")
        return container

    async def top(self, ref: str, arguments: str = "") -> tuple[list[str], list[list[str]]]:
        """(titles, rows) of ps(1) on the host for the container's processes."""
        container = self.running(ref)
        pids = {str(pid) for pid in await self.process.pids(container)}
        words = arguments.split() or ["-ef"]
        process = await asyncio.create_subprocess_exec("ps", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        out, err = await process.communicate()
        if process.returncode:
            raise Failed(f"ps: {err.decode(errors='replace').partition(chr(10))[0] or f'exit status {process.returncode}'}")
        self.core.tell_container("top", container)
        lines = out.decode(errors="replace").splitlines()
        titles = lines[0].split()
        if "PID" not in titles:
            raise Failed("Couldn't find PID field in ps output")
        place = titles.index("PID")
        rows = [line.split(None, len(titles) - 1) for line in lines[1:]]
        return titles, [row for row in rows if len(row) > place and row[place] in pids]
