"""A log that has grown enough is put aside, and conmon is told to begin another: LOG.1 is the newest of the old ones."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ..errors import Conflict
from .conmon import tell


def rotate(path: Path, size: int, files: int, control: Path) -> bool:
    """Rotate where the log is larger than `size` bytes; whether it was. `files` counts all, the one that is written too.

    conmon goes on writing to the file that it has open, under its new name, until it is told: nothing is lost, whenever we die.
    """
    try:
        if path.stat().st_size < size:
            return False
    except FileNotFoundError:
        pass  # put aside, and then nobody told conmon
    else:
        for number in range(files - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                (aside(path, number - 1) if number > 1 else path).rename(aside(path, number))
    with contextlib.suppress(Conflict):  # it has ended: there is nothing more to write
        tell(control, "2 0 0")
    return True


def aside(path: Path, number: int) -> Path:
    """The name of an older part of a log."""
    return path.with_name(f"{path.name}.{number}")


def parts(path: Path) -> list[int]:
    """Descriptors of a log's files that are there, the oldest first, each once."""
    found: list[int] = []
    seen: set[tuple[int, int]] = set()
    number = missing = 0
    while missing < 2:  # one may be on its way to the next name
        number += 1
        try:
            descriptor = os.open(path if number == 1 else aside(path, number - 1), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            missing += 1
            continue
        missing = 0
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) in seen:  # it was put aside while we looked
            os.close(descriptor)
        else:
            seen.add((status.st_dev, status.st_ino))
            found.insert(0, descriptor)
    return found
