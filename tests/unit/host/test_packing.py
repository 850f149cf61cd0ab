"""Directories to tars."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from sanbashi.host.packing import gathered, pack
from sanbashi.host.unpack import CHUNK


def packed(folder: Path, name: str, top: str, **options: bool) -> dict[str, tarfile.TarInfo]:
    directory = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        data = b"".join(pack(directory, name, top, **options))
    finally:
        os.close(directory)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member for member in tar.getmembers()}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/file").write_bytes(b"x" * 1000)
    os.link(tmp_path / "d/file", tmp_path / "d/hard")
    (tmp_path / "d/link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "d/e/pipe")
    (tmp_path / "\udcff").write_text("no utf-8")
    return tmp_path


def test_names_follow_the_top(tree: Path) -> None:
    assert list(packed(tree, "d", "new")) == ["new", "new/e", "new/e/pipe", "new/file", "new/hard", "new/link"]
    assert list(packed(tree, ".", "."))[:2] == [".", "./d"]
    assert list(packed(tree, ".", "/"))[1] == "/d"
    assert next(iter(packed(tree, ".", "", own=False))) == "d"


def test_links_stay_links(tree: Path) -> None:
    found = packed(tree, "d", "d")
    assert found["d/link"].linkname == "/etc/passwd" and found["d/e/pipe"].isfifo()
    assert found["d/hard"].islnk() and found["d/hard"].linkname == "d/file"
    assert list(packed(tree, "\udcff", "a")) == ["a"]


def test_pieces_are_put_together() -> None:
    pieces = list(gathered(iter([b"a" * 10] * 10 + [b"b" * CHUNK, b"c"])))
    assert [len(p) for p in pieces] == [100 + CHUNK, 1]
