"""What a starting daemon makes of what it finds: who runs on, who is over, who starts again, who goes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from sanbashi.containers.model import Container, Health, RestartPolicy
from sanbashi.daemon import reconcile
from sanbashi.daemon.reconcile import TAKING_DOWN, longest_stop
from sanbashi.daemon.targets import targets_first
from sanbashi.errors import Unavailable
from sanbashi.network.model import NetworkRequest
from sanbashi.network.picture import Element, HostResolver, Picture, Resolver, Up, Zone
from sanbashi.network.plan import Remove
from sanbashi.network.wanted import everything

from . import town as places
from .town import Daemon, World, a_container, daemon, number


def run(work: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 120))


async def grown(town: Daemon) -> None:
    """Until the work that start-up left for later is done."""
    while town.reconcile.tasks:
        await asyncio.gather(*town.reconcile.tasks)


def policy(name: str, retries: int = 0) -> RestartPolicy:
    return RestartPolicy(name=name, maximum_retry_count=retries)


def linked(name: str, *targets: str) -> Container:
    """A container that starts with the daemon and links to others on the default bridge."""
    made = a_container(name, "bridge", links=targets, restart_policy=policy("always"))
    return msgspec.structs.replace(made, linked=tuple((target, number(target)) for target in targets))


def test_who_is_linked_to_starts_before_who_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the machine has gone down: else the one would be refused for want of the other, by the chance of their ids."""
    chains = [linked("app", "db", "gone"), linked("web", "app", "db"), linked("db", "store"), linked("store")]
    assert [c.name for c in targets_first({c.id: c for c in chains})] == ["store", "db", "app", "web"]
    world = World(tmp_path / "data")

    async def work() -> None:
        async with daemon(world, monkeypatch) as town:
            for name, target in (("store", ()), ("db", ("store",)), ("app", ("db",)), ("web", ("app", "db"))):
                await town.core.put(linked(name, *target))
                await town.lifecycle.start(name)
        world.processes.clear()
        async with daemon(world, monkeypatch) as town:
            await grown(town)
            assert {c.state.status for c in town.state.containers.values()} == {"running"}
            town.check()

    run(work)


# how the process ended while nobody looked (None: it runs), the container's settings, what becomes of it
FOUND: list[tuple[int | None, dict[str, Any], str]] = [
    (None, {}, "running"),
    (None, {"auto_remove": True}, "running"),
    (0, {}, "exited 0"),
    (3, {}, "exited 3"),
    (3, {"auto_remove": True}, "gone"),
    (0, {"restart_policy": policy("always")}, "running"),
    (0, {"restart_policy": policy("unless-stopped")}, "running"),
    (0, {"restart_policy": policy("on-failure")}, "exited 0"),
    (3, {"restart_policy": policy("on-failure")}, "running"),
]


@pytest.mark.parametrize(("code", "host", "becomes"), FOUND)
def test_a_container_that_ran(code: int | None, host: dict[str, Any], becomes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "data")

    async def work() -> None:
        async with daemon(world, monkeypatch) as town:
            await town.core.put(a_container("web", "bridge", ports={"80/tcp": "8080"}, **host))
            await town.lifecycle.start("web")
            before = town.container("web")
        if code is not None:
            del world.processes[before.id]
            world.exit_codes[before.id] = code
        async with daemon(world, monkeypatch) as town:
            await grown(town)
            town.check()
            assert outcome(town) == becomes
            told = [e.action for e in town.core.events.kept if e.type == "container"]
            assert ("die" in told) == (code is not None)
            if code is None:
                assert town.container("web") == before, "what runs is left alone"

    run(work)


def outcome(town: Daemon) -> str:
    container = town.state.containers.get(number("web"))
    if container is None:
        return "gone"
    return f"exited {container.state.exit_code}" if container.state.status == "exited" else container.state.status


def test_after_a_reboot_nothing_runs_whatever_the_pids_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "data")

    async def work() -> None:
        async with daemon(world, monkeypatch) as town:
            for name, host in (("web", {"restart_policy": policy("always")}), ("db", {}), ("once", {"auto_remove": True})):
                await town.core.put(a_container(name, "bridge", **host))
                await town.lifecycle.start(name)
            web = town.container("web")
            await town.core.put(msgspec.structs.replace(web, state=msgspec.structs.replace(web.state, health=Health(status="healthy"))))
            for container in list(town.state.containers.values()):
                await town.core.put(msgspec.structs.replace(container, boot_id="the boot before"))
        world.kernel.items.clear()
        async with daemon(world, monkeypatch) as town:
            await grown(town)
            town.check()
            assert {c.name: c.state.status for c in town.state.containers.values()} == {"web": "running", "db": "exited"}
            assert town.container("db").state.exit_code == 255 and town.container("web").boot_id == "this boot"
            assert town.container("web").state.health is None, "it has no check"

    run(work)


@pytest.mark.parametrize(
    ("status", "by_user", "name", "becomes"),
    [
        ("exited", True, "always", "running"),
        ("exited", True, "unless-stopped", "exited 0"),
        ("exited", False, "no", "exited 0"),
        ("created", False, "always", "created"),
        ("restarting", False, "always", "running"),
        ("restarting", False, "no", "exited 0"),
    ],
)
def test_a_container_that_did_not_run(status: str, by_user: bool, name: str, becomes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "data")

    async def work() -> None:
        async with daemon(world, monkeypatch) as town:
            web = a_container("web", "bridge", restart_policy=policy(name))
            web = msgspec.structs.replace(web, stopped_by_user=by_user, state=msgspec.structs.replace(web.state, status=status))
            await town.core.put(web)
        async with daemon(world, monkeypatch) as town:
            await grown(town)
            town.check()
            assert outcome(town) == becomes

    run(work)


@pytest.mark.parametrize(("status", "auto_remove", "stays"), [("exited", True, False), ("created", True, True), ("removing", False, False)])
def test_a_removal_that_was_cut_is_finished(status: str, auto_remove: bool, stays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "data")

    async def work() -> None:
        async with daemon(world, monkeypatch) as town:
            web: Container = a_container("web", "bridge", auto_remove=auto_remove)
            await town.core.put(msgspec.structs.replace(web, state=msgspec.structs.replace(web.state, status=status)))
        async with daemon(world, monkeypatch) as town:
            await grown(town)
            town.check()
            assert (number("web") in town.state.containers) == stays

    run(work)


def test_strange_hands_are_mended_at_start_and_when_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "data")

    async def work() -> None:
        async with daemon(world, monkeypatch) as town:
            await town.core.put(a_container("web", "bridge", ports={"80/tcp": "8080"}))
            await town.lifecycle.start("web")
            for drift in (Element, Up):
                world.kernel.apply([Remove(i) for i in world.kernel.picture if isinstance(i, drift)])
                with pytest.raises(AssertionError):
                    town.check()
                await town.reconcile.repair()
                town.check()
            world.kernel.items.clear()
        async with daemon(world, monkeypatch) as town:
            town.check()
            await town.reconcile.repair()
            taken = len(world.kernel.taken)
            await town.reconcile.repair()
            assert len(world.kernel.taken) == taken, "what is right is left alone"

    run(work)


def test_the_predefined_networks_keep_their_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "data")

    async def work() -> None:
        async with daemon(world, monkeypatch) as town:
            names = town.state.network.network_names
            assert set(names) == {"bridge", "host", "none"}
        async with daemon(world, monkeypatch) as town:
            assert town.state.network.network_names == names
            commits = [name for name, _ in world.passed].count("commit")
        assert commits == 1, "a second start has nothing to save"

    run(work)


def test_where_the_host_cannot_be_served_names_containers_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "data")
    here, there = (HostResolver(ip_address(f"127.0.0.{n}"), 53) for n in (83, 84))

    async def work() -> None:
        async with daemon(world, monkeypatch) as town:
            await town.core.put(a_container("web", "bridge"))
            await town.lifecycle.start("web")
        monkeypatch.setattr(places, "FACTS", replace(places.FACTS, host_resolver=(here.address, 53)))
        world.kernel.fail_on = here
        async with daemon(world, monkeypatch) as town:
            assert town.core.problems == (f"add {here}: asked to fail",)
            assert not world.kernel.has(here) and world.kernel.has(Zone(town.state.network.network_names["bridge"], "bridge"))
            assert town.container("web").state.running
        world.kernel.fail_on = None
        async with daemon(world, monkeypatch) as town:
            town.check()
            assert town.core.problems == () and world.kernel.has(here)
        monkeypatch.setattr(places, "FACTS", replace(places.FACTS, host_resolver=(there.address, 53)))
        async with daemon(world, monkeypatch) as town:
            town.check()
            assert world.kernel.has(there) and not world.kernel.has(here)
        monkeypatch.setattr(places, "FACTS", replace(places.FACTS, host_resolver=None))
        async with daemon(world, monkeypatch) as town:
            town.check()

    run(work)


def test_one_broken_sandbox_keeps_nobody_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A container that may do so can make its namespace unfit, its loopback taken away say: that is its own affair."""
    world = World(tmp_path / "data")

    async def work() -> None:
        async with daemon(world, monkeypatch) as town:
            await town.networking.create(NetworkRequest(name="app"))
            for name in ("rogue", "web"):
                await town.core.put(a_container(name, "app", ports={"80/tcp": ""}))
                await town.lifecycle.start(name)
        broken = next(i for i in world.kernel.picture if isinstance(i, Resolver) and i.sandbox == town.container("rogue").sandbox_id)
        world.kernel.items = {key: i for key, i in world.kernel.items.items() if not isinstance(i, Resolver | Element)}
        world.kernel.fail_on = broken
        async with daemon(world, monkeypatch) as town:
            want = everything(town.state.network, town.core.network_facts)
            assert want - world.kernel.picture == Picture.of([broken])
            assert {c.name: c.state.status for c in town.state.containers.values()} == {"rogue": "running", "web": "running"}
            assert f"add {broken}: asked to fail" in caplog.text
        world.kernel.fail_on = None
        async with daemon(world, monkeypatch) as town:
            town.check()

    run(work)


@pytest.mark.parametrize(
    ("own", "longest"),
    [([], 15), ([0, 10], 10 + TAKING_DOWN), ([120, 1], 120 + TAKING_DOWN), ([10, -1], None)],
    ids=["none runs", "the default", "one that needs long", "one that may take for ever"],
)
def test_how_long_containers_may_take_to_stop(own: list[int], longest: int | None) -> None:
    """The kill after a container's own time, and what follows from its end, are within it: they took longer than five seconds on a slow machine."""
    assert longest_stop(own, 15) == longest


@pytest.mark.parametrize("runs", [True, False], ids=["one runs", "none runs"])
@pytest.mark.parametrize("failure", [Unavailable("it is stopped"), PermissionError(1, "not permitted")], ids=["silent", "refused"])
def test_a_keeper_that_nothing_ends_keeps_no_daemon_from_going_down(
    runs: bool, failure: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path / "data")

    def silent() -> None:
        raise Unavailable("the keeper does not answer")

    def end(*, ask: bool = True) -> None:
        raise failure

    async def work() -> None:
        async with daemon(world, monkeypatch) as town:
            await town.core.put(a_container("web", "bridge"))
            if runs:
                await town.lifecycle.start("web")
            town.core.config = replace(town.core.config, live_restore=False)
            town.core.keeper = cast(Any, SimpleNamespace(ensure=silent, end=end, close=lambda: None))
            await town.reconcile.shut_down()
            assert not world.processes and outcome(town) == ("exited 143" if runs else "created")
            assert town.core.store.thread is None, "what was decided is saved"
            assert f"the keeper cannot be ended: {failure}" in caplog.text

    run(work)


def test_exits_that_wait_are_tried_again_with_a_new_keeper_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "data")

    async def work() -> None:
        async with daemon(world, monkeypatch) as town:
            told: list[str] = []
            monkeypatch.setattr(town.processes, "try_again", lambda: told.append("again"), raising=False)
            await town.reconcile.renew_keeper()
            assert told == ["again"]
            town.core.config = replace(town.core.config, live_restore=False)
            monkeypatch.setattr(town.core.kernel, "remove_everything", lambda: None, raising=False)
            await town.reconcile.shut_down()
            assert told[1:]

    run(work)


def test_nothing_is_closed_while_somebody_works_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start whose client has gone may still be at work when the daemon goes down."""
    told: list[str] = []

    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            begun, let_go = threading.Event(), threading.Event()

            def at_work() -> None:
                begun.set()
                let_go.wait()
                told.append("done")

            async def nothing() -> None:
                """There is no monitor."""

            working = asyncio.ensure_future(town.core.on_host(at_work))
            await asyncio.to_thread(begun.wait)
            monkeypatch.setattr(town.processes, "close", nothing, raising=False)
            monkeypatch.setattr(town.core.kernel, "close", lambda: told.append("closed"))
            monkeypatch.setattr(town.core.kernel, "remove_everything", lambda: None, raising=False)
            monkeypatch.setattr(reconcile, "unshare_path", lambda folder: None)
            down = asyncio.create_task(town.reconcile.shut_down())
            try:
                while not town.core.hands._shutdown and not told and not down.done():
                    await asyncio.sleep(0.001)
            finally:
                let_go.set()
            await asyncio.gather(down, working)

    run(work)
    assert told == ["done", "closed"]
