"""Where the time of a verb goes, told in one line of the log at debug level.

    stages start 3f2a91c04d11 reserve=0.8ms files=0.4ms ... create=18.2ms network=3.9ms start=5.1ms save=0.4ms engine=6.3ms total=29.6ms

`engine` is the total without the stages in which a program of the runtime's does the work (create, start, delete). Stages that overlap are each
told whole, so that together they can be more than the total; one that comes twice is summed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter

log = logging.getLogger("sanbashi.stages")


class Stages:
    """Seconds by stage, in the order in which they were first entered."""

    def __init__(self) -> None:
        self.took: dict[str, float] = {}
        self.runtime = 0.0

    def add(self, name: str, seconds: float, *, runtime: bool) -> None:
        """A stage that has ended."""
        self.took[name] = self.took.get(name, 0.0) + seconds
        if runtime:
            self.runtime += seconds

    def words(self, total: float) -> str:
        """`name=1.2ms` for each stage, then the engine's own part and the total."""
        parts = {**self.took, "engine": total - self.runtime, "total": total}
        return " ".join(f"{name}={seconds * 1000:.1f}ms" for name, seconds in parts.items())


# Of the task and of those that it starts: a stage need not know which verb it is in.
present: ContextVar[Stages | None] = ContextVar("stages", default=None)


@contextmanager
def stages(verb: str, id_: str) -> Iterator[None]:
    """Tell the stages of what is done inside when it ends, however it ends; nothing is measured where nobody would see it."""
    if not log.isEnabledFor(logging.DEBUG):
        yield
        return
    mine, began = Stages(), perf_counter()
    token = present.set(mine)
    try:
        yield
    finally:
        present.reset(token)
        log.debug("stages %s %s %s", verb, id_[:12], mine.words(perf_counter() - began))


@contextmanager
def stage(name: str, *, runtime: bool = False) -> Iterator[None]:
    """What is done inside is one stage of the verb under way, if any; `runtime`: it waits for a program of the runtime's."""
    mine = present.get()
    if mine is None:
        yield
        return
    began = perf_counter()
    try:
        yield
    finally:
        mine.add(name, perf_counter() - began, runtime=runtime)
