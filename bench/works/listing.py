"""Looking: `network ls` on an idle host, and ps, network ls and inspect where there are a thousand containers.

The thousand are created, not running, for every engine alike: a thousand of Docker's shims would not fit beside the rest; `make bench-scale`
asks ours with a thousand running.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ..work import SLEEP, Figures, Measure, Row, Size, Work, timed
from ..world import Peer, World

IDLE = "network ls, idle host"


@contextlib.contextmanager
def idle(world: World, size: Size) -> Iterator[Mapping[str, Measure]]:
    def turn(peer: Peer) -> Figures:
        return {IDLE: timed(lambda: peer.run("network", "ls"))}

    yield {peer.name: partial(turn, peer) for peer in (world.ours, world.ours_docker, world.docker, world.podman)}


def rows(size: Size) -> tuple[Row, ...]:
    return tuple(Row(title) for title in questions(size))


def questions(size: Size) -> dict[str, tuple[str, ...]]:
    """What is asked, by the row's title."""
    count = size.listed
    return {
        f"ps -a, {count} containers": ("ps", "-a"),
        f"network ls, {count} containers": ("network", "ls"),
        f"inspect of one, {count} containers": ("inspect", "bench7"),
        f"inspect of network, {count} containers": ("network", "inspect", "bench"),
    }


def asking(peer: Peer, size: Size) -> Callable[[], Figures]:
    """A turn of questions."""
    return lambda: {title: timed(partial(peer.run, *words)) for title, words in questions(size).items()}


@contextlib.contextmanager
def crowded(world: World, size: Size) -> Iterator[Mapping[str, Measure]]:
    for peer in (world.ours, world.docker):
        peer.run("network", "create", "bench")
        body = {"Image": "busybox", "Cmd": list(SLEEP[1:]), "HostConfig": {"NetworkMode": "bench"}}
        with ThreadPoolExecutor(4) as hands:
            list(hands.map(lambda n, p=peer, b=body: p.call("POST", f"/containers/create?name=bench{n}", b), range(size.listed)))
    yield {peer.name: asking(peer, size) for peer in (world.ours, world.ours_docker, world.docker)}
    for peer in (world.ours, world.docker):
        peer.clear()
        peer.run("network", "rm", "bench")


WORKS = (
    Work("idle listing", lambda size: (Row(IDLE),), idle, (15, 3), warm=True),
    Work("listing", rows, crowded, (9, 2), warm=True),
)
