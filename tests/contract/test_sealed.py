"""The sealed copy of a program: as good as the program, never older than it, and nobody can write to it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sanbashi.host import sealed as module
from sanbashi.host.sealed import SEALS, Sealed


def said(program: Path) -> str:
    return subprocess.run([program, "a", "word"], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return Path(shutil.copy(shutil.which("echo") or "/bin/echo", tmp_path / "program"))


def test_the_copy_is_started_and_sealed(program: Path, tmp_path: Path) -> None:
    copy = Sealed(program, tmp_path / "copy")
    path = copy.path()
    assert path == tmp_path / "copy" and said(path) == "a word\n"
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) == SEALS
    finally:
        os.close(descriptor)
    writing = os.open(path, os.O_RDWR)
    try:
        with pytest.raises(PermissionError):
            os.write(writing, b"x")
        with pytest.raises(PermissionError):
            os.ftruncate(writing, 0)
    finally:
        os.close(writing)
    before = path.readlink()
    assert copy.path() == path and path.readlink() == before
    copy.close()
    assert not path.is_symlink() and not Path(before).exists()


def test_a_replaced_program_is_what_is_started_next_at_the_same_place(program: Path, tmp_path: Path) -> None:
    copy = Sealed(program, tmp_path / "copy")
    place = copy.path().readlink()
    shutil.copy(shutil.which("true") or "/bin/true", tmp_path / "new")
    (tmp_path / "new").rename(program)
    assert copy.path().readlink() == place
    assert said(place) == ""  # for who was told of it before, too
    copy.close()


def test_what_cannot_be_copied_is_started_as_it_is(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho script\n")
    script.chmod(0o755)
    assert Sealed(script, tmp_path / "copy").path() == script
    with monkeypatch.context() as labelled:
        labelled.setattr(module, "LABELS", tmp_path)
        assert Sealed(program, tmp_path / "copy").path() == program
    with monkeypatch.context() as without:
        without.setattr(module, "memory_file", lambda name: os.open(tmp_path / "absent", os.O_RDWR))
        assert Sealed(program, tmp_path / "copy").path() == program
    assert not list(tmp_path.glob("*copy*"))
    gone = Sealed(tmp_path / "absent", tmp_path / "copy")
    assert gone.path() == tmp_path / "absent"


def test_a_copy_that_could_not_be_named_is_made_again(program: Path, tmp_path: Path) -> None:
    """The folder of its link is on a disk that may be full."""
    folder = tmp_path / "later"
    copy = Sealed(program, folder / "copy")
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert copy.path() == program and said(copy.path()) == "a word\n"
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    folder.mkdir()
    assert copy.path() == folder / "copy" and said(copy.path()) == "a word\n"
    copy.close()
