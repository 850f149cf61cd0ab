"""br_netfilter is turned on and off by others while containers run: what is published follows, and nothing of before is left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from tests.fakes import FakeKernel

from sanbashi.daemon.bridgefilter import BridgeFilter
from sanbashi.host.settings import BRIDGE_FILTERS
from sanbashi.network.model import EndpointWish
from sanbashi.network.picture import Element, Item, Veth

from .town import Daemon, World, daemon, settle_town


@dataclass(frozen=True)
class Facts:
    br_netfilter: bool = False
    br_netfilter6: bool = False


def lent(kernel: FakeKernel) -> set[str]:
    return {str(i) for i in kernel.picture if isinstance(i, Element) and i.set == "lent6"}


def hairpins(kernel: FakeKernel) -> set[bool]:
    return {i.hairpin for i in kernel.picture if isinstance(i, Veth)}


async def followed(town: Daemon) -> None:
    """Until what stands has followed."""
    await asyncio.gather(*town.networking.bridge_filter.tasks)


async def written(town: Daemon) -> None:
    town.reconcile.drift.settings.written(BRIDGE_FILTERS[0], "1")


LOOKS: dict[str, Callable[[Daemon], Awaitable[object]]] = {
    "start": lambda d: d.lifecycle.start("web"),
    "connect": lambda d: d.networking.connect("app", "db", EndpointWish(network="app")),
    "port publish": lambda d: d.rewiring.ports("db", ["8500:80"], []),
    "drift": lambda d: d.reconcile.drift.mend([]),
    "being told": written,
}


@pytest.mark.parametrize("look", LOOKS)
def test_what_stands_follows_what_is_seen(look: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        world = World(tmp_path / "data")
        async with daemon(world, monkeypatch) as town:
            town.core.facts = cast(Any, Facts())
            await settle_town(town)
            assert not lent(world.kernel)
            world.kernel.filtered = frozenset({4, 6})
            await LOOKS[look](town)
            await followed(town)
            town.check()
            assert lent(world.kernel) and hairpins(world.kernel) == {True}
            assert town.core.facts.br_netfilter6 and town.core.facts.br_netfilter
            world.kernel.filtered = frozenset()
            await town.lifecycle.stop("runner", 1)
            await town.lifecycle.start("runner")
            await followed(town)
            town.check()
            assert hairpins(world.kernel) == {False} and not lent(world.kernel) and not town.networking.loop.behind

    asyncio.run(work())


def test_what_ends_before_it_has_followed_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        world = World(tmp_path / "data")
        async with daemon(world, monkeypatch) as town:
            town.core.facts = cast(Any, Facts())
            await settle_town(town)
            for filtered in (frozenset({6}), frozenset[int]()):
                world.kernel.filtered = filtered
                async with town.core.locked(town.container("runner").id):
                    town.networking.bridge_filter.look()
                    stop = asyncio.create_task(town.lifecycle.stop("runner", 1))
                    await asyncio.sleep(0)
                await stop
                await followed(town)
                town.check()
                await town.lifecycle.start("runner")
                town.check()

    asyncio.run(work())


def test_one_file_is_read_where_nothing_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            read: list[int] = []
            monkeypatch.setattr(town.core.kernel, "filters_bridges", lambda version: bool(read.append(version)))
            town.networking.bridge_filter.look()
            assert read == [6]

    asyncio.run(work())


@pytest.mark.parametrize("follows", ["before the tables are back", "after"])
def test_tables_put_back_before_all_have_followed(follows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is behind gets the elements that it had; who ends then leaves none, and neither does who follows just then."""

    async def work() -> None:
        world = World(tmp_path / "data")
        async with daemon(world, monkeypatch) as town:
            town.core.facts = cast(Any, Facts())
            await settle_town(town)
            drift, loop, going = town.reconcile.drift, town.networking.loop, asyncio.get_running_loop()
            had = elements(world.kernel)
            for filtered in (frozenset({4, 6}), frozenset[int]()):
                world.kernel.filtered = filtered
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(BridgeFilter, "follow", nobody)
                    town.networking.bridge_filter.look(both=True)
                drop_elements(world.kernel)
                if follows == "after":
                    await drift.restore("somebody flushed them")
                    assert elements(world.kernel) == had, "as they are thought to be"
                    await town.lifecycle.stop("runner", 1)
                    await town.networking.bridge_filter.follow()
                else:
                    put_back = world.kernel.restore

                    def restore(found: Callable[[], Iterable[Item]], put_back: Any = put_back) -> int:
                        """Between the question what should be there and the transaction somebody follows, and finds nothing there yet."""
                        those = list(found())
                        asyncio.run_coroutine_threadsafe(town.networking.bridge_filter.follow(), going).result(10)
                        return int(put_back(lambda: those))

                    with pytest.MonkeyPatch.context() as patch:
                        patch.setattr(world.kernel, "restore", restore)
                        await drift.restore("somebody flushed them")
                    await asyncio.gather(*drift.tasks)
                    await town.lifecycle.stop("runner", 1)
                assert not loop.behind
                town.check()
                await town.lifecycle.start("runner")
                town.check()
                had = elements(world.kernel)

    asyncio.run(asyncio.wait_for(work(), 120))


async def nobody(_: BridgeFilter) -> None:
    """Follows."""


def elements(kernel: FakeKernel) -> set[str]:
    return {str(i) for i in kernel.picture if isinstance(i, Element)}


def drop_elements(kernel: FakeKernel) -> None:
    kernel.items = {key: i for key, i in kernel.items.items() if not isinstance(i, Element)}
