"""Starting conmon for an exec: what becomes of the pipes and the folder where it does not live to use them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, cast

import pytest

from sanbashi.host import poised as module
from sanbashi.host.poised import Poised


class Program:
    """A runtime under another program for its conmon."""

    def __init__(self, conmon: str) -> None:
        self.conmon = conmon

    def command(self, *, log: Path) -> list[str]:
        return ["runtime", "--log", str(log)]


def pipes() -> set[str]:
    found = set()
    for end in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # of the listing itself
            found.add(str(end.readlink()))
    return {what for what in found if what.startswith("pipe:")}


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("program", ["false", "/no/such/program"])
def test_nothing_is_left_where_conmon_does_not_live(program: str, detach: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, spawn, waited = pipes(), module.spawn, module.status

    def dead(*args: Any, **options: Any) -> int:
        """A program that is over before anybody writes to it."""
        pid = spawn(*args, **options)
        waited(pid)
        return pid

    monkeypatch.setattr(module, "spawn", dead)
    monkeypatch.setattr(module, "status", lambda pid: 0)
    monkeypatch.setattr(module.os, "kill", lambda pid, signal: None)
    with pytest.raises(OSError):
        Poised(cast(Any, Program(program)), "c" * 64, tmp_path / "execs", detach=detach).release(b"{}")
    assert pipes() <= before
    assert list((tmp_path / "execs").iterdir()) == []
