"""Folders that go with all that is in them: gone already is success, and what cannot go is named."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..errors import Failed
from .room import NO_ROOM
from .trees import flatten

IMMUTABLE = "lsattr tells whether it may be deleted; chattr -i allows it"


def delete(folder: Path, failing: str = "unable to remove filesystem") -> None:
    """Delete a folder; Failed where something in it cannot go, as a file made immutable, OSError where the disk has no room even for that."""
    try:
        try:
            shutil.rmtree(folder, onerror=gone_is_fine)
        except RecursionError:  # each level is one of Python's own
            flatten(folder)
            shutil.rmtree(folder, onerror=gone_is_fine)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        words = os.strerror(error.errno or 0).lower()
        raise Failed(f"{failing}: unlinkat {error.filename}: {words}", hint=IMMUTABLE) from error


def gone_is_fine(function: object, path: str, failure: tuple[type[BaseException], BaseException, object]) -> None:
    problem = failure[1]
    if isinstance(problem, OSError) and not isinstance(problem, FileNotFoundError):
        raise OSError(problem.errno, problem.strerror, path) from problem  # the whole path: what was tried names the last part alone
    if not isinstance(problem, FileNotFoundError):
        raise problem
