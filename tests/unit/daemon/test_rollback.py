"""Whatever fails, state and kernel are as before and the next command works; wherever the daemon dies, the next one finds or undoes all of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path

import pytest
from tests.fakes import is_rule

from sanbashi.containers.model import Container
from sanbashi.errors import Failed, NotModified, SanbashiError
from sanbashi.network.model import EndpointWish, NetworkRequest
from sanbashi.network.picture import Item
from sanbashi.network.plan import Remove, Step
from sanbashi.network.updating import NetworkChange

from .town import Crash, Daemon, World, daemon, without_failure

BRIDGE, DNS = "com.docker.network", "io.sanbashi.dns"
Command = Callable[[Daemon], Awaitable[object]]

# Each of them can be done in the settled town, and says of a daemon whether it was done.
COMMANDS: dict[str, tuple[Command, Callable[[Daemon], bool]]] = {
    "start": (lambda d: d.lifecycle.start("web"), lambda d: d.container("web").state.running),
    "connect": (
        lambda d: d.networking.connect("app", "db", EndpointWish(network="app", aliases=("database",), links=("runner:it",))),
        lambda d: "app" in dict(d.container("db").networks),
    ),
    "disconnect": (lambda d: d.networking.disconnect("app", "runner", False), lambda d: "app" not in dict(d.container("runner").networks)),
    "network create": (
        lambda d: d.networking.create(NetworkRequest(name="new", enable_ipv6=True)),
        lambda d: "new" in d.state.network.network_names,
    ),
    "network rm": (lambda d: d.networking.remove("spare"), lambda d: "spare" not in d.state.network.network_names),
    "network update": (
        lambda d: d.rewiring.network(
            "app",
            NetworkChange(
                labels={"kind": "live"}, options={f"{BRIDGE}.bridge.enable_icc": "false", f"{BRIDGE}.driver.mtu": "1400", DNS: "192.0.2.9"}
            ),
        ),
        lambda d: d.networking.find("app").labels == {"kind": "live"},
    ),
    "network update to routed": (
        lambda d: d.rewiring.network("app", NetworkChange(options={f"{BRIDGE}.bridge.gateway_mode_ipv4": "routed"})),
        lambda d: f"{BRIDGE}.bridge.gateway_mode_ipv4" in d.networking.find("app").options,
    ),
    "port publish": (
        lambda d: d.rewiring.ports("db", ["8500:80", "127.0.0.1:8501:81/udp"], []),
        lambda d: "80/tcp" in d.container("db").host_config.port_bindings,
    ),
    "port publish and unpublish": (
        lambda d: d.rewiring.ports("runner", ["8000:81"], ["8000:80"]),
        lambda d: not d.container("runner").host_config.port_bindings.get("80/tcp"),
    ),
    "rename": (lambda d: d.lifecycle.rename("runner", "walker"), lambda d: "walker" in d.state.container_names),
}
# These take away, and go on taking away when something fails.
ENDINGS: dict[str, tuple[Command, Callable[[Daemon], bool]]] = {
    "stop": (lambda d: d.lifecycle.stop("runner", 1), lambda d: not d.container("runner").state.running),
    "rm": (lambda d: d.lifecycle.remove("web"), lambda d: "web" not in d.state.container_names),
    "rm -f": (lambda d: d.lifecycle.remove("runner", force=True), lambda d: "runner" not in d.state.container_names),
}


def run(work: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(work())


async def measure(world: World, command: Command, monkeypatch: pytest.MonkeyPatch) -> tuple[list[tuple[str, bool]], list[int]]:
    """The boundaries that a command passes, and the numbers of the kernel's steps that it takes; of one transaction's only the first."""
    async with daemon(world, monkeypatch) as town:
        before = len(world.passed), len(world.kernel.taken)
        await command(town)
        town.check()
        taken = world.kernel.taken[before[1] :]
        return world.passed[before[0] :], [n for n, step in enumerate(taken) if not (n and is_rule(step) and is_rule(taken[n - 1]))]


UNFORESEEN = ZeroDivisionError("nobody foresaw this")


@pytest.mark.parametrize(
    ("name", "unforeseen"), [*((name, None) for name in COMMANDS), *((name, UNFORESEEN) for name in ("start", "connect", "port publish"))]
)
def test_a_failure_at_any_step_leaves_everything_as_before(
    name: str, unforeseen: Exception | None, settled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, done = COMMANDS[name]

    async def work() -> None:
        boundaries, steps = await measure(settled.copy(tmp_path / "measured"), command, monkeypatch)
        world = settled.copy(tmp_path / "world")
        world.unforeseen = world.kernel.unforeseen = unforeseen
        async with daemon(world, monkeypatch) as town:
            before, picture = town.state, world.kernel.picture

            async def fail(where: str) -> None:
                with pytest.raises(type(unforeseen) if unforeseen else SanbashiError):
                    await command(town)
                assert town.state.network == before.network, where
                assert [without_failure(c) for c in town.state.containers.values()] == [without_failure(c) for c in before.containers.values()], where
                assert world.kernel.picture == picture, where
                town.check()

            for n in steps:
                world.kernel.fail_at = len(world.kernel.taken) + n
                await fail(f"step {n}")
            for n, (boundary, can_fail) in enumerate(boundaries):
                if can_fail:
                    world.trouble = len(world.passed) + n
                    await fail(f"boundary {n}, {boundary}")
            await command(town)
            assert done(town)
            town.check()

    run(work)


@pytest.mark.parametrize("then", ["start", "rm"])
def test_a_start_whose_way_back_fails_too_is_undone_by_what_comes_next(
    then: str, settled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        world = settled.copy(tmp_path / "world")
        async with daemon(world, monkeypatch) as town:
            apply = world.kernel.apply

            def refuse(steps: Sequence[Step]) -> tuple[Item, ...]:
                if any(isinstance(step, Remove) for step in steps):
                    raise UNFORESEEN
                return apply(steps)

            with monkeypatch.context() as patch:
                patch.setattr(world.kernel, "apply", refuse)
                patch.setattr(town.processes, "start", failing)
                with pytest.raises(ZeroDivisionError):
                    await town.lifecycle.start("web")
            web = town.container("web")
            assert web.state.status == "created" and web.sandbox_id in town.state.network.sandboxes
            assert web.state.error == "internal error: ZeroDivisionError; the daemon's log has the details"
            command, done = (COMMANDS | ENDINGS)[then]
            await command(town)
            assert done(town)
            town.check()

    run(work)
    assert "taking down the network of web" in caplog.text


async def failing(container: Container) -> None:
    raise Failed("the runtime cannot start")


@pytest.mark.parametrize("name", ENDINGS)
def test_what_takes_away_does_so_although_a_step_fails(name: str, settled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command, done = ENDINGS[name]

    async def work() -> None:
        _, steps = await measure(settled.copy(tmp_path / "measured"), command, monkeypatch)
        for n in steps:
            world = settled.copy(tmp_path / str(n))
            async with daemon(world, monkeypatch) as town:
                world.kernel.fail_at = len(world.kernel.taken) + n
                await command(town)
                assert world.kernel.fail_at is None and done(town)
                town.check()

    run(work)


@pytest.mark.parametrize("name", COMMANDS | ENDINGS)
def test_a_disk_that_stays_full_for_a_while_loses_nothing(name: str, settled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command, done = (COMMANDS | ENDINGS)[name]

    async def work() -> None:
        boundaries, steps = await measure(settled.copy(tmp_path / "measured"), command, monkeypatch)
        commits = [n for n, (boundary, _) in enumerate(boundaries) if boundary == "commit"]
        for first, step in [(n, None) for n in commits] + [(n, step) for n in commits[1:] for step in steps[-1:]]:
            world = settled.copy(tmp_path / f"{first} {step}")
            async with daemon(world, monkeypatch) as town:
                world.full = len(world.passed) + first
                world.kernel.fail_at = None if step is None else len(world.kernel.taken) + step
                with contextlib.suppress(SanbashiError):
                    await asyncio.wait_for(command(town), 60)
                world.full = None
                if not done(town):
                    with contextlib.suppress(NotModified):
                        await asyncio.wait_for(command(town), 60)
                    assert done(town), f"from commit {first} on"
                await town.networking.create(NetworkRequest(name="next"))
                town.check()

    run(work)


@pytest.mark.parametrize("name", COMMANDS | ENDINGS)
def test_after_a_crash_at_any_step_the_next_daemon_stands_on_firm_ground(
    name: str, settled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, done = (COMMANDS | ENDINGS)[name]

    async def crash(world: World, at_step: bool, n: int) -> None:
        async with daemon(world, monkeypatch) as town:
            others = running_of(town)
            if at_step:
                world.kernel.crash_at = len(world.kernel.taken) + n
            else:
                world.trouble, world.crash = len(world.passed) + n, True
            with pytest.raises(Crash):
                await command(town)
        world.kernel.crash_at = None
        async with daemon(world, monkeypatch) as town:
            town.check()
            stands = done(town)
            for container_id, kept in others.items():
                if container_id in running_of(town) and (name, stands) != ("disconnect", True):
                    assert running_of(town)[container_id] >= kept, "a running container lost an address"
            if not stands:
                await command(town)
                assert done(town)
            await town.networking.create(NetworkRequest(name="next"))
            town.check()

    async def work() -> None:
        boundaries, steps = await measure(settled.copy(tmp_path / "measured"), command, monkeypatch)
        for at_step, n in [(True, n) for n in steps] + [(False, n) for n in range(len(boundaries))]:
            await crash(settled.copy(tmp_path / f"{at_step} {n}"), at_step, n)

    run(work)


def running_of(town: Daemon) -> dict[str, set[str]]:
    """The addresses of each running container."""
    network = town.state.network
    return {
        c.id: {str(network.endpoints[e].ipv4) for e in network.sandbox_endpoints.get(c.sandbox_id, ())}
        for c in town.state.containers.values()
        if c.state.running
    }


def test_a_crash_while_starting_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        first = World(tmp_path / "first")
        async with daemon(first, monkeypatch) as town:
            town.check()
        for n in range(len(first.kernel.taken)):
            world = World(tmp_path / str(n))
            world.kernel.crash_at = n
            with pytest.raises(Crash):
                async with daemon(world, monkeypatch):
                    pass
            world.kernel.crash_at = None
            async with daemon(world, monkeypatch) as town:
                town.check()

    run(work)
