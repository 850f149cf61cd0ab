"""What grows, or should not: start time and memory against the number of containers, start time against the number of networks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial

from ..weight import own
from ..work import Figures, Measure, Row, Size, Work, timed
from ..world import Peer, World

IDLE = "memory of a new engine, one container running (PSS)"
EACH = "memory that each running container adds (PSS)"
STARTS = 5  # timed at each point of a curve


def beside(count: int) -> str:
    return f"run -d as number {count}"


def weighs(count: int) -> str:
    return f"memory of the engine, {count} container{'s' * (count > 1)} running (PSS)"


def among(count: int) -> str:
    return f"run -d beside {count} networks"


def container_rows(size: Size) -> tuple[Row, ...]:
    starts = [Row(beside(n), plot="containers", x=n) for n in size.containers]
    memory = [Row(weighs(n), "MB", plot="memory", x=n) for n in size.containers]
    return (*starts, *memory, Row(EACH, "MB"))


@contextlib.contextmanager
def containers(world: World, size: Size) -> Iterator[Mapping[str, Measure]]:
    last = size.containers[-1]

    def turn(peer: Peer) -> Figures:
        given: dict[str, float | list[float]] = {}
        took: list[float] = []
        for number in range(1, last + 1):
            took.append(timed(partial(peer.start, f"bench{number}")))
            if number in size.containers:
                given[beside(number)] = took[-STARTS:]
                given[weighs(number)] = own(peer) / 1e6
        first, many = given[weighs(1)], given[weighs(last)]
        assert isinstance(first, float) and isinstance(many, float)
        given[EACH] = (many - first) / (last - 1)
        peer.clear()
        return given

    # One container's start is not to be what an engine does once.
    for peer in world.engines:
        peer.start("bench")
        peer.clear()
    yield {peer.name: partial(turn, peer) for peer in world.engines}


@contextlib.contextmanager
def idle(world: World, size: Size) -> Iterator[Mapping[str, Measure]]:
    """Daemons that have done nothing yet; with one container, so that whatever a container needs is there."""

    def turn(peer: Peer) -> Figures:
        peer.start("bench", "--network", "bench")
        weight = own(peer) / 1e6
        peer.remove("bench")
        return {IDLE: weight}

    with contextlib.ExitStack() as stack:
        peers = (world.ours_with(), world.new_docker(), world.podman)
        for peer in peers:
            peer.run("network", "create", "bench")
            stack.callback(peer.run, "network", "rm", "bench")
        yield {peer.name: partial(turn, peer) for peer in peers}


def network_rows(size: Size) -> tuple[Row, ...]:
    return tuple(Row(among(n), plot="networks", x=n) for n in size.networks)


@contextlib.contextmanager
def networks(world: World, size: Size) -> Iterator[Mapping[str, Measure]]:
    """Networks with subnets of their own: Docker's default pools hold 31."""

    def turn(peer: Peer) -> Figures:
        given: dict[str, list[float]] = {}
        for number in range(1, size.networks[-1] + 1):
            peer.run("network", "create", "--subnet", f"10.90.{number}.0/24", f"bench{number}")
            if number in size.networks:
                given[among(number)] = []
                for _ in range(min(STARTS, size.probes)):
                    given[among(number)].append(timed(partial(peer.start, "bench", "--network", f"bench{number}")))
                    peer.remove("bench")
        peer.run("network", "rm", *(f"bench{n}" for n in range(1, size.networks[-1] + 1)))
        return given

    yield {peer.name: partial(turn, peer) for peer in world.engines}


WORKS = (
    Work("memory at rest", lambda size: (Row(IDLE, "MB"),), idle, (3, 1)),
    Work("containers that grow", container_rows, containers, (1, 1)),
    Work("networks that grow", network_rows, networks, (1, 1)),
)
