"""A conmon of an exec to be, as far as it gets before the runtime has to join the container.

An exec is asked for with two requests, create and start. conmon, its pipes and its socket are made while the client makes up the second. What is to
run is written last of all: where the daemon dies before, the runtime that conmon then starts finds no process to run, and both end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from concurrent.futures import Future
from pathlib import Path

from .conmon import conmon_command, end_conmon, stream_words
from .descriptors import as_given
from .runtime import Runtime, environment
from .spawning import nothing, spawn, status

PROCESS = "process.json"
TO_BE_TOLD = ("_OCI_SYNCPIPE", "_OCI_STARTPIPE", "_OCI_ATTACHPIPE")


class Poised:
    """A conmon that waits for its word; OSError where it does not live to hear it. Made, told and ended in a launcher's thread.

    `folder` (EXEC_ROOT/execs) gets a directory of the exec's own for as long as it lasts: `own`. One that was made is told once or ended.
    Attached, it has made its socket by then, and the word does not block; detached, it runs as soon as it is told.
    """

    def __init__(
        self, runtime: Runtime, container_id: str, folder: Path, *, terminal: bool = False, stdin: bool = False, detach: bool = False
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.container_id, self.detach = container_id, detach
        self.own = own = Path(tempfile.mkdtemp(prefix="", dir=folder))
        words = conmon_command(runtime, container_id, own.name, own, log="none", runtime_log=own / "log")
        words += ["-e", "--exec-process-spec", str(own / PROCESS), *([] if detach else ["--exec-attach"])]
        words += stream_words(terminal=terminal, stdin=stdin, closable=stdin and not terminal)
        with contextlib.ExitStack() as undone:
            undone.callback(shutil.rmtree, own, ignore_errors=True)
            self.begin(words)
            undone.pop_all()

    def begin(self, words: list[str]) -> None:
        """Start it; attached, have it go as far as it can."""
        with contextlib.ExitStack() as passing, contextlib.ExitStack() as ours:
            with contextlib.ExitStack() as its:
                self.sync, its_sync = pipe(ours, its)
                its_start, self.start = pipe(its, ours)
                attached, its_attached = pipe(passing, its)
                ends = (its_sync, its_start, *(() if self.detach else (its_attached,)))
                none = its.enter_context(nothing())
                told = [(name, str(number)) for number, (name, _) in enumerate(zip(TO_BE_TOLD, ends, strict=False), 3)]
                self.pid = spawn(as_given(words), given=(none, none, none, *ends), env=environment(told), cwd=self.own, session=True)
            if not self.detach:
                try:
                    os.write(self.start, b"\n")
                    if not os.read(attached, 4096):
                        raise ConnectionAbortedError("it has ended")
                finally:
                    status(self.pid)  # its first process, which ends as soon as the monitor proper runs
            ours.pop_all()

    def release(self, process: bytes) -> int:
        """Have the runtime run `process` (the OCI process object): where it is told what came of it, to be closed by the caller.

        Where that fails with OSError, nothing is left.
        """
        try:
            (self.own / PROCESS).write_bytes(process)
            os.write(self.start, b"\n")
        except BaseException:
            self.abandon()
            raise
        os.close(self.start)
        if self.detach:
            status(self.pid)
        return self.sync

    def abandon(self) -> None:
        """End it before it does anything."""
        if self.detach:
            os.kill(self.pid, signal.SIGKILL)
            status(self.pid)
        else:
            # Its child goes with it. Were our end closed before, the child would go on and have the runtime write into the folder.
            end_conmon(self.own, self.container_id, wait=True)
        os.close(self.sync)
        os.close(self.start)
        shutil.rmtree(self.own, ignore_errors=True)


def abandon(poised: Future[Poised]) -> None:
    """End one that is on its way, as soon as it is there; blocking. That it did not start either is not told."""
    with contextlib.suppress(OSError):
        poised.result().abandon()


def pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe, each end of which is closed with its stack: (to read, to write)."""
    read, write = os.pipe2(os.O_CLOEXEC)
    reader.callback(os.close, read)
    writer.callback(os.close, write)
    return read, write
