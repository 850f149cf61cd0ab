"""conmon's command line and first words; what of it is on disk and in /proc."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import Conflict
from .descriptors import as_given
from .peeking import contents
from .runtime import Runtime, environment
from .spawning import nothing, spawn, status

GONE = 1000  # milliseconds in which a killed process has ended, unless the kernel itself keeps it


def conmon_command(
    runtime: Runtime, container_id: str, name: str, folder: Path, *, log: str, runtime_log: Path, exits: Path | None = None
) -> list[str]:
    """What every conmon is told: whose, in which folder (bundle, pids, sockets), where the exit code is written, which runtime and its options."""
    words = [str(runtime.conmon), "--api-version", "1", "--log-level", "error", "-c", container_id, "-u", name, "-b", str(folder), "--full-attach"]
    words += ["-p", str(folder / "pid"), "-P", str(folder / "conmon.pid"), "-l", log, "--no-sync-log"]
    words += ["--exit-dir", str(exits)] if exits is not None else []
    program, *options = runtime.command(log=runtime_log)
    words += ["-r", program]
    for option in options:
        words += ["--runtime-arg", option]
    return words


def stream_words(*, terminal: bool, stdin: bool, closable: bool) -> list[str]:
    """The streams; `closable`: stdin ends when a client's half-close or leaving says so."""
    return [*(["-t"] if terminal else []), *(["-i"] if stdin else []), *(["--leave-stdin-open"] if stdin and not closable else [])]


def tell(control: Path, message: str) -> None:
    """A line to conmon's control fifo; Conflict where it does not read any more."""
    try:
        descriptor = os.open(control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Conflict("it is not running") from error
    try:
        os.write(descriptor, f"{message}\n".encode())
    finally:
        os.close(descriptor)


def set_size(control: Path, rows: int, columns: int) -> None:
    """Tell conmon the size of the terminal that it holds."""
    tell(control, f"1 {rows} {columns}")


class Waiting:
    """A conmon that has been started and waits for its word before it does anything: until then it is a child of ours like any other.

    Methods run in a launcher's thread, whose mount namespace conmon inherits. One that is never released must be ended by `abandon`.
    """

    def __init__(self, words: list[str], bundle: Path) -> None:
        self._sync, its_sync = os.pipe2(os.O_CLOEXEC)
        try:
            its_start, self._start = os.pipe2(os.O_CLOEXEC)
        except OSError:  # no descriptors are left
            os.close(self._sync)
            os.close(its_sync)
            raise
        self._errors = bundle / "conmon.err"
        self.ended = False  # the process that was started, of this pid: so after `release`, when the monitor proper has taken its place
        try:
            with self._errors.open("wb") as errors, nothing() as none:
                self.pid = spawn(
                    as_given(words),
                    given=(none, none, errors.fileno(), its_sync, its_start),
                    env=environment([("_OCI_SYNCPIPE", "3"), ("_OCI_STARTPIPE", "4")]),
                    cwd=bundle,
                    session=True,
                )
        except BaseException:
            self._close()
            raise
        finally:
            os.close(its_sync)
            os.close(its_start)

    def release(self, begun: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Let it have the runtime create the container, and wait for what it says: {"data": pid} or {"data": -1, "message": ...}.

        `begun` is called when it has its word.
        """
        try:
            # Nobody reads it any more where conmon did not like its options: then it has said why.
            with contextlib.suppress(BrokenPipeError):
                os.write(self._start, b"\n")
            begun()
            status(self.pid)  # its first process, which ends as soon as the monitor proper runs
            self.ended = True
            block = b""
            while not block.endswith(b"\n"):
                more = os.read(self._sync, 65536)
                if not more:
                    break
                block += more
            if not block:
                return {"data": -1, "message": self._errors.read_text("utf-8", "replace")}
            answer: dict[str, Any] = json.loads(block.splitlines()[-1])
            return answer
        finally:
            self._close()

    def abandon(self) -> None:
        """End it before it does anything."""
        if not self.ended:
            os.kill(self.pid, signal.SIGKILL)
            status(self.pid)
            self.ended = True
        self._close()

    def _close(self) -> None:
        os.close(self._sync)
        os.close(self._start)


def read_number(path: Path) -> int:
    """The number in a pid file; 0 where there is none."""
    try:
        text = contents(str(path)).strip()
    except FileNotFoundError:
        return 0
    return int(text) if text.isdigit() else 0


def end_conmon(folder: Path, container_id: str, *, wait: bool = False) -> None:
    """End the conmon of this folder, which has nothing more to do; mostly it has ended by itself. `wait` until it is gone, for a while."""
    pid = read_number(folder / "conmon.pid")
    if pid <= 0:
        return
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            if is_conmon_of(pid, container_id):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                if wait:
                    ended = select.poll()
                    ended.register(descriptor, select.POLLIN)
                    ended.poll(GONE)
        finally:
            os.close(descriptor)


def is_conmon_of(pid: int, container_id: str) -> bool:
    """Whether this process is the container's conmon and not another that got its number."""
    if pid <= 0:
        return False
    try:
        words = contents(f"/proc/{pid}/cmdline").split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return container_id.encode() in words
