"""Starting: one container, one that ends at once, a command in one, a hundred at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ..work import SLEEP, Figures, Measure, Row, Size, Work, timed
from ..world import Peer, World

Turns = Iterator[Mapping[str, Measure]]
RUN_D, RUN_RM, EXEC = "run -d busybox sleep", "run --rm busybox true", "exec true"


def everybody(world: World) -> tuple[Peer, ...]:
    """Every engine with every runtime and CLI."""
    ours = (world.ours, world.ours_runc, world.ours_docker, world.ours_docker_runc)
    return (*ours, world.docker, world.podman, world.podman_crun)


@contextlib.contextmanager
def run_d(world: World, size: Size) -> Turns:
    def turn(peer: Peer) -> Figures:
        took = timed(lambda: peer.start("bench"))
        peer.remove("bench")
        return {RUN_D: took}

    def bare(runtime: str) -> Figures:
        took = timed(lambda: world.floor.start(runtime))
        world.floor.remove(runtime)
        return {RUN_D: took}

    yield {**{peer.name: partial(turn, peer) for peer in everybody(world)}, **{f"bare {r}": partial(bare, r) for r in ("crun", "runc")}}


@contextlib.contextmanager
def run_rm(world: World, size: Size) -> Turns:
    def turn(peer: Peer) -> Figures:
        return {RUN_RM: timed(lambda: peer.run("run", *peer.options, "--rm", "busybox", "true"))}

    def bare(runtime: str) -> Figures:
        return {RUN_RM: timed(lambda: world.floor.run(runtime, ("true",)))}

    yield {**{peer.name: partial(turn, peer) for peer in everybody(world)}, **{f"bare {r}": partial(bare, r) for r in ("crun", "runc")}}


@contextlib.contextmanager
def exec_true(world: World, size: Size) -> Turns:
    peers = everybody(world)
    for number, peer in enumerate(peers):
        peer.start(f"bench{number}")
    container = world.ours.run("inspect", "-f", "{{.Id}}", "bench0").stdout.strip()
    assert world.ours.daemon is not None
    state = str(world.ours.daemon.exec_root / "runtimes" / "crun")

    def turn(peer: Peer, name: str) -> Figures:
        return {EXEC: timed(lambda: peer.run("exec", name, "true"))}

    turns: dict[str, Measure] = {peer.name: partial(turn, peer, f"bench{number}") for number, peer in enumerate(peers)}
    turns["bare crun"] = lambda: {EXEC: timed(lambda: world.floor.command("crun", "--root", state, "exec", container, "true"))}
    yield turns
    for peer in world.engines:
        peer.clear()


def many_rows(size: Size) -> tuple[Row, ...]:
    return tuple(Row(f"{size.starts} starts, ten at a time, {way}", "starts/s", more=True) for way in ("API", "CLI"))


@contextlib.contextmanager
def many(world: World, size: Size) -> Turns:
    api, cli = (row.title for row in many_rows(size))

    def by_api(peer: Peer) -> Figures:
        def start(number: int) -> None:
            host = {"Runtime": peer.runtime} if peer.runtime else {}
            made = peer.call("POST", f"/containers/create?name=bench{number}", {"Image": "busybox", "Cmd": list(SLEEP[1:]), "HostConfig": host})
            peer.call("POST", f"/containers/{made['Id']}/start")

        return {api: ten_at_a_time(start)}

    def by_cli(peer: Peer) -> Figures:
        return {cli: ten_at_a_time(lambda number: peer.start(f"bench{number}"))}

    def ten_at_a_time(start: object) -> float:
        def work() -> None:
            with ThreadPoolExecutor(10) as hands:
                list(hands.map(start, range(size.starts)))  # type: ignore[arg-type]

        return size.starts / timed(work) * 1000

    def turn(peer: Peer) -> Figures:
        given: dict[str, float] = {}
        ways = (by_cli,) if peer.daemon is None else (by_cli, by_api)
        for way in ways:
            given.update(way(peer))  # type: ignore[arg-type]
            peer.clear()
        return given

    yield {peer.name: partial(turn, peer) for peer in (world.ours, world.ours_runc, world.docker, world.podman)}


WORKS = (
    Work("run -d", lambda size: (Row(RUN_D),), run_d, (9, 2), warm=True),
    Work("run --rm", lambda size: (Row(RUN_RM),), run_rm, (9, 2), warm=True),
    Work("exec", lambda size: (Row(EXEC),), exec_true, (9, 2), warm=True),
    Work("starts at once", many_rows, many, (2, 1)),
)
