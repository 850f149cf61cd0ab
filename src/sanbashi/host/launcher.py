"""Threads that start the runtimes' programs, where crun needs it inside a mount namespace of its own.

crun (1.8) refuses hosts whose cgroups are hybrid (v1 with an empty v2 hierarchy at /sys/fs/cgroup/unified); in a mount namespace without that
mount it works. The namespace is made once and held by a descriptor. A child inherits the namespace of the *thread* that starts it, so
entering costs nothing a start. Its mounts are slaves of ours: what the daemon mounts later is seen there, and what it unmounts goes there too.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from .mounts import MNT_DETACH, MS_REC, MS_SLAVE, libc, mount, refused, unmount

T = TypeVar("T")

CLONE_FS, CLONE_NEWNS = 0x200, 0x20000  # linux/sched.h
UNIFIED = Path("/sys/fs/cgroup/unified")
WORKERS = 12  # programs being started at the same time; each waits for its runtime, 5 to 50 ms


class Launcher:
    """Starts programs in worker threads; `without_unified` puts them where the empty v2 hierarchy is not mounted."""

    def __init__(self, *, without_unified: bool = False) -> None:
        self._namespace = separate_mounts() if without_unified else -1
        self._threads = ThreadPoolExecutor(WORKERS, "launcher", initializer=self._enter)

    def _enter(self) -> None:
        if self._namespace < 0:
            return
        if libc.unshare(CLONE_FS) != 0:  # setns(2): not into a mount namespace while the file system context is shared
            refused("unshare the file system context")
        if libc.setns(self._namespace, CLONE_NEWNS) != 0:
            refused("enter the runtime's mount namespace")

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Run `work` in one of the threads, whatever becomes of who asked for it."""
        return self._threads.submit(work)

    async def call(self, work: Callable[[], T]) -> T:
        """Run `work` in one of the threads: what it starts is started in the namespace."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def run(self, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; what it said is text. It is never killed for taking long: a runtime cut off half way leaves a mess."""

        def work() -> subprocess.CompletedProcess[str]:
            return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", env=env, check=False)

        return await self.call(work)

    def close(self) -> None:
        """End the threads and let go of the namespace; what runs in it goes on."""
        self._threads.shutdown(wait=True)
        if self._namespace >= 0:
            os.close(self._namespace)
            self._namespace = -1


def separate_mounts() -> int:
    """A descriptor of a new mount namespace, ours as a slave without the empty v2 hierarchy."""
    made: list[int | BaseException] = []

    def make() -> None:
        try:
            if libc.unshare(CLONE_NEWNS) != 0:
                refused("make the runtime's mount namespace")
            mount("none", Path("/"), flags=MS_SLAVE | MS_REC)
            unmount(UNIFIED, MNT_DETACH)
            made.append(os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make, name="separate-mounts")
    thread.start()
    thread.join()
    if not made or isinstance(made[0], BaseException):
        refused(f"make the runtime's mount namespace: {made[0] if made else ctypes.get_errno()}")
    result = made[0]
    assert isinstance(result, int)
    return result
