"""Control groups: the wait that the first move of a process into one costs, begun early and never due again while anybody starts something.

Moving a process takes the kernel's lock over forks and exits for writing (cgroup_threadgroup_rwsem), whose first taker in a while waits for
an RCU grace period, 8 to 15 ms here; whoever comes within the next grace period does not wait. A runtime moves its container's first process
15 to 40 ms after a start has begun. So we take the lock at once, by moving this process to where it is, the wait passes while other things are done,
and until the runtime is done we take it again before that time is over (20 to 30 microseconds).
The mount option favordynmods would do away with it for good, but it is a setting of the host's and not ours to change.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from ..containers.spec import CGROUP_PARENT

log = logging.getLogger("sanbashi.host")

TOP = Path("/sys/fs/cgroup")
AGAIN = 0.006  # seconds; grace periods are longer: the kernel looks for the end of one every 3 or 4 ms, and not at once


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


def share_processors() -> None:
    """Have the groups of containers begin with the processors and memory nodes of the one they are in (cpuset, hierarchies of version 1).

    There they begin with none, and the runtime, which then writes both down, has the kernel compare them with every other container's and gather
    the scheduler's domains anew: 1.5 ms of processor time among a thousand. A runtime finds and leaves what is there.
    """
    if not (TOP / "cpuset").is_dir():
        return
    parent = TOP / "cpuset" / CGROUP_PARENT.lstrip("/")
    setting = parent / "cgroup.clone_children"
    try:
        parent.mkdir(exist_ok=True)
        if setting.read_text() != "1\n":
            setting.write_text("1")
    except OSError as error:
        log.debug("every container is given its processors by its runtime: %s", error)


class Haste:
    """Takes the lock over forks, once for all who ask. All it does saves time, so a refusal is no error."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held = 0
        self._at_work = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """While the block lasts, whoever is in `begin` stays there and keeps the lock quick to take."""
        with self._changed:
            self._held += 1
        try:
            yield
        finally:
            with self._changed:
                self._held -= 1
                self._changed.notify_all()

    def begin(self) -> None:
        """Wait for the grace period, and go on as long as it is held; returns at once where another thread does that."""
        with self._changed:
            if self._at_work:
                return
            self._at_work = True
        try:
            share_processors()
            group = group_in(own_lines())
            while group is not None:
                take(group)
                with self._changed:
                    if self._changed.wait_for(lambda: not self._held, AGAIN):
                        break
        except OSError as error:
            log.debug("starts are not hastened: %s", error)
        finally:
            with self._changed:
                self._at_work = False


def take(group: Path) -> None:
    """Move this process into the group in which it is."""
    descriptor = os.open(group, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, b"%d" % os.getpid())
    finally:
        os.close(descriptor)
