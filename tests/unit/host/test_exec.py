"""Starting conmon for an exec: what becomes of the pipes where it does not live to use them."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sanbashi.host import exec as module


def pipes() -> set[str]:
    found = set()
    for end in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # of the listing itself
            found.add(str(end.readlink()))
    return {what for what in found if what.startswith("pipe:")}


class Dead(subprocess.Popen[bytes]):
    """A program that is over before anybody writes to it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.wait()


@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize("program", ["false", "/no/such/program"])
def test_no_pipe_is_left_where_conmon_does_not_live(program: str, wait: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.subprocess, "Popen", Dead)
    before = pipes()
    with pytest.raises(OSError):
        module.begin([program], tmp_path, wait=wait)
    assert pipes() <= before
