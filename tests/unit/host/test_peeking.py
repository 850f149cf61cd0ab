"""Who has a socket open, whatever else is open."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sanbashi.host.peeking import opened

PART = "d" * 250
PARTS = 20  # 5,000 bytes: more than a path may have, and the kernel does not say what such a descriptor is


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[int]:
    """A descriptor of a folder whose path is longer than a path may be."""
    folders = [os.open(tmp_path, os.O_RDONLY)]
    for _ in range(PARTS):
        os.mkdir(PART, dir_fd=folders[-1])
        folders.append(os.open(PART, os.O_RDONLY, dir_fd=folders[-1]))
    yield folders[-1]
    for folder in reversed(folders[:-1]):
        os.rmdir(PART, dir_fd=folder)
    for folder in folders:
        os.close(folder)


def test_beside_a_file_whose_path_is_too_long(deep: int) -> None:
    with pytest.raises(OSError, match="too long"):
        Path(f"/proc/self/fd/{deep}").readlink()
    with socket.socket(socket.AF_UNIX) as one:
        own = os.fstat(one.fileno()).st_ino
        process, descriptor = opened({own})[own]
        assert os.fstat(descriptor).st_ino == own and process == os.getpid()
