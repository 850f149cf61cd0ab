"""How the writable directory of an overlay differs from the layers below it: what `diff` and `ps --size` tell."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path

from ..records import dataclass
from .trees import walk
from .unpack import OPAQUE


class Kind(IntEnum):
    """How a path differs from the image, with the API's numbers."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


@dataclass(frozen=True, slots=True)
class PathChange:
    """One line of `diff`."""

    kind: Kind
    path: str


def changes(upper: Path, lower: Sequence[Path]) -> list[PathChange]:
    """How the files of an upper directory differ from those of the layers below (topmost first), by path."""
    found: list[PathChange] = []
    for entry in walk(upper):
        path = entry.path.removeprefix(str(upper))
        status = entry.stat(follow_symlinks=False)
        if is_whiteout(status):
            found.append(PathChange(Kind.DELETED, path))
        else:
            found.append(PathChange(Kind.MODIFIED if exists_below(lower, path.strip("/")) else Kind.ADDED, path))
    return sorted(found, key=lambda change: change.path)


def bytes_below(directory: Path) -> int:
    """Bytes of the files below a directory, each once; 0 where there is none."""
    seen: set[int] = set()
    total = 0
    for found in walk(directory):
        with contextlib.suppress(FileNotFoundError):  # the container goes on working while we count
            status = found.stat(follow_symlinks=False)
            if status.st_ino not in seen and stat.S_ISREG(status.st_mode):
                seen.add(status.st_ino)
                total += status.st_size
    return total


def is_whiteout(status: os.stat_result) -> bool:
    """Overlayfs's mark of a removed file: a character device 0:0."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def exists_below(lower: Sequence[Path], path: str) -> bool:
    """Whether layers (topmost first) show a path, whiteouts and opaque directories heeded."""
    return shown(lower, path) is not None


def shown(lower: Sequence[Path], path: str) -> Path | None:
    """Where what layers (topmost first) show at a path lies, links not followed; None where they show nothing."""
    parts = path.split("/")
    for layer in lower:
        at = layer
        for index, part in enumerate(parts):
            at = at / part
            try:
                status = at.lstat()
            except (FileNotFoundError, NotADirectoryError):
                break
            if is_whiteout(status):
                return None
            if index == len(parts) - 1:
                return at
            if not stat.S_ISDIR(status.st_mode):
                return None
            if opaque(at):
                rest = at.joinpath(*parts[index + 1 :])
                return rest if os.path.lexists(rest) and not is_whiteout(rest.lstat()) else None
    return None


def opaque(directory: Path) -> bool:
    try:
        return os.getxattr(directory, OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False
