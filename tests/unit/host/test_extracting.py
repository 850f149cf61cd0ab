"""A tar into a container's directory, while the container does what it can to have the host's files changed."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sanbashi.host import extracting
from sanbashi.host.extracting import Extraction, extract
from sanbashi.host.inside import O_PATH_DIRECTORY, Inside

OWNER = (os.getuid(), os.getgid())


def an_archive(*entries: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for entry, content in entries:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    out.seek(0)
    return out


def a_file(name: str, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.mtime = mode, 1_000_000_000
    return entry


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    (tmp_path / "root" / "d").mkdir(parents=True)
    root = os.open(tmp_path / "root", O_PATH_DIRECTORY)
    yield Inside(root)
    os.close(root)


def test_what_is_made_has_the_archives_attributes(inside: Inside, tmp_path: Path) -> None:
    link, folder = tarfile.TarInfo("link"), a_file("folder", 0o710)
    link.type, link.linkname, link.mtime = tarfile.SYMTYPE, "/nowhere", 1_000_000_000
    folder.type = tarfile.DIRTYPE
    extract(inside, "/d", an_archive((a_file("f", 0o4751), b"text"), (link, b""), (folder, b"")), Extraction(OWNER))
    made = tmp_path / "root" / "d"
    for name, mode in (("f", 0o4751), ("folder", 0o710)):
        status = (made / name).stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (mode, 1_000_000_000)
    assert (made / "f").read_text() == "text"
    assert ((made / "link").readlink(), (made / "link").lstat().st_mtime) == (Path("/nowhere"), 1_000_000_000)


def test_a_link_in_the_place_of_what_was_just_made_changes_nothing_of_the_hosts(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a container that runs can do between two calls."""
    secret = tmp_path / "secret"
    secret.touch(0o600)
    before = secret.stat()
    there, chown = tmp_path / "root" / "d" / "f", os.chown

    def chown_then_swap(*words: Any, **named: Any) -> None:
        chown(*words, **named)
        there.unlink()
        there.symlink_to(secret)

    monkeypatch.setattr(extracting.os, "chown", chown_then_swap)
    extract(inside, "/d", an_archive((a_file("f", 0o777), b"text")), Extraction(OWNER))
    assert there.is_symlink() and secret.stat() == before
