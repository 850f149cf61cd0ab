"""Small files of the kernel's, read with as few calls as there can be: for hundreds of containers there are thousands, and pathlib costs more."""

from __future__ import annotations

import os

ROOM = 1 << 16


def contents(path: str) -> bytes:
    """All of a file; OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = b""
        while part := os.read(file, ROOM):
            found += part
        return found
    finally:
        os.close(file)


def inode(path: str) -> int:
    """Of what a path leads to, by which namespaces are told apart; OSError."""
    return os.stat(path).st_ino  # noqa: PTH116 - as above


def processes(proc: str) -> list[str]:
    """The numbers under /proc."""
    return [name for name in os.listdir(proc) if name.isdecimal()]  # noqa: PTH208 - as above
