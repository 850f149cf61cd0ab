"""The thousand-container rows: ours alone, for 10,000 ports of Docker's proxies do not fit beside the rest.

One crowd grows and is asked at its marks: at the start what one start costs, with half the containers and a quarter of the ports what a restart of
the daemon costs, with all of them what one more start costs, how fast it answers, whether all is true, and whether removing all leaves nothing.
What a start costs beside none is asked twice, before the crowd comes and when it is gone: in the minutes between the two the machine itself gets
faster or slower, and what is measured among them all lies in the middle.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from tests.crowd import Crowd

from ..floor import Floor
from ..goals import Goal
from ..weight import pss
from ..work import Figures, Measure, Row, Size, Work, timed
from ..world import Peer, World
from .restart import LOST, READY, restarted, start_echo
from .stages import told

PORTS = 10  # a container's, all in all
OURS = "ours"
IDLE = 3  # the fourth column of the line `cpu` in /proc/stat


def own_part(count: int) -> str:
    return f"start with {PORTS} ports as number {count}, the engine's own part"


def whole(count: int) -> str:
    return f"start with {PORTS} ports as number {count}, API"


def bare(count: int) -> str:
    return f"bare crun beside {count - 1} containers"


def stage_of(count: int, name: str) -> str:
    return f"of that, as number {count}: {name}"


def weighs(count: int) -> str:
    return f"memory of the engine, {count} containers running (PSS)"


def each(size: Size) -> str:
    return f"memory that each of {size.crowd} containers adds (PSS)"


def marks(size: Size) -> tuple[int, ...]:
    """How many containers there are where the crowd is asked what one more costs."""
    return (0, size.crowd // 10, size.crowd // 2, size.crowd)


UNTRUE, LEFT = "untrue names, answers and published ports", "links, tables, mounts and processes left behind"
QUESTIONS = {
    "ps": ("ps",),
    "network ls": ("network", "ls"),
    "inspect of one": ("inspect", "crowd7"),
    "network inspect": ("network", "inspect", "left"),
}


def asked(what: str, size: Size, way: str) -> str:
    return f"{what}, {size.crowd} running, {way}"


def rows(size: Size) -> tuple[Row, ...]:
    found = []
    for count in marks(size):
        found += [Row(own_part(count + 1), plot="crowd", x=count), Row(whole(count + 1), plot="crowd", x=count)]
        found += [Row(bare(count + 1), plot="crowd", x=count), Row(weighs(count), "MB", plot="crowd-memory", x=count)]
    found += [Row(each(size), "MB"), Row(READY), *(Row(title, "lost") for title in LOST.values())]
    found += [Row(asked(what, size, way)) for way in ("our CLI", "docker CLI") for what in QUESTIONS]
    return (*found, Row(UNTRUE, "found"), Row(LEFT, "found"))


@contextlib.contextmanager
def crowding(world: World, size: Size) -> Iterator[Mapping[str, Measure]]:
    yield {OURS: lambda: crowded(world, size)}


def crowded(world: World, size: Size) -> Figures:
    """The whole life of a crowd."""
    peer = world.ours_debug
    assert peer.daemon is not None
    engine = peer.daemon
    crowd = Crowd(engine)
    given: dict[str, list[float]] = {}

    floor = world.floor_in(engine.machine)
    before = engine.machine.traces()

    def note(title: str, figure: float) -> None:
        given.setdefault(title, []).append(figure)

    crowd.networks()
    for count in marks(size):
        if count == size.crowd:
            crowd.fill(count, ports=PORTS * 2 - PORTS // 2)
        elif count:
            crowd.fill(count, ports=PORTS // 2)
        probe(peer, floor, crowd, count, size, note)
        note(weighs(count), weight(peer))
        if count == size.crowd // 2:
            start_echo(engine)
            for _ in range(size.restarts):
                for title, figure in restarted(engine).items():
                    note(title, figure)
            engine.call("DELETE", "/containers/echo?force=1")
    note(each(size), (given[weighs(size.crowd)][0] - given[weighs(0)][0]) / size.crowd)
    for way, asking in (("our CLI", peer), ("docker CLI", world.through_docker(peer))):
        for what, words in QUESTIONS.items():
            for _ in range(5):
                note(asked(what, size, way), timed(partial(asking.run, *words)))
    untrue = crowd.untrue()
    note(UNTRUE, len(untrue))
    crowd.leave()
    probe(peer, floor, crowd, 0, size, note)
    crowd.clear()
    left = engine.machine.stays(before)
    note(LEFT, sum(len(rest) for rest in left.values()))
    if untrue or left:
        print(f"untrue: {untrue[:20]}\nleft: {left}")
    return given


def probe(peer: Peer, floor: Floor, crowd: Crowd, count: int, size: Size, note: Callable[[str, float], None]) -> None:
    """What one more start costs here, bare crun beside it in turn; each is removed again."""
    assert peer.daemon is not None
    come_to_rest(size.rest)
    for number in range(-1, size.probes):
        ports = range(crowd.next_port, crowd.next_port + PORTS)
        name = f"probe{number}"
        made = crowd.create(name, "left", ports)
        took = timed(partial(crowd.ask, "POST", f"/containers/{made}/start"))
        stages = told(peer.daemon, made, ("start",))["start"]
        crowd.ask("DELETE", f"/containers/{made}?force=1")
        floor_took = timed(partial(floor.start, "crun"))
        floor.remove("crun")
        if number >= 0:
            note(own_part(count + 1), stages.pop("engine"))
            note(whole(count + 1), took)
            del stages["total"]
            note(bare(count + 1), floor_took)
            if count in (0, size.crowd):
                for name, stage_took in stages.items():
                    note(stage_of(count + 1, name), stage_took)


def come_to_rest(patience: float) -> None:
    """Wait until the coming or going of a crowd is over for the kernel too: its files written, the processors idle for nine tenths of a second."""
    os.sync()
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        before = ticks()
        time.sleep(1)
        spent = [now - then for now, then in zip(ticks(), before, strict=True)]
        if spent[IDLE] > 0.9 * sum(spent):
            return


def ticks() -> list[int]:
    """What the processors have spent their time on since the boot, proc(5)."""
    return [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]


def weight(peer: Peer) -> float:
    """Megabytes of the daemon, the keeper and conmon; what runs in the crowd is httpd, and in the bench cat."""
    return sum(pss(peer, pid) for pid, line in peer.where.processes().items() if is_ours(line)) / 1e6


def is_ours(line: str) -> bool:
    return any(program in line.split(" -", 1)[0] for program in ("sanbashi", "conmon"))


def scale_goals(size: Size) -> tuple[Goal, ...]:
    """The lines that `make bench-scale` shows."""
    last = size.crowd + 1
    return (
        Goal(f"engine's part of start number {last} / of number 1", (own_part(last), OURS), 1.15, (own_part(1), OURS)),
        Goal(f"whole start number {last} / number 1", (whole(last), OURS), 1.3, (whole(1), OURS)),
        Goal(f"bare crun beside {size.crowd} containers / beside none (no goal of ours)", (bare(last), OURS), 1.3, (bare(1), OURS)),
        Goal(each(size), (each(size), OURS), 3, unit="MB"),
        Goal(f"{READY}, {size.crowd // 2} containers, {size.crowd // 2 * PORTS // 2} ports", (READY, OURS), 2000, unit="ms"),
        *(Goal(title, (title, OURS), 0) for title in LOST.values()),
        Goal(UNTRUE, (UNTRUE, OURS), 0),
        Goal(LEFT, (LEFT, OURS), 0),
    )


SCALE = (Work("crowd", rows, crowding, (1, 1)),)
