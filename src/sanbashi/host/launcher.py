"""Threads that start the runtimes' programs, inside a mount namespace without the mounts that are in their way.

A runtime copies the mount namespace that it is started in, reads its list of mounts more than once and unmounts it all again, so each mount of
another container costs every start; and crun (1.8) refuses hosts whose cgroups are hybrid (v1 with an empty v2 hierarchy at
/sys/fs/cgroup/unified), and works without that mount. The namespace is held by a descriptor (separated.py). A child inherits the namespace of the
*thread* that starts it, so entering costs nothing a start.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from .separated import Separated
from .spawning import Said, nothing, spawn, status

T = TypeVar("T")

WORKERS = 12  # programs being started at the same time; each waits for its runtime, 5 to 50 ms


class Launcher:
    """Starts programs in worker threads, in a mount namespace `without` these mounts; in ours where there are none. `peer` as Separated has it."""

    def __init__(self, *, without: Sequence[Path] = (), peer: bool = False) -> None:
        self.separated = Separated(without, peer=peer) if without else None
        self._threads = ThreadPoolExecutor(WORKERS, "launcher")

    def begin(self, work: Callable[[], T], sources: Sequence[str] = (), *, propagates: bool = False) -> Future[T]:
        """Run `work` in one of the threads, whatever becomes of who asked for it; what it starts sees at `sources` what the daemon sees there.

        `propagates` as Separated has it.
        """
        separated = self.separated
        if separated is None:
            return self._threads.submit(work)

        def inside() -> T:
            separated.enter(sources, propagates=propagates)
            return work()

        return self._threads.submit(inside)

    async def call(self, work: Callable[[], T]) -> T:
        """Run `work` in one of the threads: what it starts is started in the namespace."""
        return await asyncio.wrap_future(self.begin(work))

    async def run(
        self, command: Sequence[str], *, env: Mapping[str, str] | None = None, begun: asyncio.Event | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; what it said is text. It is never killed for taking long: a runtime cut off half way leaves a mess.

        `begun` is set when it runs.
        """
        told = in_loop(begun)

        def work() -> subprocess.CompletedProcess[str]:
            with nothing() as none, Said() as said, Said() as failed:
                pid = spawn(command, given=(none, said.descriptor, failed.descriptor), env=env)
                told()
                return subprocess.CompletedProcess(command, status(pid), said.text(), failed.text())

        return await self.call(work)

    def close(self) -> None:
        """End the threads and let go of the namespace; what runs in it goes on."""
        self._threads.shutdown(wait=True)
        if self.separated is not None:
            self.separated.close()


def in_loop(event: asyncio.Event | None) -> Callable[[], None]:
    """What sets an event of the running loop from any thread; nothing where there is none."""
    loop = asyncio.get_running_loop()

    def tell() -> None:
        if event is not None:
            loop.call_soon_threadsafe(event.set)

    return tell
