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

from .peeking import contents, processes, text

PATIENCE = 2.0  # seconds without a word until its process is looked at
ENDURANCE = 60.0  # seconds that one which runs may be silent: on a machine that is busy, or slow, it is a matter of time
GRACE = 10.0  # seconds that one that is to end may take
PAUSE = 0.005  # seconds between two attempts at what no event tells of
LOOK = 0.2  # and where each is a look at all processes
STOPPED = "T"  # by a signal, proc_pid_stat(5); one that is traced goes on some time
Result = TypeVar("Result")


class Silent(Unavailable):
    """The keeper does not answer, and why."""

    def __init__(self, root: Path, pid: int, *, asleep: bool) -> None:
        how = "it is stopped" if asleep else f"it has been silent for {ENDURANCE:.0f} seconds"
        instead = f"kill -9 {pid}, and the daemon starts its own in its place" if pid else ""
        awake = f"kill -CONT {pid} wakes it; or " if asleep else ""
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
        if look:
            found, asleep = looked_at(root, pid)
            if asleep or time.monotonic() - begun > ENDURANCE:
                raise Silent(root, found, asleep=asleep) from None


def keeper_of(root: Path) -> int:
    """The process that serves an exec root, known by the lock that it holds; 0 where none is seen."""
    try:
        lock = (root / protocol.LOCK).stat()
    except FileNotFoundError:
        return 0
    for process in processes("/proc"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            words = contents(f"/proc/{process}/cmdline").split(b"\0")
            if b"--lock" not in words[:-1]:
                continue
            descriptor = words[words.index(b"--lock") + 1]
            if descriptor.isdigit() and os.path.samestat(Path(f"/proc/{process}/fd/{descriptor.decode()}").stat(), lock):
                return int(process)
    return 0


def looked_at(root: Path, pid: int = 0) -> tuple[int, bool]:
    """The keeper's process, 0 where none is seen, and whether it is stopped: asked once, for a moment later it may be otherwise."""
    found = pid or keeper_of(root)
    return found, stopped(found)


def stopped(pid: int) -> bool:
    """Whether a process waits for somebody to let it go on."""
    return bool(pid) and text(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] == [STOPPED]


def kill(pid: int) -> None:
    """End a process that does not end when asked to; gone already is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
