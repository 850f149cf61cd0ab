"""Running something in a container that runs: `conmon --exec`, which has the runtime join the container and tells the end.

runc keeps its own process for as long as anybody holds the exec's pipes, and crun's does not follow a terminal's size; conmon does both
right for either, answers on the same attach socket as for containers (hub.py) and costs 4 ms. See docs/decisions/0013.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec

from ..containers.failure import failure
from .attachment import Attachment
from .conmon import end_conmon, set_size
from .hub import Hub
from .poised import Poised
from .runtime import Runtime, message

KILLED = 137


class Running:
    """An exec that runs. `attachment` carries its streams (closed already where detached), `ended` becomes its exit code; `pid` is the host's."""

    def __init__(self, folder: Path, sync: int, attachment: Attachment, hub: Hub) -> None:
        self._folder = folder
        self._sync = sync
        self._heard = b""
        self._hub = hub
        loop = asyncio.get_running_loop()
        self._began: asyncio.Future[Mapping[str, Any]] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()
        self.attachment = attachment
        self.pid = 0
        loop.add_reader(sync, self._hear)

    def _hear(self) -> None:
        block = os.read(self._sync, 65536)
        self._heard += block
        while b"\n" in self._heard:
            line, self._heard = self._heard.split(b"\n", 1)
            self._said(json.loads(line))
        if not block:
            self._over(KILLED)

    def _said(self, answer: Mapping[str, Any]) -> None:
        """First the pid (or -1 and a message), then the exit code."""
        if not self._began.done():
            logged = self._log() if answer["data"] <= 0 else ""
            self._began.set_result({**answer, "message": logged or message(str(answer.get("message", "")))})
        elif not self.ended.done():
            self.ended.set_result(int(answer["data"]))

    def _over(self, code: int) -> None:
        asyncio.get_running_loop().remove_reader(self._sync)
        os.close(self._sync)
        if not self._began.done():
            self._said({"data": -1})
        if not self.ended.done():
            self.ended.set_result(code)
        self._hub.container_ended()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def began(self) -> Mapping[str, Any]:
        """What conmon says of the runtime's exec: {"data": pid} or {"data": -1, "message": ...}."""
        return await self._began

    def _log(self) -> str:
        """What the runtime wrote into its log, which goes with the folder."""
        log = self._folder / "log"
        return message(log.read_text()) if log.exists() else ""

    def kill(self) -> None:
        """End its process at once; ended already is not an error."""
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def resize(self, rows: int, columns: int) -> None:
        """Give the exec's terminal another size; Conflict where it has ended."""
        set_size(self._folder / "ctl", rows, columns)


async def execute(
    runtime: Runtime,
    container_id: str,
    process: Mapping[str, Any],
    folder: Path,
    *,
    stdin: bool = False,
    detach: bool = False,
    poised: Future[Poised] | None = None,
) -> Running:
    """Begin `process` (the OCI process object) in the container; CannotRun or RuntimeFailed in Docker's words where it cannot run.

    `poised`: a conmon that was made before, for the same streams; else one is made now, with `folder` as Poised has it. Returns when the process
    runs; nothing that it says is lost, since it begins only after we are attached.
    """
    terminal = bool(process.get("terminal"))
    command = str((process.get("args") or [""])[0])
    closable = stdin and not terminal
    if poised is None:
        poised = runtime.launcher.begin(lambda: Poised(runtime, container_id, folder, terminal=terminal, stdin=stdin, detach=detach))
    try:
        conmon = await asyncio.wrap_future(poised)
    except OSError as error:
        raise failure("exec", runtime.name, f"conmon does not start: {error.strerror}", command) from error
    hub = Hub(closable=closable)
    attachment = hub.attach(stdin=stdin)
    word = msgspec.json.encode(process)
    try:
        if detach:
            attachment.close()
            sync = await runtime.launcher.call(lambda: conmon.release(word))
        else:
            connect(hub, conmon)
            sync = conmon.release(word)
    except OSError as error:
        raise failure("exec", runtime.name, f"conmon does not answer: {error.strerror}", command) from error
    running = Running(conmon.own, sync, attachment, hub)
    answer = await running.began()
    running.pid = int(answer.get("data", -1))
    if running.pid <= 0:
        end_conmon(conmon.own, container_id)
        attachment.close()
        raise failure("exec", runtime.name, str(answer["message"]), command)
    return running


def connect(hub: Hub, conmon: Poised) -> None:
    """Attach the hub; OSError where that fails, and then nothing is left."""
    try:
        hub.connect(conmon.own)
    except BaseException:
        conmon.abandon()
        raise


def sweep(folder: Path) -> None:
    """Make the folder of execs, empty: at the daemon's start none of them is ours any more."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
