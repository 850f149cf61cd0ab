"""The keeper's process as /proc shows it: for when it does not speak for itself."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sanbashi.errors import Unavailable
from sanbashi.keeper import protocol

PROC = Path("/proc")
PATIENCE = 2.0  # seconds without a word until its process is looked at
ENDURANCE = 60.0  # seconds that one which runs may be silent: on a machine that is busy, or slow, it is a matter of time
GRACE = 10.0  # seconds that one that is to end may take
PAUSE = 0.005  # seconds between two attempts at what no event tells of
LOOK = 0.2  # and where each is a look at all processes
STOPPED = "T"  # by a signal, proc_pid_stat(5); one that is traced goes on some time
Result = TypeVar("Result")


class Silent(Unavailable):
    """The keeper does not answer, and why."""

    def __init__(self, root: Path, pid: int) -> None:
        how = "it is stopped" if stopped(pid) else f"it has been silent for {ENDURANCE:.0f} seconds"
        instead = f"kill -9 {pid}, and the daemon starts its own in its place" if pid else ""
        awake = f"kill -CONT {pid} wakes it; or " if stopped(pid) else ""
        super().__init__(
            f"the keeper{f' (process {pid})' if pid else ''} does not answer: {how}",
            hint=f"{awake}{instead}; {root / protocol.LOG} may say why".removeprefix("; "),
        )


def patiently(root: Path, pid: int, call: Callable[[], Result]) -> Result:
    """What a call to the keeper gives, however slow the keeper is; Silent where it is stopped, or was silent for longer than any machine takes."""
    begun = time.monotonic()
    while True:
        look = True
        try:
            return call()
        except TimeoutError:
            pass  # its patience is ours
        except BlockingIOError:  # so many wait to be heard that one more cannot
            time.sleep(PAUSE)
            look = time.monotonic() - begun > PATIENCE
        if look and (stopped(pid or keeper_of(root)) or time.monotonic() - begun > ENDURANCE):
            raise Silent(root, pid or keeper_of(root)) from None


def keeper_of(root: Path) -> int:
    """The process that serves an exec root, known by the lock that it holds; 0 where none is seen."""
    with contextlib.suppress(FileNotFoundError):
        lock = (root / protocol.LOCK).stat()
        for process in PROC.iterdir():
            if process.name.isdecimal():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                    words = (process / "cmdline").read_bytes().split(b"\0")
                    if b"--lock" not in words[:-1]:
                        continue
                    descriptor = words[words.index(b"--lock") + 1].decode()
                    if descriptor.isdecimal() and os.path.samestat((process / "fd" / descriptor).stat(), lock):
                        return int(process.name)
    return 0


def stopped(pid: int) -> bool:
    """Whether a process waits for somebody to let it go on."""
    try:
        return bool(pid) and (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == STOPPED
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill(pid: int) -> None:
    """End a process that does not end when asked to; gone already is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
