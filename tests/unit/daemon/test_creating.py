"""Which networks a new container wants, in which order, from the three places where a request says so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from sanbashi.containers.model import Config, HostConfig
from sanbashi.daemon.creating import Creating
from sanbashi.errors import NotFound
from sanbashi.network.model import EndpointWish, Network

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
