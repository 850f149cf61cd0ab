"""Leased addresses through the daemon: a start that waits, words of the keeper that change what stands, and every failure on the way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from tests.fakes import is_rule

from sanbashi.errors import Failed, SanbashiError
from sanbashi.network.lease import Lease, LeaseReport
from sanbashi.network.model import Endpoint, EndpointWish, NetworkRequest
from sanbashi.network.picture import Address, Element, HeldPort, Item, Leasing, Mtu, Names, Resolver, Route

from . import town as towns
from .town import Crash, Daemon, World, a_container, daemon, without_failure

Command = Callable[[Daemon], Awaitable[object]]
ROUTER = IPv4Address("10.7.0.1")


def lease(address: str = "10.7.0.50", **more: object) -> Lease:
    given: dict[str, object] = {"router": ROUTER, "dns": (ROUTER,), "domain": "lan.test", "begun": 100.0, "renew": 30.0, "rebind": 50.0, "ends": 60.0}
    return Lease(address=IPv4Interface(f"{address}/24"), server=ROUTER, **{**given, **more})  # type: ignore[arg-type]


def bound(endpoint: str, address: str = "10.7.0.50", **more: object) -> LeaseReport:
    return LeaseReport(endpoint=endpoint, word="bound", lease=lease(address, **more))


@pytest.fixture(autouse=True)
def links(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The host has what the network stands on."""
    monkeypatch.setattr(towns, "FACTS", replace(towns.FACTS, links_present=frozenset({"br7"})))
    yield


def new_world(folder: Path) -> World:
    world = World(folder)
    world.kernel.bridges = frozenset({"br7"})
    return world


@contextlib.asynccontextmanager
async def lan(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Daemon]:
    """A daemon, and a network with leases on the host's bridge, and two containers: web on it, db on the default network."""
    async with daemon(world, monkeypatch) as town:
        if "lan" not in town.state.network.network_names:
            options = {"com.docker.network.bridge.name": "br7"}
            await town.networking.create(NetworkRequest(name="lan", ipam_driver="dhcp", ipam_options={"timeout": "5"}, options=options))
            await town.core.put(a_container("web", "lan", ports={"80/tcp": "8080", "81/udp": ""}))
            await town.core.put(a_container("db", "bridge"))
            await town.lifecycle.start("db")
        yield town


@contextlib.asynccontextmanager
async def server(town: Daemon, *addresses: str) -> AsyncIterator[None]:
    """Somebody answers whoever waits, with these addresses in turn, the last for ever."""
    left = list(addresses or ["10.7.0.50"])

    async def serve() -> None:
        leasing = town.networking.leasing
        while True:
            for endpoint, future in list(leasing.waiting.items()):
                there = town.state.network.endpoints[endpoint].container_id in town.world.processes
                if there and not future.done():  # always in this order, so that boundaries can be counted
                    leasing.heard(bound(endpoint, left.pop(0) if len(left) > 1 else left[0]))
            await asyncio.sleep(0.001)

    task = asyncio.get_running_loop().create_task(serve())
    try:
        yield
    finally:
        task.cancel()


def run(work: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(work())


def endpoint_of(town: Daemon, name: str) -> Endpoint:
    state = town.state.network
    container = town.container(name)
    return next(e for e in map(state.endpoints.__getitem__, state.sandbox_endpoints[container.sandbox_id]) if e.asked4 or e.lease or not e.ipv4)


def there(world: World, kind: type[Item]) -> list[Item]:
    return [i for i in world.kernel.items.values() if isinstance(i, kind)]


async def settled(town: Daemon) -> None:
    """Until everything that the keeper told has been followed."""
    while town.networking.leasing.tasks:
        await asyncio.gather(*town.networking.leasing.tasks)


def test_a_start_waits_for_its_lease_and_all_follows_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = new_world(tmp_path / "data")

    async def work() -> None:
        async with lan(world, monkeypatch) as town:
            start = asyncio.get_running_loop().create_task(town.lifecycle.start("web"))
            while not town.networking.leasing.waiting:
                await asyncio.sleep(0.001)
            endpoint = endpoint_of(town, "web")
            assert endpoint.ipv4 is None and world.processes.get(endpoint.container_id) != "running"
            owned = {
                i.fields[2] for i in there(world, Element) if isinstance(i, Element) and i.set == "owned4" and i.fields[0] == endpoint.host_interface
            }
            assert owned == {"0.0.0.0"} and any(isinstance(i, Leasing) and i.endpoint == endpoint.id for i in there(world, Leasing))
            routes = ((IPv4Network("10.9.0.0/24"), IPv4Address("10.7.0.9")), (IPv4Network("10.8.0.1/32"), None))
            town.networking.leasing.heard(bound(endpoint.id, routes=routes, mtu=1400, router=IPv4Address("10.8.0.1")))
            await start
            town.check()
            endpoint = endpoint_of(town, "web")
            assert (endpoint.ipv4, endpoint.gateway4) == (IPv4Interface("10.7.0.50/24"), IPv4Address("10.8.0.1"))
            assert Mtu(endpoint.sandbox_id, "eth0", 1400) in there(world, Mtu)
            made = {(str(r.destination), str(r.via)) for r in there(world, Route) if isinstance(r, Route) and r.namespace == endpoint.sandbox_id}
            assert made == {("0.0.0.0/0", "10.8.0.1"), ("10.9.0.0/24", "10.7.0.9"), ("10.8.0.1/32", "None")}
            (resolver,) = (i for i in there(world, Resolver) if isinstance(i, Resolver) and i.sandbox == endpoint.sandbox_id)
            assert resolver.upstreams == ("10.7.0.1",) and resolver.search == ("lan.test",)
            sets = {(i.set, i.data) for i in there(world, Element) if isinstance(i, Element) and "10.7.0.50" in (*i.fields, *i.data)}
            assert ("published4_any", ("10.7.0.50", "80")) in sets and ("detached4", ()) in sets and "shortcut4" not in {s for s, _ in sets}
            folder = town.core.container_dir(endpoint.container_id)
            assert "10.7.0.50\t" in (folder / "hosts").read_text() and "search lan.test\n" in (folder / "resolv.conf").read_text()
            # The bridge is the network outside: nothing of ours judges what passes it.
            assert not [i for i in there(world, Element) if isinstance(i, Element) and i.family == "inet" and "br7" in i.fields]
            # Stop and start: the same address is asked for, by the same name and with the same MAC address.
            (before,) = (i for i in there(world, Leasing))
            await town.lifecycle.stop("web", 1)
            assert not there(world, Leasing)
            async with server(town, "10.7.0.51"):
                await town.lifecycle.start("web")
            after = endpoint_of(town, "web")
            (leasing,) = (i for i in there(world, Leasing) if isinstance(i, Leasing))
            assert isinstance(before, Leasing) and leasing.client_id == before.client_id and after.mac == endpoint.mac
            assert (leasing.ask, leasing.insist) == (IPv4Address("10.7.0.50"), False) and str(after.ipv4) == "10.7.0.51/24"
            town.check()

    run(work)


def test_what_the_keeper_tells_later_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renewed, lost, another: state, kernel, store and files are one; host ports stay held while there is no address; a dead daemon catches up."""
    world = new_world(tmp_path / "data")

    async def work() -> None:
        async with lan(world, monkeypatch) as town, server(town):
            await town.lifecycle.start("web")
            leasing, endpoint = town.networking.leasing, endpoint_of(town, "web")
            ports = endpoint.ports
            steps = len(world.kernel.taken)
            leasing.heard(bound(endpoint.id, begun=130.0))
            await settled(town)
            assert endpoint_of(town, "web").lease == lease(begun=130.0) and len(world.kernel.taken) == steps
            leasing.heard(LeaseReport(endpoint=endpoint.id, word="lost", reason="it was taken back"))
            await settled(town)
            town.check()
            lost = endpoint_of(town, "web")
            assert (lost.ipv4, lost.gateway4, lost.lease, lost.ports) == (None, None, None, ports)
            assert not [a for a in there(world, Address) if isinstance(a, Address) and a.namespace == endpoint.sandbox_id]
            assert len(there(world, HeldPort)) == len(ports) == 4 and not [
                n for n in there(world, Names) if isinstance(n, Names) and n.endpoint == endpoint.id
            ]
            assert "10.7.0.50" not in (town.core.container_dir(endpoint.container_id) / "hosts").read_text()
            leasing.heard(bound(endpoint.id, "10.7.0.60"))
            await settled(town)
            town.check()
            assert str(endpoint_of(town, "web").ipv4) == "10.7.0.60/24" and endpoint_of(town, "web").ports == ports
            assert "10.7.0.60\t" in (town.core.container_dir(endpoint.container_id) / "hosts").read_text()
        async with daemon(world, monkeypatch) as town:
            endpoint = endpoint_of(town, "web")
            assert str(endpoint.ipv4) == "10.7.0.60/24"
            # In one breath: of several words the last counts.
            town.networking.leasing.heard(LeaseReport(endpoint=endpoint.id, word="lost", reason="it ended"))
            town.networking.leasing.heard(LeaseReport(endpoint=endpoint.id, word="refused", offered="10.7.0.9"))
            await settled(town)
            assert endpoint_of(town, "web").ipv4 is None
            town.networking.leasing.heard(bound("nobody"))
            assert "nobody" not in town.networking.leasing.latest
            town.check()

    run(work)


def test_what_was_told_before_the_state_was_there_is_followed_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = new_world(tmp_path / "data")

    async def work() -> None:
        async with lan(world, monkeypatch) as town, server(town):
            await town.lifecycle.start("web")
            endpoint = endpoint_of(town, "web").id
        world.kernel.dead = False
        town = towns.daemon_in(world, monkeypatch)
        town.networking.leasing.heard(bound(endpoint, "10.7.0.99"))
        town.networking.leasing.heard(bound("gone"))
        try:
            await town.reconcile.start_up()
            await settled(town)
            assert str(endpoint_of(town, "web").ipv4) == "10.7.0.99/24" and list(town.networking.leasing.latest) == [endpoint]
            town.check()
        finally:
            town.core.store.stop()
            town.core.hands.shutdown(wait=True)

    run(work)


@pytest.mark.parametrize("words", ["another", "taken", "silence", "given up"])
def test_a_start_without_the_right_lease_leaves_nothing(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = new_world(tmp_path / "data")

    async def work() -> None:
        async with lan(world, monkeypatch) as town:
            await town.core.put(a_container("next", EndpointWish(network="lan", ipv4=IPv4Address("10.7.0.8"))))
            async with server(town):
                await town.lifecycle.start("web")
            before, picture = town.state, world.kernel.picture
            if words == "silence":
                monkeypatch.setattr("sanbashi.daemon.leasing.patience", lambda network: 0.01)
            start = asyncio.get_running_loop().create_task(town.lifecycle.start("next"))
            while not town.networking.leasing.waiting and not start.done():
                await asyncio.sleep(0.001)
            if words == "another":
                endpoint = endpoint_of(town, "next")
                town.networking.leasing.heard(LeaseReport(endpoint=endpoint.id, word="refused", offered="10.7.0.9"))
            elif words == "taken":
                town.networking.leasing.heard(bound(endpoint_of(town, "next").id, "10.7.0.50"))
            elif words == "given up":
                start.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await start
                while town.container("next").sandbox_id:
                    await asyncio.sleep(0.001)
            told = {
                "another": "the DHCP server on br7 gives 10.7.0.9 and not 10.7.0.8, the address that was asked for",
                "taken": "the DHCP server 10.7.0.1 gave 10.7.0.50 to next, and container web has it",
                "silence": "no DHCP server answered on br7 within 0.01 s",
            }
            if words in told:
                with pytest.raises(Failed, match=told[words]):
                    await start
            async with town.core.locked(town.container("next").id):
                town.check()
            assert town.state.network == before.network and world.kernel.picture == picture
            assert [without_failure(c) for c in town.state.containers.values()] == [without_failure(c) for c in before.containers.values()]
            # What was given up once is not given up for ever.
            monkeypatch.undo()
            async with server(town, "10.7.0.8"):
                await town.lifecycle.start("next")

    run(work)


def test_a_start_goes_on_as_long_as_one_of_those_who_asked_for_it_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = new_world(tmp_path / "data")

    async def work() -> None:
        async with lan(world, monkeypatch) as town:
            start = asyncio.get_running_loop().create_task(town.lifecycle.start("web"))
            while not town.networking.leasing.waiting:
                await asyncio.sleep(0.001)
            second = asyncio.get_running_loop().create_task(town.lifecycle.start("web"))
            await asyncio.sleep(0)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            async with server(town):
                await start
            assert world.processes[town.container("web").id] == "running" and not town.networking.leasing.attending

    run(work)


COMMANDS: dict[str, Command] = {
    "start": lambda d: d.lifecycle.start("web"),
    "connect": lambda d: d.networking.connect("lan", "db", EndpointWish(network="lan")),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_failure_at_any_step_leaves_everything_as_before(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = COMMANDS[name]

    async def work() -> None:
        async with lan(new_world(tmp_path / "measured"), monkeypatch) as town, server(town):
            passed, taken = len(town.world.passed), len(town.world.kernel.taken)
            await command(town)
            boundaries, steps = town.world.passed[passed:], town.world.kernel.taken[taken:]
        world = new_world(tmp_path / "world")
        async with lan(world, monkeypatch) as town, server(town):
            before, picture = town.state, world.kernel.picture

            async def fail(where: str) -> None:
                with pytest.raises(SanbashiError):
                    await command(town)
                assert town.state.network == before.network, where
                assert [without_failure(c) for c in town.state.containers.values()] == [without_failure(c) for c in before.containers.values()], where
                assert world.kernel.picture == picture, where
                town.check()

            for n in [n for n, step in enumerate(steps) if not (n and is_rule(step) and is_rule(steps[n - 1]))]:
                world.kernel.fail_at = len(world.kernel.taken) + n
                await fail(f"step {n}")
            for n, (boundary, can_fail) in enumerate(boundaries):
                if can_fail:
                    world.trouble = len(world.passed) + n
                    await fail(f"boundary {n}, {boundary}")
            await command(town)
            town.check()

    run(work)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_daemon_that_dies_anywhere_is_followed_by_one_that_makes_it_whole(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = COMMANDS[name]

    async def work() -> None:
        async with lan(new_world(tmp_path / "measured"), monkeypatch) as town, server(town):
            passed = len(town.world.passed)
            await command(town)
            boundaries = len(town.world.passed) - passed
        for n in range(boundaries):
            world = new_world(tmp_path / str(n))
            async with lan(world, monkeypatch) as town, server(town):
                world.trouble, world.crash = len(world.passed) + n, True
                with pytest.raises(Crash):
                    await command(town)
            world.crash = False
            async with daemon(world, monkeypatch) as town, server(town):
                # A container that ran has what it had; a connection that was cut gets its lease by the keeper's next word, or never was.
                for endpoint in town.state.network.endpoints.values():
                    town.networking.leasing.heard(bound(endpoint.id)) if "lan" in town.state.network.networks[endpoint.network_id].name else None
                await settled(town)
                town.check()
                if name == "start" and not town.container("web").state.running:
                    await command(town)
                town.check()

    run(work)


def test_of_two_servers_the_one_that_refuses_ends_the_waiting_for_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = new_world(tmp_path / "data")
    monkeypatch.setattr(towns, "FACTS", replace(towns.FACTS, links_present=frozenset({"br7", "br8"})))
    world.kernel.bridges = frozenset({"br7", "br8"})

    async def work() -> None:
        async with lan(world, monkeypatch) as town:
            options = {"com.docker.network.bridge.name": "br8"}
            await town.networking.create(NetworkRequest(name="wan", ipam_driver="dhcp", ipam_options={"timeout": "600"}, options=options))
            await town.core.put(a_container("two", EndpointWish(network="lan", ipv4=IPv4Address("10.7.0.8")), "wan"))
            picture = world.kernel.picture
            start = asyncio.get_running_loop().create_task(town.lifecycle.start("two"))
            leasing = town.networking.leasing
            while len(leasing.waiting) < 2:
                await asyncio.sleep(0.001)
            insisting = next(e for e in town.state.network.endpoints.values() if e.insists)
            leasing.heard(LeaseReport(endpoint=insisting.id, word="refused", offered="10.7.0.9"))
            with pytest.raises(Failed, match=r"gives 10\.7\.0\.9 and not 10\.7\.0\.8"):
                await start
            assert not leasing.waiting and world.kernel.picture == picture
            town.check()

    run(work)
