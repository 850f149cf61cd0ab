"""Trees of files that containers and images make: they may be deeper than a path is long, and than Python goes down in one."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
DEEP = 100  # levels, each of which is an open descriptor
PATH_MAX = 4096  # linux/limits.h; the NUL at the end counts


def walk(directory: str | Path) -> Iterator[os.DirEntry[str]]:
    """Everything below a directory that a path can name, links not followed."""
    waiting = [str(directory)]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            if len(os.fsencode(entry.path)) < PATH_MAX:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def flatten(folder: Path) -> None:
    """Bring what lies deep to the top."""
    top = os.open(folder, DIRECTORY)
    try:
        waiting = ["."]
        while waiting:
            waiting += raised(top, top, waiting.pop(), DEEP)
    finally:
        os.close(top)


def raised(top: int, holder: int, name: str, left: int) -> Iterator[str]:
    """Move the directories that lie so many levels below this one to the top; their names there. What is no directory has none."""
    try:
        here = os.open(name, DIRECTORY, dir_fd=holder)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENOENT):
            return
        raise
    try:
        if left:
            for each in os.listdir(here):  # noqa: PTH208 - pathlib knows no descriptors
                yield from raised(top, here, each, left - 1)
        else:
            moved = f"deep-{secrets.token_hex(8)}"
            os.rename(name, moved, src_dir_fd=holder, dst_dir_fd=top)
            yield moved
    finally:
        os.close(here)
