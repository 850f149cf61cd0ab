"""Trees that are deeper than a path is long, as any container can make them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sanbashi.host.deleting import delete
from sanbashi.host.snapshots import Snapshots
from sanbashi.host.trees import PATH_MAX, flatten, walk
from sanbashi.host.volume_mounts import size_of

DEEP = 1100  # levels: more than Python goes down


def descend(folder: Path, name: str, levels: int) -> None:
    """Directories in directories, with a file in every five hundredth."""
    here = os.open(folder, os.O_RDONLY)
    for level in range(levels):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
        if level % 500 == 0:
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """Such a tree; gone at the end whatever a test made of it."""
    folder = tmp_path / "deep"
    folder.mkdir()
    descend(folder, "name" * 10, DEEP)
    yield folder
    if folder.exists():
        flatten(folder)


def test_one_is_deleted_and_the_links_in_it_are_not_followed(deep: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    for place in (deep, deep / ("name" * 10)):
        (place / "link").symlink_to(tmp_path / "kept")
    delete(deep)
    assert not deep.exists() and (tmp_path / "kept" / "file").exists()


def test_of_one_as_much_is_seen_as_a_path_can_name(deep: Path) -> None:
    (deep / "data").write_bytes(b"x" * 7)
    assert max(len(os.fsencode(entry.path)) for entry in walk(deep)) < PATH_MAX
    assert size_of(deep) == 7


def test_one_in_a_container_is_counted_and_removed(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path / "data")
    snapshots.create("c", [])
    upper = snapshots.root / "c" / "upper"
    descend(upper, "d", DEEP)
    (upper / "file").write_bytes(b"x" * 7)
    assert snapshots.size("c") == 7
    assert len(snapshots.changes("c")) > 500
    snapshots.sweep(set())
    assert not (snapshots.root / "c").exists()
