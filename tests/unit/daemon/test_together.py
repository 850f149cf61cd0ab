"""Many commands at once, some of which fail or die: whatever their order, state, kernel, processes and store agree in the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sanbashi.errors import SanbashiError
from sanbashi.network.model import EndpointWish, NetworkRequest

from .town import Crash, Daemon, World, a_container, daemon

Command = Callable[[Daemon], Awaitable[object]]
CONTAINERS, NETWORKS = ("web", "db", "runner", "other"), ("app", "spare", "new", "bridge")


def any_command(choose: random.Random) -> tuple[str, Command]:
    """A command on one of a handful of things, with the words that tell which."""
    container, network = choose.choice(CONTAINERS), choose.choice(NETWORKS)
    wish = EndpointWish(network=network, aliases=(f"{container}-alias",))
    commands: dict[str, Command] = {
        f"start {container}": lambda d: d.lifecycle.start(container),
        f"stop {container}": lambda d: d.lifecycle.stop(container, 1),
        f"restart {container}": lambda d: d.lifecycle.restart(container, 1),
        f"rm -f {container}": lambda d: d.lifecycle.remove(container, force=True),
        f"create {container}": lambda d: create(d, container, network),
        f"rename {container}": lambda d: d.lifecycle.rename(container, f"{container}-{choose.randrange(9)}"),
        f"connect {network} {container}": lambda d: d.networking.connect(network, container, wish),
        f"disconnect {network} {container}": lambda d: d.networking.disconnect(network, container, False),
        f"network create {network}": lambda d: d.networking.create(NetworkRequest(name=network, enable_ipv6=choose.random() < 0.5)),
        f"network rm {network}": lambda d: d.networking.remove(network),
    }
    return choose.choice(list(commands.items()))


async def create(town: Daemon, name: str, network: str) -> None:
    """What create does once names and layers are there."""
    container = a_container(name, network, ports={"80/tcp": "", "53/udp": "9000-9003"})
    if container.id not in town.state.containers and name not in town.state.container_names:
        await town.core.put(container)


@pytest.mark.parametrize("seed", range(8))
def test_many_at_once(seed: int, settled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose = random.Random(seed)
    world = settled.copy(tmp_path / "world")

    async def work() -> None:
        for _ in range(8):
            async with daemon(world, monkeypatch) as town:
                town.check()
                for _ in range(4):
                    trouble = choose.choice(("none", "step fails", "boundary fails", "crash at a step", "crash at a boundary"))
                    step, boundary = len(world.kernel.taken) + choose.randrange(30), len(world.passed) + choose.randrange(30)
                    world.kernel.fail_at = step if trouble == "step fails" else None
                    world.kernel.crash_at = step if trouble == "crash at a step" else None
                    world.trouble = boundary if "boundary" in trouble else None
                    world.crash = trouble.startswith("crash")
                    picked = [any_command(choose) for _ in range(6)]
                    tasks = [asyncio.ensure_future(command(town)) for _, command in picked]
                    until = asyncio.get_running_loop().time() + 60
                    while not world.kernel.dead and not all(t.done() for t in tasks):
                        assert asyncio.get_running_loop().time() < until, [w for (w, _), t in zip(picked, tasks, strict=True) if not t.done()]
                        await asyncio.wait(tasks, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
                    for task in tasks:
                        if task.done() and not isinstance(task.exception(), SanbashiError | Crash | type(None)):
                            task.result()
                    world.kernel.fail_at = world.kernel.crash_at = world.trouble = None
                    if world.kernel.dead:
                        break
                    town.check()

    asyncio.run(work())
