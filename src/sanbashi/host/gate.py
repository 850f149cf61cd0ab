"""The gate at which a created container's first process waits: a fifo in the runtime's record of the container.

`start` of crun and of runc opens it and does nothing more where there are no hooks and no NOTIFY_SOCKET, and we give them neither. Done here it
takes a tenth of a millisecond or the time that the process needs; a program of theirs for it takes 5 ms or 9.
"""

from __future__ import annotations

import os
import select
from contextlib import ExitStack
from pathlib import Path

GATE = "exec.fifo"  # crun's and runc's name for it alike


def push(gate: Path) -> bool:
    """crun's: its process reads, and goes on with the first byte. False where nobody waits at it; it does not block."""
    try:
        descriptor = os.open(gate, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # no gate, or nobody who reads
        return False
    try:
        os.write(descriptor, b"\0")
    except BrokenPipeError:
        return False
    finally:
        os.close(descriptor)
    # After the byte, where crun has it before: as long as the gate is there the container is "created" to crun, and a daemon that finds it so
    # after a death in between takes it away, as one whose start nobody was told of. The other way round it would wait for its byte for ever.
    gate.unlink(missing_ok=True)
    return True


def pull(gate: Path, pid: int) -> bool:
    """runc's: its process waits for a reader, writes a byte and goes on; blocks until it has written. False where it is gone."""
    with ExitStack() as stack:
        try:
            process = os.pidfd_open(pid)  # first: once the gate is open it may run to its end at once
            stack.callback(os.close, process)
            reading = os.open(gate, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            stack.callback(os.close, reading)
        except (ProcessLookupError, FileNotFoundError):
            return False
        # Before it has opened the gate there is nothing to hear from it, and when it has gone there will be nothing more.
        waiting = select.poll()
        waiting.register(reading, select.POLLIN)
        waiting.register(process, select.POLLIN)
        waiting.poll()
        if not os.read(reading, 1):
            return False
    gate.unlink(missing_ok=True)
    return True
