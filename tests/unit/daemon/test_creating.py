"""Which networks a new container wants, in which order, from the three places where a request says so; what goes where it does not come to be."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from sanbashi.containers.model import Config, Container, HostConfig, MountPoint
from sanbashi.daemon.creating import Creating
from sanbashi.daemon.volumes import Volumes
from sanbashi.errors import Failed, NotFound, Unavailable
from sanbashi.network.model import EndpointWish, Network

from .town import Daemon, World, a_container, daemon

APP = Network(id="a" * 64, name="app", driver="bridge", created="")


def find(ref: str) -> Network:
    if ref in ("app", APP.id, APP.id[:12]):
        return APP
    if ref in ("bridge", "host", "none"):
        return Network(id=ref, name=ref, driver=ref, created="")
    raise NotFound(f"network {ref} not found")


def wished(mode: str, *wishes: tuple[str, EndpointWish], config: Config | None = None, **host: Any) -> list[tuple[str, EndpointWish]]:
    creating = Creating(cast(Any, None), cast(Any, SimpleNamespace(find=find)), cast(Any, None), cast(Any, None), cast(Any, None))
    return list(creating.wished(HostConfig(network_mode=mode, **host), config or Config(), wishes))


def names(*args: Any, **more: Any) -> list[str]:
    return [name for name, _ in wished(*args, **more)]


def test_nothing_said_is_the_default_bridge() -> None:
    assert names("") == names("default") == names("bridge") == ["bridge"]


@pytest.mark.parametrize("mode", ["host", "none", "app"])
def test_the_mode_alone(mode: str) -> None:
    assert names(mode) == [mode]


def test_another_containers_network_is_no_wish() -> None:
    assert names("container:web", ("app", EndpointWish(network="app"))) == []


def test_no_network_at_all() -> None:
    assert names("bridge", config=Config(network_disabled=True)) == []


def test_the_modes_own_comes_first() -> None:
    assert names("app", ("other", EndpointWish(network="other")), ("app", EndpointWish(network="app"))) == ["app", "other"]


def test_settings_of_default_are_those_of_the_bridge() -> None:
    assert wished("default", ("default", EndpointWish(network="default", aliases=("a",)))) == [
        ("bridge", EndpointWish(network="default", aliases=("a",)))
    ]


@pytest.mark.parametrize(("mode", "key"), [(APP.id, "app"), ("app", APP.id), (APP.id[:12], "app"), (APP.id[:12], APP.id)])
def test_an_id_and_a_name_of_one_network_are_one_wish(mode: str, key: str) -> None:
    assert wished(mode, (key, EndpointWish(network=key, aliases=("a",)))) == [("app", EndpointWish(network=key, aliases=("a",)))]


def test_a_network_that_is_not_there_is_refused_only_at_start() -> None:
    assert wished("nothing") == [("nothing", EndpointWish(network="nothing"))]


def test_the_mac_address_of_old_clients_is_the_first_networks() -> None:
    config = Config(mac_address="02:42:ac:11:00:02")
    assert [w.mac for _, w in wished("app", ("other", EndpointWish(network="other")), config=config)] == ["02:42:ac:11:00:02", ""]
    assert wished("app", ("app", EndpointWish(network="app", mac="02:00:00:00:00:01")), config=config)[0][1].mac == "02:00:00:00:00:01"


def test_links_are_the_first_networks_unless_it_is_predefined() -> None:
    assert [w.links for _, w in wished("app", links=("db:d",))] == [("db:d",)]
    assert [w.links for _, w in wished("bridge", links=("db:d",))] == [()]


def creating_in(town: Daemon) -> Creating:
    nothing = cast(Any, SimpleNamespace())
    return Creating(town.core, town.networking, Volumes(town.core), nothing, nothing)


def mounting(*mounts: MountPoint) -> Container:
    return msgspec.structs.replace(a_container("web", "bridge"), mounts=mounts)


def left(town: Daemon) -> tuple[set[str], set[str]]:
    """The volumes that are known and those that are on the disk."""
    folder = town.core.config.data_root / "volumes"
    return set(town.state.volumes), {path.name for path in folder.iterdir()} if folder.exists() else set()


ANONYMOUS = MountPoint(type="volume", destination="/a")


def test_a_volume_that_cannot_be_takes_the_anonymous_ones_before_it_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            named, wrong = MountPoint(type="volume", name="named", destination="/b"), MountPoint(type="volume", destination="/c", driver="no")
            with pytest.raises(NotFound, match='plugin "no" not found'):
                await creating_in(town).with_mounts(mounting(ANONYMOUS, named, ANONYMOUS, wrong))
            assert left(town) == ({"named"}, {"named"}), "a named one stays, as with Docker"

    asyncio.run(work())


@pytest.mark.parametrize("full", [0, 1])
def test_an_anonymous_volume_that_cannot_be_saved_leaves_no_folder(full: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk, where what goes is saved still."""

    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            store, saved = type(town.core.store).commit, []

            async def commit(self: Any, changes: Any, *rest: Any, urgent: bool = False) -> int:
                if not urgent and len(saved) == full:
                    raise Unavailable("the disk is full")
                saved.append(changes)
                return await store(self, changes, *rest, urgent=urgent)

            monkeypatch.setattr(type(town.core.store), "commit", commit)
            with pytest.raises(Unavailable):
                await creating_in(town).with_mounts(mounting(ANONYMOUS, ANONYMOUS))
            assert left(town) == (set(), set())

    asyncio.run(work())


def test_whatever_of_a_container_cannot_be_taken_back_its_volumes_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            creating = creating_in(town)
            made = await creating.with_mounts(mounting(ANONYMOUS, ANONYMOUS))
            assert len(left(town)[1]) == 2

            def busy(_: str) -> None:
                raise Failed("the layer is busy")

            monkeypatch.setattr(town.core, "snapshots", SimpleNamespace(remove=busy))
            with pytest.raises(Failed, match="busy"):
                await creating.unmake(made)
            assert left(town) == (set(), set())

    asyncio.run(work())
