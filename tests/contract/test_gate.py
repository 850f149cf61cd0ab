"""The gate of a created container: what waits behind it is let go by us as by the runtime's own `start`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sanbashi.host.gate import GATE, pull, push

WRITES = "echo 0 > exec.fifo; echo through"
Behind = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / GATE)
    return tmp_path / GATE


@pytest.fixture
def behind(gate: Path) -> Iterator[Behind]:
    """What starts a process behind the gate."""
    started: list[subprocess.Popen[str]] = []

    def start(line: str) -> subprocess.Popen[str]:
        started.append(subprocess.Popen(["sh", "-c", line], cwd=gate.parent, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_reader_is_let_go(gate: Path) -> None:
    # As crun has it: the process has the gate open from the moment it was made.
    reading = os.open(gate, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert push(gate) and not gate.exists()
        assert os.read(reading, 2) == b"\0"
    finally:
        os.close(reading)


def test_nobody_at_the_gate_is_nobody_let_go(gate: Path, behind: Behind) -> None:
    assert not push(gate) and gate.exists()
    gone = behind("exit 0")
    gone.wait()
    assert not pull(gate, gone.pid) and gate.exists()
    gate.unlink()
    assert not push(gate) and not pull(gate, os.getpid())


def test_a_writer_is_let_go(gate: Path, behind: Behind) -> None:
    process = behind(WRITES)
    assert pull(gate, process.pid) and not gate.exists()
    assert process.communicate(timeout=60)[0] == "through\n"


def test_a_writer_that_dies_before_its_word_ends_the_wait(gate: Path, behind: Behind) -> None:
    process = behind("exec sleep 1000")
    assert not pull_while(process.kill, gate, process.pid)
    assert gate.exists()


def pull_while(work: Callable[[], None], gate: Path, pid: int) -> bool:
    real, opened = os.open, False

    def open_then_work(*words: Any, **named: Any) -> int:
        nonlocal opened
        descriptor = real(*words, **named)
        if not opened and words[0] == gate:
            opened = True
            work()
        return descriptor

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", open_then_work)
        return pull(gate, pid)


def test_a_writer_that_has_ended_when_we_look_was_let_go(gate: Path, behind: Behind) -> None:
    """It needs no more than the open gate to run to its end."""
    process = behind(WRITES)
    assert pull_while(lambda: print(process.wait(60)), gate, process.pid)
    assert not gate.exists()
