"""A disk that takes no more: the system's errors as one clear sentence."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ..errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def in_room(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `work`, which writes to the disk; Unavailable where that is full or takes no writes, other errors as they are."""
    try:
        return work(*args, **kwargs)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        words = os.strerror(error.errno or 0).lower()
        message = f"{error.filename}: {words}" if error.filename else words
        raise Unavailable(message, hint="see what takes the room, and make some: docker system df, docker system prune") from error
