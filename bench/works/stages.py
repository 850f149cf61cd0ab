"""The engine's own part of `run --rm busybox true`, by stage, as the daemon tells it at debug level."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from tests.harness import Engine

from ..work import Figures, Measure, Row, Size, Work
from ..world import Peer, World

OWN = "run --rm busybox true, the engine's own part"
VERBS = ("create", "start", "exit")
LINE = re.compile(r"stages (\w+) ([0-9a-f]{12}) (.*)")
STAGE = re.compile(r"(\w+)=([\d.]+)ms")


def told(daemon: Engine, container: str, verbs: tuple[str, ...], patience: float = 5.0) -> dict[str, dict[str, float]]:
    """verb -> stage -> milliseconds of one container, waited for: the last line may come after the client has its answer."""
    deadline = time.monotonic() + patience
    while True:
        found: dict[str, dict[str, float]] = {}
        for verb, short, words in LINE.findall(tail_of(daemon)):
            if container.startswith(short):
                found[verb] = {name: float(took) for name, took in STAGE.findall(words)}
        if all(verb in found for verb in verbs):
            return found
        if time.monotonic() > deadline:
            raise RuntimeError(f"the daemon told no stages of {', '.join(set(verbs) - set(found))} for {container}: is it at --log-level debug?")
        time.sleep(0.01)


def tail_of(daemon: Engine, size: int = 256 * 1024) -> str:
    """The end of the daemon's log."""
    with daemon.log.open("rb") as log:
        log.seek(max(0, daemon.log.stat().st_size - size))
        return log.read().decode(errors="replace")


@contextlib.contextmanager
def own_part(world: World, size: Size) -> Iterator[Mapping[str, Measure]]:
    peer = world.ours_debug
    assert peer.daemon is not None
    daemon = peer.daemon
    note = peer.where.scratch / "cid"

    def turn(peer: Peer) -> Figures:
        note.unlink(missing_ok=True)
        peer.run("run", *peer.options, "--rm", "--cidfile", str(note), "busybox", "true")
        stages = told(daemon, note.read_text(), VERBS)
        given = {OWN: sum(stages[verb]["engine"] for verb in VERBS)}
        for verb in VERBS:
            given.update({f"of that, {verb}: {name}": took for name, took in stages[verb].items()})
        return given

    yield {peer.name: partial(turn, peer) for peer in (peer, replace(peer, name="ours, runc", options=("--runtime", "runc")))}


WORKS = (Work("stages", lambda size: (Row(OWN),), own_part, (15, 3), warm=True),)
