"""conmon: one small process a container, which holds its streams, writes its log and records its end, whatever becomes of the daemon.

On disk: `exec_root/containers/<id>/` is the bundle (config.json, attach socket, ctl fifo, pids), `exec_root/exits/<id>` the exit code that
conmon leaves. Both are found again by `find` after the daemon's death.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import field
from pathlib import Path
from typing import Any

import msgspec

from ..containers.failure import CannotRun, RuntimeFailed, failure
from ..errors import Conflict
from ..records import dataclass
from .attachment import Attachment
from .conmon import Waiting, conmon_command, end_conmon, is_conmon_of, read_number, set_size, stream_words
from .following import Following
from .hub import Hub
from .inotify import Watch
from .launcher import Launcher, in_loop
from .mounts import clone_mount
from .runtime import Runtime, Runtimes, message
from .separated import in_place
from .standing import status_of

KILLED = 137  # what is told of a container whose monitor was killed, as Docker tells of one whose shim was


@dataclass(frozen=True, slots=True)
class Created:
    """A container that exists and does not run yet: its init waits for `start`."""

    pid: int
    monitor_pid: int


@dataclass(slots=True)
class Launch:
    """A conmon on its way: it waits, once it is there, until `released`. `closable`: the container's stdin ends with its first client.

    `trees`: copies of the mounts that the container is made of, where its runtime does not see ours.
    """

    container_id: str
    runtime: Runtime
    launcher: Launcher
    starting: Future[Waiting]
    closable: bool
    released: bool = False
    trees: list[tuple[int, Path]] = field(default_factory=list)

    def carry(self, places: Iterable[Path]) -> None:
        """Have these mounts of ours where the runtime creates the container; blocking."""
        if (separated := self.launcher.separated) is not None:
            self.trees += [(clone_mount(place), place) for place in places if separated.left_out(os.path.realpath(place))]

    def release(self, waiting: Waiting, begun: Callable[[], None]) -> dict[str, Any]:
        """Have the runtime create the container, and wait for what conmon says of it; in a launcher's thread."""
        with contextlib.ExitStack() as left:
            left.callback(self.drop)
            try:
                if self.trees and self.launcher.separated is not None:
                    self.launcher.separated.join(waiting.pid)
                    left.enter_context(in_place(self.trees))
            except BaseException:
                waiting.abandon()
                raise
            return waiting.release(begun)

    def drop(self) -> None:
        """Let go of the copies."""
        while self.trees:
            os.close(self.trees.pop()[0])


@dataclass(frozen=True, slots=True)
class Exit:
    """A container's end. `finished` in nanoseconds of Unix time."""

    container_id: str
    exit_code: int
    oom: bool
    finished: int


@dataclass(frozen=True, slots=True)
class Found:
    """What is left of a container: alive (then `status` is the runtime's word: created, running or paused), or its recorded `exit`, or neither."""

    alive: bool
    pid: int = 0
    monitor_pid: int = 0
    status: str = ""
    exit: Exit | None = None


class Monitor:
    """Everything about conmon. `open` before use, in the loop; `close` at the daemon's end, which leaves the containers running."""

    def __init__(self, exec_root: Path, runtimes: Runtimes) -> None:
        self.runtimes = runtimes
        self.bundles = exec_root / "containers"
        self._exits = exec_root / "exits"
        self._hubs: dict[str, Hub] = {}
        self._followed = Following(self._monitor_gone)
        self._ended: asyncio.Queue[Exit] = asyncio.Queue()
        self._watch: Watch | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Begin to hear of exits."""
        for directory in (self.bundles, self._exits):
            directory.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._watch = Watch(self._exits, self._recorded)
        self._followed.open()

    def close(self) -> None:
        """Stop hearing; clients' streams end, containers go on."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        self._followed.close()
        for hub in list(self._hubs.values()):
            hub.end()
        self._hubs.clear()

    def bundle(self, container_id: str) -> Path:
        """The container's bundle directory."""
        return self.bundles / container_id

    def make_bundle(self, container_id: str) -> Path:
        """An empty bundle for a start; what an earlier run left in it is gone."""
        bundle = self.bundle(container_id)
        self._sweep(container_id)
        bundle.mkdir(mode=0o700)
        return bundle

    def write_spec(self, container_id: str, spec: Mapping[str, Any], runtime: Runtime) -> None:
        """Put the OCI specification into the bundle, as this runtime takes it quickest."""
        (self.bundle(container_id) / "config.json").write_bytes(msgspec.json.encode(self.runtimes.hastened(spec, runtime)))

    def _sweep(self, container_id: str) -> None:
        shutil.rmtree(self.bundle(container_id), ignore_errors=True)
        (self._exits / container_id).unlink(missing_ok=True)

    @asynccontextmanager
    async def launched(
        self,
        container_id: str,
        runtime: Runtime,
        *,
        terminal: bool,
        stdin: bool,
        log_path: Path | None,
        stdin_once: bool = False,
        log_size: int = 0,
        systemd_cgroup: bool = False,
        sources: Sequence[str] = (),
        propagates: bool = False,
    ) -> AsyncIterator[Launch]:
        """A conmon of the container, started beside whatever is still to be made ready; it waits for `create`, and ends with the block without.

        `log_path` None keeps no log; `log_size` > 0 starts the log anew at that many bytes. The bundle is there, its specification may come later.
        `sources` are the host's paths that the container is given; `propagates`: mounts below them are to reach it, or the host from it.
        """
        bundle, closable = self.bundle(container_id), stdin and stdin_once and not terminal
        log = f"k8s-file:{log_path}" if log_path is not None else "none"
        words = conmon_command(runtime, container_id, container_id, bundle, exits=self._exits, log=log, runtime_log=bundle / "runtime.log")
        words += ["--log-size-max", str(log_size)] if log_size > 0 else []
        words += stream_words(terminal=terminal, stdin=stdin, closable=closable)
        words += ["-s"] if systemd_cgroup else []
        launcher = self.runtimes.launcher
        if sources:  # in a thread: one may lie on a disk that does not answer
            launcher = await asyncio.to_thread(self.runtimes.launcher_for, sources, propagates=propagates)
        starting = launcher.begin(lambda: Waiting(words, bundle), sources, propagates=propagates)
        launch = Launch(container_id, runtime, launcher, starting, closable)
        try:
            yield launch
        finally:
            if not launch.released:
                launch.drop()
                # Not in the launcher, which may be closed by now. That nobody waits any more, because the daemon goes down, ends no thread.
                await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, abandon, launch.starting))

    async def create(self, launch: Launch, command: str = "", begun: asyncio.Event | None = None) -> Created:
        """Have the runtime create the container from its bundle; CannotRun or RuntimeFailed in Docker's words.

        `command` is the first word, for messages. `begun` is set when the runtime is at work and nothing is left to do but wait.
        """
        container_id, bundle = launch.container_id, self.bundle(launch.container_id)
        waiting = await asyncio.shield(asyncio.wrap_future(launch.starting))
        told = in_loop(begun)
        releasing = launch.launcher.begin(lambda: launch.release(waiting, told))
        launch.released = True
        said = await asyncio.shield(asyncio.wrap_future(releasing))
        pid = said.get("data", -1)
        if not isinstance(pid, int) or pid <= 0:
            error = await self._not_created(bundle, container_id, launch.runtime, str(said.get("message", "")), command)
            raise error
        monitor_pid = int((bundle / "conmon.pid").read_text())
        self._follow(container_id, monitor_pid)
        hub = self._hubs.get(container_id)
        if hub is not None:
            hub.closable = launch.closable
            hub.connect(bundle)
        (bundle / "closable").write_text("1" if launch.closable else "")
        return Created(pid, monitor_pid)

    async def _not_created(self, bundle: Path, container_id: str, runtime: Runtime, said: str, command: str) -> CannotRun | RuntimeFailed:
        end_conmon(bundle, container_id)
        log = bundle / "runtime.log"
        logged = message(log.read_text()) if log.exists() else ""
        await self.runtimes.launcher.run(runtime.command("delete", "--force", container_id))
        return failure("create", runtime.name, logged or message(said), command)

    async def start(self, container_id: str, runtime: Runtime, command: str = "") -> None:
        """Let a created container run."""
        bundle = self.bundle(container_id)
        await runtime.start(container_id, read_number(bundle / "pid"), command)
        (bundle / "started").touch()

    def attach(self, container_id: str, *, stdin: bool = False) -> Attachment:
        """A client for the container's streams, from now on; before `create` it waits for the container and misses nothing."""
        hub = self._hubs.get(container_id)
        if hub is None:
            bundle = self.bundle(container_id)
            hub = Hub()
            if container_id in self._followed:
                hub.closable = (bundle / "closable").read_text() == "1"
                try:
                    hub.connect(bundle)
                except (FileNotFoundError, ConnectionRefusedError):
                    hub.end()  # it ended this moment
                    return hub.attach(stdin=stdin)
            self._hubs[container_id] = hub
        return hub.attach(stdin=stdin)

    def release(self, container_id: str) -> None:
        """End the streams of clients that wait for a container which will not start."""
        hub = self._hubs.pop(container_id, None)
        if hub is not None:
            hub.end()

    def resize(self, container_id: str, rows: int, columns: int) -> None:
        """Give the container's terminal another size."""
        try:
            set_size(self.bundle(container_id) / "ctl", rows, columns)
        except Conflict as error:
            raise Conflict(f"Container {container_id} is not running") from error

    async def exits(self) -> AsyncIterator[Exit]:
        """Every end of a container created here or found alive, once, as they come."""
        while True:
            yield await self._ended.get()

    async def find(self, container_id: str, runtime: Runtime) -> Found:
        """What became of a container whose daemon died; one that is alive is followed from now on."""
        bundle = self.bundle(container_id)
        monitor_pid, pid = read_number(bundle / "conmon.pid"), read_number(bundle / "pid")
        if is_conmon_of(monitor_pid, container_id):
            self._follow(container_id, monitor_pid)
        ended = self._read_exit(container_id)
        if ended is not None:
            self._followed.forget(container_id)
            return Found(False, pid, monitor_pid, exit=ended)
        if container_id in self._followed:
            # Only what was started: until then the runtime's own record tells more than the kernel.
            status = status_of(container_id, pid, monitor_pid) if (bundle / "started").exists() else ""
            return Found(True, pid, monitor_pid, status or await runtime.state_of(container_id) or "running")
        if (runtime.state / container_id).exists():
            # The monitor was killed: nobody holds its streams or could tell of its end.
            await runtime.delete(container_id, force=True)
            return Found(False, pid, exit=Exit(container_id, KILLED, False, (runtime.state).stat().st_mtime_ns))
        return Found(False, pid)

    def known(self) -> tuple[str, ...]:
        """Every container that has a bundle, whoever made it: what the daemon does not know of after its death is an orphan."""
        return tuple(sorted(path.name for path in self.bundles.iterdir())) if self.bundles.exists() else ()

    def unfollow(self, container_id: str) -> None:
        """Hear no more of a container that we have killed ourselves."""
        self._followed.forget(container_id)

    def end(self, container_id: str) -> None:
        """End the monitor of such a one; blocking, in any thread.

        Late, on a busy host, it would record this end where the next run of the container has begun, and that would be taken for over.
        """
        end_conmon(self.bundle(container_id), container_id, wait=True)

    def forget(self, container_id: str) -> None:
        """Remove the bundle and the exit record of a container that has ended and was deleted from its runtime."""
        self._followed.forget(container_id)
        self.release(container_id)
        self._sweep(container_id)

    # Hearing of ends.

    def _follow(self, container_id: str, monitor_pid: int) -> None:
        self._followed.follow(container_id, monitor_pid, self.bundle(container_id) / "ctl")

    def _recorded(self, name: str) -> None:
        """An exit file was written; an empty name means that the kernel dropped events, so look at all."""
        for container_id in (name,) if name else self._followed:
            ended = self._read_exit(container_id) if container_id in self._followed else None
            if ended is not None:
                self._end(ended)

    def _end(self, ended: Exit) -> None:
        if self._followed.forget(ended.container_id):
            hub = self._hubs.pop(ended.container_id, None)
            if hub is not None:
                hub.container_ended()
            self._ended.put_nowait(ended)

    def _monitor_gone(self, container_id: str) -> None:
        ended = self._read_exit(container_id)
        if ended is not None:
            self._end(ended)
            return
        task = asyncio.get_running_loop().create_task(self._kill_orphan(container_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _kill_orphan(self, container_id: str) -> None:
        for runtime in self.runtimes.by_name.values():
            if (runtime.state / container_id).exists():
                await runtime.delete(container_id, force=True)
        bundle = self.bundle(container_id)
        finished = bundle.stat().st_mtime_ns if bundle.exists() else 0
        if self._followed.has_died(container_id):  # and it is not another run that is followed by now
            self._end(Exit(container_id, KILLED, False, finished))

    def _read_exit(self, container_id: str) -> Exit | None:
        path = self._exits / container_id
        try:
            code, finished = path.read_text().strip(), path.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        if not code:
            return None
        bundle = self.bundle(container_id)
        # conmon may hear of the end before it hears of the kernel's reason: then the control group tells.
        oom = (bundle / "oom").exists() or (int(code) == KILLED and group_ran_out(bundle))
        return Exit(container_id, int(code), oom, finished)


def abandon(starting: Future[Waiting]) -> None:
    """End a conmon that is on its way, as soon as it is there; blocking.

    Whatever kept it from being released is told; that it did not start either is not.
    """
    with contextlib.suppress(OSError):
        starting.result().abandon()


def group_ran_out(bundle: Path) -> bool:
    """Whether the kernel killed something in the container's control group for want of memory; False where the group is gone."""
    try:
        group = json.loads((bundle / "config.json").read_text())["linux"]["cgroupsPath"]
    except FileNotFoundError:
        return False
    for path in (f"/sys/fs/cgroup/memory{group}/memory.oom_control", f"/sys/fs/cgroup{group}/memory.events"):
        try:
            counts = dict(line.split() for line in Path(path).read_text().splitlines())
        except OSError:
            continue
        if int(counts.get("oom_kill", "0")):
            return True
    return False
