"""What a piece of work is: contestants that take turns, and the rows of the table that each turn gives a figure for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from .world import World

Figures = Mapping[str, "float | Sequence[float]"]  # title of a row -> what one turn gave
Measure = Callable[[], Figures]

SLEEP = ("busybox", "sleep", "100000")


@dataclass(frozen=True)
class Size:
    """How big the work is: smaller in the quick ring, and no figure of it is worth keeping then."""

    starts: int  # at ten a time
    ports: tuple[int, ...]  # published by one container
    containers: tuple[int, ...]  # running, for the curves
    networks: tuple[int, ...]
    listed: int  # containers that ps lists
    seconds: int  # of load
    pulled: int  # megabytes, in six layers
    crowd: int  # containers in the scale ring, ten ports each
    probes: int  # starts that are timed at each mark of the scale ring
    restarts: int
    rest: float  # seconds at the most until the machine is at rest before a mark of the scale ring


FULL = Size(
    starts=100,
    ports=(1, 10, 100, 500),
    containers=(1, 10, 25, 50, 100),
    networks=(1, 10, 50, 100),
    listed=1000,
    seconds=3,
    pulled=300,
    crowd=1000,
    probes=20,
    restarts=3,
    rest=30,
)
QUICK = Size(
    starts=10, ports=(1, 5, 10, 20), containers=(1, 2, 4), networks=(1, 2), listed=20, seconds=1, pulled=12, crowd=20, probes=3, restarts=1, rest=0
)


@dataclass(frozen=True)
class Row:
    """A line of figures: `unit` is ms, MB, KB, q/s, ... ; more is better where `more`. `plot` and `x`: the curve that it is a point of."""

    title: str
    unit: str = "ms"
    more: bool = False
    plot: str = ""
    x: float = 0


@dataclass(frozen=True)
class Work:
    """`prepare` sets up what the turns need, takes it away at its end, and gives each contestant's turn by name.

    `rounds`: (usual, quick). They begin with another contestant each and go forwards and backwards in turn; those in `once` take part in the first
    alone, because a turn of theirs lasts. `warm`: everybody has a turn before the first that counts.
    """

    name: str
    rows: Callable[[Size], Sequence[Row]]
    prepare: Callable[[World, Size], AbstractContextManager[Mapping[str, Measure]]]
    rounds: tuple[int, int] = (5, 2)
    once: frozenset[str] = frozenset()
    warm: bool = False


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of wall clock."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def run(work: Work, world: World, size: Size, *, quick: bool) -> dict[str, dict[str, list[float]]]:
    """Every figure of a work: title -> contestant -> figures, in the order of the rounds."""
    found: dict[str, dict[str, list[float]]] = {row.title: {} for row in work.rows(size)}
    with work.prepare(world, size) as turns:
        names = list(turns)
        for number in range(-work.warm, work.rounds[quick]):
            first = number % len(names)
            order = [*names[first:], *names[:first]]
            # Every other round backwards: who always came after the same one would find its program in the processor's caches, or not.
            for name in order if number % 2 == 0 else reversed(order):
                if number > 0 and name in work.once:
                    continue
                given = turns[name]()
                if number < 0:
                    continue
                for title, figure in given.items():
                    figures = found.setdefault(title, {}).setdefault(name, [])
                    figures.extend(figure if isinstance(figure, Sequence) else [figure])
    empty = [title for title, by_name in found.items() if not by_name]
    if empty:
        raise RuntimeError(f"{work.name} gave no figure for: {', '.join(empty)}")
    return found
