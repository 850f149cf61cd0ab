"""Control groups: the wait that the first move of a process into one costs, begun early.

Moving a process takes the kernel's lock over forks and exits for writing (cgroup_threadgroup_rwsem), whose first taker in a while waits for
an RCU grace period, 8 to 15 ms here; whoever comes in the next 20 ms or so does not wait. A runtime moves its container's first process
15 ms after a start has begun, so we take the lock at once, by moving this process to where it is, and the wait passes while other things are done.
The mount option favordynmods would do away with it for good, but it is a setting of the host's and not ours to change.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
from pathlib import Path

log = logging.getLogger("sanbashi.host")

TOP = Path("/sys/fs/cgroup")


def own_lines() -> str:
    """/proc/self/cgroup, which may say another thing tomorrow."""
    return Path("/proc/self/cgroup").read_text()


@functools.lru_cache(1)
def group_in(lines: str) -> Path | None:
    """The cgroup.procs of the group that /proc/self/cgroup names, in any hierarchy; None where none is surely ours."""
    for line in lines.splitlines():
        _, controllers, path = line.split(":", 2)
        folder = TOP / controllers.removeprefix("name=") if controllers else TOP
        procs = folder / path.lstrip("/") / "cgroup.procs"
        # What is mounted may begin elsewhere than what the lines are relative to: only a group that has us is ours.
        with contextlib.suppress(OSError):
            if str(os.getpid()) in procs.read_text().split():
                return procs
    return None


class Haste:
    """Takes the lock over forks once for all who ask while it is being waited for."""

    def __init__(self) -> None:
        self._busy = threading.Lock()

    def begin(self) -> None:
        """Wait for the grace period; returns when it has passed. It only saves time, so a refusal is no error."""
        if not self._busy.acquire(blocking=False):
            return
        group: Path | None = None
        try:
            group = group_in(own_lines())
            if group is None:
                return
            descriptor = os.open(group, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(descriptor, b"%d" % os.getpid())
            finally:
                os.close(descriptor)
        except OSError as error:
            log.debug("starts are not hastened: %s: %s", group or "/proc/self/cgroup", error.strerror)
        finally:
            self._busy.release()
