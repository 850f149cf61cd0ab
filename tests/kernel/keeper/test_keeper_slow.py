"""A keeper that is slow, stopped, about to end or never there leads to a keeper that answers, or to one sentence."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from sanbashi.errors import Unavailable
from sanbashi.host import keeperline, keeperprocess
from sanbashi.keeper import protocol
from sanbashi.network.picture import HeldPort, Picture

pytestmark = pytest.mark.root
HELD = HeldPort("tcp", ip_address("0.0.0.0"), 8080)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody here waits for long; how much longer a slow one is waited for stays."""
    monkeypatch.setattr(keeperprocess, "PATIENCE", 0.2)
    monkeypatch.setattr(keeperprocess, "GRACE", 2.0)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Keepers that run a line of shell before they come up, and one when they have ended, the lock still held."""
    command = keeperline.command

    def make(before: str, after: str) -> None:
        monkeypatch.setattr(keeperline, "command", lambda *given: ["/bin/sh", "-c", f'{before}; "$@"; {after}', "sh", *command(*given)])

    return make


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    while not keeperprocess.stopped(pid):
        time.sleep(0.001)


def test_slow_to_come_up(world: Any, slow: Callable[[str, str], None]) -> None:
    """As on a machine that emulates another: it takes several times the patience until it says its first word."""
    slow("sleep 1", "true")
    world.client.change([], [HELD])
    assert world.client.items() == Picture.of([HELD])


def test_slow_to_end(world: Any, slow: Callable[[str, str], None]) -> None:
    """The next daemon comes while the last keeper is about to end: nobody listens, and the lock is held."""
    slow("true", "sleep 1")
    world.client.ensure()
    first = world.client.pid
    os.kill(first, signal.SIGTERM)
    next_daemon = world.another_client()
    next_daemon.change([], [HELD])
    assert next_daemon.pid != first
    assert next_daemon.items() == Picture.of([HELD])
    next_daemon.close()


def test_stopped_and_woken_while_it_is_waited_for(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeperprocess, "PATIENCE", 30.0)  # the waker is a thread, which may have its turn late
    world.client.change([], [HELD])
    pid = world.client.pid
    stop(pid)
    asked = threading.Event()
    waker = threading.Thread(target=lambda: (asked.wait(60), os.kill(pid, signal.SIGCONT)))
    waker.start()
    next_daemon = world.another_client()
    asked.set()
    next_daemon.ensure()
    waker.join()
    assert (next_daemon.pid, next_daemon.items()) == (pid, Picture.of([HELD]))
    next_daemon.close()


def test_stopped(world: Any) -> None:
    """Who stopped it wants something with it: a sentence says which process, and both ways on. Woken, it serves as before."""
    world.client.change([], [HELD])
    pid = world.client.pid
    stop(pid)
    sentence = rf"the keeper \(process {pid}\) does not answer: it is stopped"
    with pytest.raises(Unavailable, match=sentence) as told:
        world.another_client().ensure()
    assert told.value.hint.startswith(f"kill -CONT {pid} wakes it; or kill -9 {pid}, and the daemon starts its own in its place; ")
    with pytest.raises(Unavailable, match=sentence):
        world.client.change([HELD], [])
    os.kill(pid, signal.SIGCONT)
    world.client.change([], [HELD])
    assert (world.client.pid, world.client.items()) == (pid, Picture.of([HELD]))


def test_silent_for_too_long(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs and says nothing, as one that turns in a circle would."""
    world.client.change([], [HELD])
    pid = world.client.pid
    stop(pid)
    monkeypatch.setattr(keeperprocess, "stopped", lambda pid: False)
    monkeypatch.setattr(keeperprocess, "ENDURANCE", 0.5)
    with pytest.raises(Unavailable, match=rf"the keeper \(process {pid}\) does not answer: it has been silent for \d+ seconds") as told:
        world.another_client().ensure()
    assert told.value.hint.startswith(f"kill -9 {pid}, and the daemon starts its own in its place; ")
    os.kill(pid, signal.SIGCONT)


def test_so_many_wait_that_one_more_cannot(world: Any) -> None:
    """A daemon that is started again and again leaves its connections in the queue of a keeper that takes none."""
    world.client.change([], [HELD])
    pid = world.client.pid
    stop(pid)
    path = str(world.root / protocol.SOCKET)
    waiting = []
    with pytest.raises(BlockingIOError):
        for _ in range(1000):
            waiting.append(socket.socket(socket.AF_UNIX))
            waiting[-1].setblocking(False)
            waiting[-1].connect(path)
    with pytest.raises(Unavailable, match="it is stopped"):
        world.another_client().ensure()
    for one in waiting:
        one.close()
    os.kill(pid, signal.SIGCONT)
    with world.another_client() as next_daemon:
        assert next_daemon.items() == Picture.of([HELD])


def test_stopped_and_no_longer_needed(world: Any) -> None:
    """A daemon that takes its containers down ends the keeper, whatever state that is in; the next start makes another."""
    world.client.change([], [HELD])
    pid = world.client.pid
    stop(pid)
    world.client.end()
    assert not Path(f"/proc/{pid}").exists()
    world.client.change([], [HELD])
    assert world.client.pid != pid


def test_silent_and_no_longer_needed(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has found out already that it does not answer does not ask it once more."""
    world.client.change([], [HELD])
    pid = world.client.pid
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(keeperprocess, "STOPPED", "")
    world.client.end(ask=False)
    assert not Path(f"/proc/{pid}").exists()


def test_ends_between_two_words(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers the first line, and is gone when the second is made."""
    join, killed = keeperline.join, []

    def late(root: Path) -> keeperline.Line:
        if not killed:
            killed.append(keeperprocess.keeper_of(root))
            os.kill(killed[0], signal.SIGTERM)
            while (root / protocol.SOCKET).exists():
                time.sleep(0.001)
        return join(root)

    monkeypatch.setattr("sanbashi.host.keeper.join", late)
    world.client.change([], [HELD])
    assert world.client.pid not in (0, *killed)
    assert world.client.items() == Picture.of([HELD])


def test_a_slow_first_report_is_no_loss(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who only listens waits as long as it takes: else the keeper would be taken for dead, and its daemon could not go down."""
    request = keeperline.Line.request

    def slow_report(line: keeperline.Line, frame: protocol.Frame, descriptors: Any = ()) -> protocol.Frame:
        if "subscribe" in frame:
            os.kill(line.pid, signal.SIGSTOP)
            threading.Timer(0.5, os.kill, (line.pid, signal.SIGCONT)).start()
        return request(line, frame, descriptors)

    monkeypatch.setattr(keeperline.Line, "request", slow_report)
    monkeypatch.setattr(keeperprocess, "STOPPED", "")  # the signal stands for a busy machine
    world.client.change([], [HELD])
    assert not world.lost.is_set()
    assert world.client.items() == Picture.of([HELD])


def test_the_process_is_found_by_its_lock(world: Any) -> None:
    assert keeperprocess.keeper_of(world.root) == 0
    world.client.ensure()
    assert keeperprocess.keeper_of(world.root) == world.client.pid
