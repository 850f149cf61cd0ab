"""A log that has grown enough is put aside, and conmon is told to begin another: LOG.1 is the newest of the old ones."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ..errors import Conflict
from .conmon import tell
from .logparts import aside


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
        for number in range(files - 2, 0, -1):
            step_aside(path, number)
        aside(path, 1, packed=True).unlink(missing_ok=True)  # of a log of two files: it is the oldest, and goes
        with contextlib.suppress(FileNotFoundError):
            path.rename(aside(path, 1))
    with contextlib.suppress(Conflict):  # it has ended: there is nothing more to write
        tell(control, "2 0 0")
    return True


def step_aside(path: Path, number: int) -> None:
    """LOG.number becomes LOG.(number + 1), in the form that it has."""
    if aside(path, number, packed=True).exists():  # somebody died when it was packed and the plain one not yet gone
        aside(path, number).unlink(missing_ok=True)
    for packed in (False, True):
        source = aside(path, number, packed=packed)
        if source.exists():
            aside(path, number + 1, packed=not packed).unlink(missing_ok=True)
            source.rename(aside(path, number + 1, packed=packed))
