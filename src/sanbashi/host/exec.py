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
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..containers.failure import failure
from .attachment import Attachment
from .conmon import conmon_command, end_conmon, set_size, stream_words
from .descriptors import as_given
from .hub import Hub
from .runtime import Runtime, environment, message

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
) -> Running:
    """Begin `process` (the OCI process object) in the container; CannotRun or RuntimeFailed in Docker's words where it cannot run.

    `folder` (EXEC_ROOT/execs) gets a directory of the exec's own for as long as it lasts. Returns when the process runs; nothing that it
    says is lost, since it begins only after we are attached.
    """
    terminal = bool(process.get("terminal"))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    own = Path(tempfile.mkdtemp(prefix="", dir=folder))
    (own / "process.json").write_text(json.dumps(process))
    words = conmon_command(runtime, container_id, own.name, own, exits=own, log="none", runtime_log=own / "log")
    words += ["-e", "--exec-process-spec", str(own / "process.json"), *([] if detach else ["--exec-attach"])]
    words += stream_words(terminal=terminal, stdin=stdin, closable=stdin and not terminal)
    command = str((process.get("args") or [""])[0])
    try:
        sync, start = await runtime.launcher.call(lambda: begin(words, own, wait=not detach))
    except OSError as error:
        shutil.rmtree(own, ignore_errors=True)
        raise failure("exec", runtime.name, f"conmon does not start: {error.strerror}", command) from error
    hub = Hub(closable=stdin and not terminal)
    attachment = hub.attach(stdin=stdin)
    if detach:
        attachment.close()
    try:
        if not detach:
            hub.connect(own)
            os.write(start, b"\n")  # attached: the process may begin
    except OSError as error:
        os.close(sync)
        shutil.rmtree(own, ignore_errors=True)
        raise failure("exec", runtime.name, f"conmon does not answer: {error.strerror}", command) from error
    finally:
        os.close(start)
    running = Running(own, sync, attachment, hub)
    answer = await running.began()
    running.pid = int(answer.get("data", -1))
    if running.pid <= 0:
        end_conmon(own, container_id)
        attachment.close()
        raise failure("exec", runtime.name, str(answer["message"]), command)
    return running


def begin(words: list[str], folder: Path, *, wait: bool) -> tuple[int, int]:
    """Start conmon: our ends of its sync and start pipes; OSError where it does not live long enough to be told to begin.

    With `wait`, returns when its attach socket is there. Runs in a launcher's thread.
    """
    with contextlib.ExitStack() as passing, contextlib.ExitStack() as ours:
        with contextlib.ExitStack() as its:
            sync, its_sync = pipe(ours, its)
            its_start, start = pipe(its, ours)
            attached, its_attached = pipe(passing, its)
            pipes = [("_OCI_SYNCPIPE", its_sync), ("_OCI_STARTPIPE", its_start), *([("_OCI_ATTACHPIPE", its_attached)] if wait else [])]
            process = subprocess.Popen(
                as_given(words),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env=environment([(name, str(end)) for name, end in pipes]),
                pass_fds=[end for _, end in pipes],
                start_new_session=True,
            )
        try:
            os.write(start, b"\n")  # begin at all
        finally:
            process.wait()  # its first process, which ends as soon as the monitor proper runs
        if wait:
            os.read(attached, 4096)
        ours.pop_all()
    return sync, start


def pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe, each end of which is closed with its stack: (to read, to write)."""
    read, write = os.pipe2(os.O_CLOEXEC)
    reader.callback(os.close, read)
    writer.callback(os.close, write)
    return read, write


def sweep(folder: Path) -> None:
    """Make the folder of execs, empty: at the daemon's start none of them is ours any more."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
