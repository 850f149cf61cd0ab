"""Networks as one types them: create and remove, connect and disconnect."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial

from ..work import Figures, Measure, Row, Size, Work, timed
from ..world import Peer, World

CREATE, CONNECT, DISCONNECT = "network create + network rm", "network connect", "network disconnect"


@contextlib.contextmanager
def create(world: World, size: Size) -> Iterator[Mapping[str, Measure]]:
    def turn(peer: Peer) -> Figures:
        def work() -> None:
            peer.run("network", "create", "bench")
            peer.run("network", "rm", "bench")

        return {CREATE: timed(work)}

    yield {peer.name: partial(turn, peer) for peer in (world.ours, world.ours_docker, world.docker, world.podman)}


@contextlib.contextmanager
def connect(world: World, size: Size) -> Iterator[Mapping[str, Measure]]:
    def turn(peer: Peer) -> Figures:
        took = timed(lambda: peer.run("network", "connect", "bench", "member"))
        return {CONNECT: took, DISCONNECT: timed(lambda: peer.run("network", "disconnect", "bench", "member"))}

    for peer in world.engines:
        peer.run("network", "create", "bench")
        peer.run("network", "create", "bench-first")
        # podman connects only what is on a network of its own kind already.
        peer.start("member", "--network", "bench-first")
    yield {peer.name: partial(turn, peer) for peer in (world.ours, world.ours_docker, world.docker, world.podman)}
    for peer in world.engines:
        peer.clear()
        peer.run("network", "rm", "bench", "bench-first")


WORKS = (
    Work("network create", lambda size: (Row(CREATE),), create, (9, 2), warm=True),
    Work("network connect", lambda size: (Row(CONNECT), Row(DISCONNECT)), connect, (9, 2), warm=True),
)
