"""Where a test may end the daemon, or another process: at the n-th step boundary, as kill -9 does.

SANBASHI_CRASH names a file. Once "N PID" stands in it, the N-th boundary from then on ends that process; with PID 0 the daemon itself.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from pathlib import Path

ARM = os.environ.get("SANBASHI_CRASH", "")
turn = threading.Lock()
armed = ""
passed = 0


def crash_point(name: object) -> None:
    """A step boundary, described by `name`; costs a comparison where no test asked."""
    if ARM:
        with turn:
            step_on(str(name))


def step_on(name: str) -> None:
    """Count a boundary, and end what is to end at it."""
    global armed, passed
    try:
        words = Path(ARM).read_text()
    except FileNotFoundError:
        return
    if words != armed:
        armed, passed = words, 0
    passed += 1
    at, victim = map(int, words.split()) if words else (0, 0)
    if passed != at:
        return
    os.write(2, f"crash point {passed}: {name}\n".encode())
    descriptor = os.pidfd_open(victim or os.getpid())
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    # What follows happens after the end, not beside it.
    select.select([descriptor], [], [])
    os.close(descriptor)
