"""Monitors that are followed: who has died is told once, by one descriptor for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sanbashi.errors import StepFailed
from sanbashi.host import inotify
from sanbashi.host.following import Following

Monitor = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Monitor]:
    """What is a conmon as far as this goes: a container's id among its words, and the control fifo open."""
    with ExitStack() as stack:

        def make(container_id: str) -> subprocess.Popen[bytes]:
            os.mkfifo(tmp_path / container_id)
            words = ["sh", "-c", 'exec 3<>"$1"; echo; read end', "conmon", str(tmp_path / container_id), container_id]
            process = stack.enter_context(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            stack.callback(process.kill)
            assert process.stdout is not None and process.stdout.readline() == b"\n"
            return process

        yield make


def hearing(work: Callable[[Following, asyncio.Queue[str]], Awaitable[None]]) -> None:
    """Run `work` with what tells of the dead, and where it tells it."""

    async def run() -> None:
        told: asyncio.Queue[str] = asyncio.Queue()
        following = Following(told.put_nowait)
        following.open()
        try:
            async with asyncio.timeout(60):
                await work(following, told)
        finally:
            following.close()

    asyncio.run(run())


def let_go(control: Path) -> None:
    """What we do to tell conmon something."""
    os.close(os.open(control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))


def test_who_is_killed_is_told_of_and_no_other(monitor: Monitor, tmp_path: Path) -> None:
    processes = {name: monitor(name) for name in ("a" * 64, "b" * 64, "c" * 64)}

    async def work(following: Following, told: asyncio.Queue[str]) -> None:
        for name, process in processes.items():
            following.follow(name, process.pid, tmp_path / name)
        let_go(tmp_path / ("a" * 64))
        processes["b" * 64].kill()
        assert await told.get() == "b" * 64
        assert "b" * 64 in following, "until it is forgotten"
        processes["c" * 64].kill()
        assert await told.get() == "c" * 64, "what we write is nobody's death"
        assert following.forget("b" * 64) and not following.forget("b" * 64)
        assert sorted(following) == ["a" * 64, "c" * 64]

    hearing(work)


def test_who_is_forgotten_is_not_told_of(monitor: Monitor, tmp_path: Path) -> None:
    first, second = monitor("a" * 64), monitor("b" * 64)

    async def work(following: Following, told: asyncio.Queue[str]) -> None:
        following.follow("a" * 64, first.pid, tmp_path / ("a" * 64))
        following.follow("b" * 64, second.pid, tmp_path / ("b" * 64))
        assert following.forget("a" * 64)
        first.kill()
        first.wait()
        second.kill()
        assert await told.get() == "b" * 64 and told.empty()

    hearing(work)


@pytest.mark.parametrize("fifo", [True, False])
def test_who_has_died_before(fifo: bool, monitor: Monitor, tmp_path: Path) -> None:
    process = monitor("a" * 64)
    process.kill()
    process.wait()
    if not fifo:
        (tmp_path / ("a" * 64)).unlink()

    async def work(following: Following, told: asyncio.Queue[str]) -> None:
        following.follow("a" * 64, process.pid, tmp_path / ("a" * 64))
        assert await told.get() == "a" * 64

    hearing(work)


def test_without_a_watch_a_descriptor_tells(monitor: Monitor, tmp_path: Path) -> None:
    process = monitor("a" * 64)
    (tmp_path / ("a" * 64)).unlink()

    async def work(following: Following, told: asyncio.Queue[str]) -> None:
        following.follow("a" * 64, process.pid, tmp_path / ("a" * 64))
        assert pidfds(process) == 1
        process.kill()
        assert await told.get() == "a" * 64
        assert pidfds(process) == 0

    hearing(work)


def test_any_number_takes_no_descriptor(monitor: Monitor, tmp_path: Path) -> None:
    processes = {f"{number:064x}": monitor(f"{number:064x}") for number in range(1, 9)}

    async def work(following: Following, told: asyncio.Queue[str]) -> None:
        before = descriptors("inotify")
        for name, process in processes.items():
            following.follow(name, process.pid, tmp_path / name)
        assert descriptors("inotify") == before
        assert pidfds(*processes.values()) == 0
        for process in processes.values():
            process.kill()
        assert {await told.get() for _ in processes} == set(processes)

    hearing(work)


def test_where_the_kernel_left_something_out_all_are_looked_at(monitor: Monitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = monitor("a" * 64), monitor("b" * 64)
    real = inotify.events

    def overflown(descriptor: int) -> Iterator[tuple[int, int, str]]:
        if list(real(descriptor)):
            yield -1, inotify.IN_Q_OVERFLOW, ""

    async def work(following: Following, told: asyncio.Queue[str]) -> None:
        following.follow("a" * 64, first.pid, tmp_path / ("a" * 64))
        following.follow("b" * 64, second.pid, tmp_path / ("b" * 64))
        await asyncio.sleep(0)  # past the look that each has at first
        await asyncio.sleep(0)
        monkeypatch.setattr(inotify, "events", overflown)
        first.kill()
        first.wait()
        assert await told.get() == "a" * 64

    hearing(work)


def test_a_watch_of_what_is_not_there_is_refused(tmp_path: Path) -> None:
    async def work() -> None:
        before = descriptors("inotify")
        with pytest.raises(StepFailed, match="No such file"):
            inotify.Watch(tmp_path / "nothing", lambda name: None)
        assert descriptors("inotify") == before

    asyncio.run(work())


def descriptors(kind: str) -> int:
    """How many of a kind we have; of the other kinds, threads that earlier tests have left open and close some at any moment."""
    gc.collect()
    return sum(kind in link for _, link in links())


def pidfds(*processes: subprocess.Popen[bytes]) -> int:
    """How many descriptors we have of these processes; one of a process that was waited for tells -1."""
    pids = {str(process.pid) for process in processes}
    found = 0
    for number, link in links():
        if "pidfd" in link:
            with contextlib.suppress(FileNotFoundError):
                told = re.search(r"^Pid:\s+(\d+)", Path(f"/proc/self/fdinfo/{number}").read_text(), re.MULTILINE)
                found += told is not None and told[1] in pids
    return found


def links() -> list[tuple[str, str]]:
    """Our descriptors: number and what each leads to."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append((entry.name, str(entry.readlink())))
    return found
