"""Joining and leaving networks where the container has none of its own: as Docker 20.10.24 was seen to answer, and as newer ones do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from sanbashi.errors import Failed, Invalid, SanbashiError
from sanbashi.network.model import EndpointWish

from .town import Daemon, World, a_container, daemon, number

SHARING = "container sharing network namespace with another container or host cannot be connected to any other network"


async def lodger(town: Daemon, status: str) -> None:
    """A container in db's network."""
    guest = a_container("lodger")
    host = msgspec.structs.replace(guest.host_config, network_mode=f"container:{number('db')}")
    await town.core.put(msgspec.structs.replace(guest, host_config=host, state=msgspec.structs.replace(guest.state, status=status)))


async def refused(town: Daemon, network: str) -> SanbashiError:
    with pytest.raises(SanbashiError) as said:
        await town.networking.connect(network, "lodger", EndpointWish(network=network))
    return said.value


def test_one_that_runs_in_anothers_network_joins_none(settled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with daemon(settled.copy(tmp_path / "world"), monkeypatch) as town:
            await lodger(town, "running")
            for network in ("app", "bridge", "host", "none", "nosuch"):
                said = await refused(town, network)
                assert (type(said), said.message) == (Invalid, SHARING), network
            with pytest.raises(Failed, match="is not connected to network app"):
                await town.networking.disconnect("app", "lodger", False)
            assert town.container("lodger").networks == ()

    asyncio.run(work())


@pytest.mark.parametrize("status", ["running", "created"])
def test_what_has_no_effect_is_told_in_the_log(
    status: str, settled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with daemon(settled.copy(tmp_path / "world"), monkeypatch) as town:
            name = "db" if status == "running" else "web"
            assert town.container(name).state.status == status
            await town.networking.connect("spare", name, EndpointWish(network="spare", driver_options={"nobody.knows": "it"}))
            assert f"network connect spare {name}: option nobody.knows is not known to endpoints and has no effect" in caplog.text
            town.check()

    asyncio.run(work())


def test_one_that_does_not_run_keeps_the_wish_which_has_no_effect(
    settled: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with daemon(settled.copy(tmp_path / "world"), monkeypatch) as town:
            await lodger(town, "created")
            for network in ("app", "nosuch"):
                await town.networking.connect(network, "lodger", EndpointWish(network=network))
                assert f"lodger uses the network of container:{number('db')}: that it is connected to {network} has no effect" in caplog.text
            assert list(dict(town.container("lodger").networks)) == ["app", "nosuch"]
            assert (await refused(town, "host")).message.startswith("cannot connect container to host network")
            assert "in private (none) mode" in (await refused(town, "none")).message
            running = msgspec.structs.replace(town.container("lodger").state, status="running")
            await town.core.put(msgspec.structs.replace(town.container("lodger"), state=running))
            with pytest.raises(Failed, match="is not connected to network app"):
                await town.networking.disconnect("app", "lodger", False)
            await town.core.put(msgspec.structs.replace(town.container("lodger"), state=msgspec.structs.replace(running, status="exited")))
            for network in ("app", "nosuch"):
                await town.networking.disconnect(network, "lodger", False)
            assert town.container("lodger").networks == ()

    asyncio.run(work())
