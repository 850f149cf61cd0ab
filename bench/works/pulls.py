"""Pulling an image of six layers from a registry on loopback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial

from ..layers import IMAGE, LAYERS, registry, stored
from ..work import Figures, Measure, Row, Size, Work, timed
from ..world import Peer, World


def pull(size: Size) -> str:
    return f"pull of {size.pulled} MB in {LAYERS} layers"


@contextlib.contextmanager
def pulling(world: World, size: Size) -> Iterator[Mapping[str, Measure]]:
    stored(size.pulled)  # outside of what is timed

    def turn(peer: Peer, reference: str) -> Figures:
        options = ("--tls-verify=false",) if peer.daemon is None else ()
        took = timed(lambda: peer.run("pull", "-q", *options, reference))
        peer.run("rmi", "-f", reference)
        return {pull(size): took}

    with contextlib.ExitStack() as stack:
        yield {peer.name: partial(turn, peer, f"{stack.enter_context(registry(peer.where, size.pulled))}/{IMAGE}") for peer in world.engines}


WORKS = (Work("pull", lambda size: (Row(pull(size)),), pulling, (3, 1)),)
