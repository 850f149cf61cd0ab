"""Small files of the kernel's, read with as few calls as there can be: for hundreds of containers there are thousands, and pathlib costs more."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterable
from pathlib import Path

ROOM = 1 << 16


def contents(path: str | Path, enough: int = sys.maxsize) -> bytes:
    """All of a file, of a longer one about as much as is enough; OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = b""
        while len(found) < enough and (part := os.read(file, ROOM)):
            found += part
        return found
    finally:
        os.close(file)


def text(path: str | Path) -> str:
    """All of a file as text, "" where it cannot be read: it is not there, or what it tells of went while it was read."""
    try:
        return contents(path).decode(errors="replace")
    except OSError:
        return ""


def inode(path: str) -> int:
    """Of what a path leads to, by which namespaces are told apart; OSError."""
    return os.stat(path).st_ino  # noqa: PTH116 - as above


def processes(proc: str) -> list[str]:
    """The numbers under /proc."""
    return [name for name in os.listdir(proc) if name.isdecimal()]  # noqa: PTH208 - as above


def opened(inodes: set[int], among: Iterable[int | str] | None = None) -> dict[int, tuple[int, int]]:
    """The first process that has each of these sockets open and its number for it, as far as /proc shows them; of all processes, or of some."""
    links = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, tuple[int, int]] = {}
    for process in processes("/proc") if among is None else among:
        if len(found) == len(links):
            break
        folder = f"/proc/{process}/fd"
        with contextlib.suppress(FileNotFoundError, PermissionError, ProcessLookupError):
            for descriptor in os.listdir(folder):  # noqa: PTH208 - as above
                inode = links.get(leads_to(f"{folder}/{descriptor}"))
                if inode is not None:
                    found.setdefault(inode, (int(process), int(descriptor)))
    return found


def leads_to(link: str) -> str:
    """Where a link of /proc leads; "" where it has gone, or where that is a path too long to be told, as anybody's files may have."""
    try:
        return os.readlink(link)  # noqa: PTH115 - as above
    except FileNotFoundError:
        return ""
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return ""
        raise
