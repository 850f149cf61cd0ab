"""exec: processes run in containers that run; known while they run and for a while after."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import Future
from dataclasses import field
from pathlib import Path

from ..containers import lifecycle as moves
from ..containers.failure import NOT_EXECUTABLE, CannotRun, RuntimeFailed
from ..containers.model import Container, ExecConfig
from ..containers.spec import exec_process
from ..errors import Conflict, Invalid, NotFound, SanbashiError
from ..host.attachment import Attachment
from ..host.exec import Running, execute
from ..host.poised import Poised, abandon
from ..host.rootfs import find_user
from ..records import dataclass
from .core import Core, whole
from .process import Process
from .stages import stage, stages

KEPT = 1000  # ended execs that inspect still knows
POISED = 8  # execs at a time whose conmon is made before they are started
PATIENCE = 1.0  # seconds that one is kept; a client starts what it has created within a few milliseconds, or not at all


def told(what: str, config: ExecConfig) -> str:
    """An event's action with the command, as Docker writes it: a space after its first word, with nothing behind it too."""
    first, *rest = config.cmd or ("",)
    return f"{what}: {first} {' '.join(rest)}"


@dataclass
class ExecState:
    """One exec: what was asked for and where it stands; `exit_code` None until it has ended."""

    id: str
    container_id: str
    config: ExecConfig
    running: Running | None = None
    poised: Future[Poised] | None = None
    started: bool = False
    exit_code: int | None = None
    pid: int = 0

    @property
    def is_running(self) -> bool:
        return self.started and self.exit_code is None


@dataclass
class Execs:
    """All execs of this daemon; they end with the daemon's knowledge of them, the processes do not."""

    core: Core
    process: Process
    known: dict[str, ExecState] = field(default_factory=dict)
    poised: dict[str, asyncio.TimerHandle] = field(default_factory=dict)  # by exec, what lets go of its conmon

    @property
    def folder(self) -> Path:
        """Where an exec that runs has its files."""
        return self.core.config.exec_root / "execs"

    async def create(self, ref: str, config: ExecConfig) -> str:
        """`POST /containers/{id}/exec`: its id."""
        container = self.core.find_container(ref)
        moves.check_exec(container)
        if not config.cmd:
            raise Invalid("No exec command specified")
        entry = ExecState(secrets.token_hex(32), container.id, config)
        if len(self.known) >= KEPT:
            self.forget_ended()
        self.known[entry.id] = entry
        asyncio.get_running_loop().call_soon(self.poise, entry, container)  # when the client has its id
        self.core.tell_container(told("exec_create", config), container, execID=entry.id)
        return entry.id

    def expect(self) -> None:
        """Somebody may be about to run something: what takes longest is begun."""
        self.process.hasten()

    def poise(self, entry: ExecState, container: Container) -> None:
        """Have a conmon made for it, while the client makes up its next request."""
        self.expect()
        config, runtime, folder = entry.config, self.process.runtime(container), self.folder
        if entry.started or config.detach or len(self.poised) >= POISED:
            return
        entry.poised = runtime.launcher.begin(
            lambda: Poised(runtime, container.id, folder, terminal=config.tty, stdin=config.attach_stdin),
        )
        self.poised[entry.id] = asyncio.get_running_loop().call_later(PATIENCE, self.let_go, entry)

    def take(self, entry: ExecState) -> Future[Poised] | None:
        """Its conmon, where one waits or is on its way; whose it is now the caller's affair."""
        poised, entry.poised = entry.poised, None
        if (timer := self.poised.pop(entry.id, None)) is not None:
            timer.cancel()
        return poised

    def let_go(self, entry: ExecState) -> None:
        """End the conmon that waits for it."""
        if (poised := self.take(entry)) is not None:
            self.core.hands.submit(abandon, poised)

    def close(self) -> None:
        """End every conmon that waits; what runs goes on."""
        for exec_id in list(self.poised):
            self.let_go(self.known[exec_id])

    def forget_ended(self) -> None:
        for id_ in [i for i, e in self.known.items() if e.exit_code is not None][: KEPT // 2]:
            del self.known[id_]

    def inspect(self, exec_id: str) -> ExecState:
        """Where it stands; NotFound."""
        entry = self.known.get(exec_id)
        if entry is None:
            raise NotFound(f"No such exec instance: {exec_id}")
        return entry

    @whole
    async def start(
        self, exec_id: str, *, detach: bool = False, tty: bool | None = None, console_size: tuple[int, int] | None = None
    ) -> Attachment | None:
        """Run it; its streams, or None where it was started detached."""
        entry = self.inspect(exec_id)
        if entry.started:
            raise Conflict(f"exec command {exec_id} is already running" if entry.exit_code is None else f"exec command {exec_id} has already run")
        container = self.core.find_container(entry.container_id)
        moves.check_exec(container)
        entry.started = True
        if detach:  # the one that waits has a socket, for which nobody would come
            self.let_go(entry)
        try:
            with stages("exec", container.id), self.process.hastened():
                return await self.run(entry, container, detach=detach, console_size=console_size)
        finally:
            self.let_go(entry)

    async def run(self, entry: ExecState, container: Container, *, detach: bool, console_size: tuple[int, int] | None) -> Attachment | None:
        """Run what was asked for; its streams unless `detach`."""
        config = entry.config
        try:
            with stage("user"):
                root = Path(f"/proc/{container.state.pid}/root")
                user = await self.core.on_host(find_user, root, config.user or container.config.user, container.host_config.group_add or ())
            spec = exec_process(container, config, user, self.process.facts)
            if console_size and any(console_size):
                spec = {**spec, "consoleSize": {"height": console_size[0], "width": console_size[1]}}
            with stage("run", runtime=True):
                running = await execute(
                    self.process.runtime(container),
                    container.id,
                    spec,
                    self.folder,
                    stdin=config.attach_stdin and not detach,
                    detach=detach,
                    poised=self.take(entry),
                )
        except SanbashiError as error:
            entry.exit_code = error.exit_code if isinstance(error, CannotRun | RuntimeFailed) else NOT_EXECUTABLE
            raise
        entry.running, entry.pid = running, running.pid
        self.core.tell_container(told("exec_start", config), container, execID=entry.id)
        running.ended.add_done_callback(lambda ended: self.ended(entry, container, ended.result()))
        return running.attachment

    def ended(self, entry: ExecState, container: Container, code: int) -> None:
        entry.exit_code = code
        entry.running = None
        self.core.tell_container("exec_die", container, execID=entry.id, exitCode=str(code))

    async def wait(self, exec_id: str) -> int:
        """Its exit code, when it has one."""
        entry = self.inspect(exec_id)
        if entry.exit_code is None and entry.running is not None:
            return await asyncio.shield(entry.running.ended)
        return entry.exit_code if entry.exit_code is not None else 0

    def abandon(self, exec_id: str) -> None:
        """End it if it still runs, and know it no longer; for probes, which nobody inspects."""
        entry = self.known.pop(exec_id, None)
        if entry is not None:
            self.let_go(entry)
        if entry is not None and entry.running is not None:
            entry.running.attachment.close()
            entry.running.kill()

    async def resize(self, exec_id: str, rows: int, columns: int) -> None:
        """The size of its terminal."""
        entry = self.inspect(exec_id)
        if entry.running is None:
            raise Conflict(f"exec {exec_id} is not running")
        entry.running.resize(rows, columns)
