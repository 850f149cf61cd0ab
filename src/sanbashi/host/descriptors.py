"""How many descriptors we may have open: all that the system lets us; what we start gets what we got."""

from __future__ import annotations

import resource
from collections.abc import Sequence

given: tuple[int, int] | None = None  # the limits before we raised ours


def raise_limit() -> None:
    """Raise our soft limit to the hard one: a thousand clients are more than the usual 1,024 descriptors."""
    global given
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        given = (soft, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def as_given(words: Sequence[str]) -> list[str]:
    """A command that is to run under the limits that we were started with, since programs in containers go by the soft one."""
    return ["prlimit", f"--nofile={given[0]}:{given[1]}", "--", *words] if given else [*words]
