"""What is learnt of the host and of the tables of others while something else is learnt, or twice at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sanbashi.daemon import facts as knowing
from sanbashi.daemon import others
from sanbashi.daemon.core import Core
from sanbashi.host.foreign import ForeignDrop
from sanbashi.host.passing import Way
from sanbashi.network.model import NetworkRequest

from .town import World, daemon


@dataclass(frozen=True)
class Facts:
    """Of HostFacts what a look at the host brings, and what others bring."""

    links: tuple[str, ...] = ()
    routes: tuple[object, ...] = ()
    on_link: tuple[object, ...] = ()
    resolv_conf: str = ""
    br_netfilter: bool = False
    br_netfilter6: bool = False
    foreign_drops: tuple[ForeignDrop, ...] = ()


def test_what_is_learnt_during_a_look_at_the_host_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        world = World(tmp_path / "data")
        async with daemon(world, monkeypatch) as town:
            looking, learnt = asyncio.Event(), threading.Event()
            loop = asyncio.get_running_loop()
            town.core.facts = cast(Any, Facts())

            def look_again(facts: Any) -> Any:
                loop.call_soon_threadsafe(looking.set)
                assert learnt.wait(60)
                return replace(facts, routes=((ip_network("10.9.0.0/16"), "eth0"),), resolv_conf="nameserver 10.9.0.1\n")

            monkeypatch.setattr(world.kernel, "look_again", look_again)
            monkeypatch.setattr(
                knowing,
                "network_facts",
                lambda config, facts: replace(town.core.network_facts, br_netfilter6=facts.br_netfilter6, avoid=facts.routes),
            )
            creating = asyncio.create_task(town.networking.create(NetworkRequest(name="app")))
            await looking.wait()
            world.kernel.filtered = frozenset({6})
            town.networking.bridge_filter.look()
            learnt.set()
            await creating
            facts: Any = town.core.facts
            assert facts.br_netfilter6 and town.core.network_facts.br_netfilter6, "not what it was before"
            assert facts.resolv_conf and facts.routes == town.core.network_facts.avoid != ()

    asyncio.run(asyncio.wait_for(work(), 120))


@pytest.mark.parametrize("first", [others.look_for_new_networks, others.look_at_others], ids=["two ask", "one asks while somebody looks"])
def test_a_chain_gets_our_rule_once(first: Callable[[Core], Awaitable[None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop = ForeignDrop(chain="ip filter FORWARD", owner="iptables", because="its policy", command="none")
    rules: list[str] = []

    def foreign_drops(_: Any, ways: Sequence[Way]) -> tuple[ForeignDrop, ...]:
        return (replace(drop, passed=bool(rules)),)

    def accept(_: Any, drops: Iterable[ForeignDrop]) -> tuple[str, ...]:
        rules.extend(one.chain for one in drops if not one.passed)
        return ()

    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            core, loop = town.core, asyncio.get_running_loop()
            core.facts = cast(Any, Facts())
            core.config = replace(core.config, foreign_accept=True)
            core.kernel = cast(Any, SimpleNamespace(nft=None, forget_admitted=lambda: None))
            monkeypatch.setattr(others, "foreign_drops", foreign_drops)
            monkeypatch.setattr(others, "accept", accept)

            async def in_step(work: Callable[..., Any], *args: Any) -> Any:
                """A hand; whoever else has something to do at once comes between."""
                await asyncio.sleep(0)
                found = work(*args)
                await asyncio.sleep(0)
                return found

            monkeypatch.setattr(core, "on_host", in_step)
            await asyncio.gather(loop.create_task(first(core)), loop.create_task(others.look_for_new_networks(core)))  # type: ignore[arg-type]
            assert rules == [drop.chain]
            assert core.judged == others.our_ways(core) and cast(Any, core.facts).foreign_drops == (replace(drop, passed=True),)

    asyncio.run(asyncio.wait_for(work(), 120))


def test_who_goes_down_leaves_no_rule_of_a_look_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread goes on where its task is cancelled: what it puts in is taken out again, for the daemon waits for the look first."""
    drop = ForeignDrop(chain="ip filter FORWARD", owner="iptables", because="its policy", command="none")
    rules: list[str] = []

    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            core, drift, loop = town.core, town.reconcile.drift, asyncio.get_running_loop()
            putting, put, taken = asyncio.Event(), threading.Event(), threading.Event()

            def accept(_: Any, drops: Iterable[ForeignDrop]) -> tuple[str, ...]:
                loop.call_soon_threadsafe(putting.set)
                assert put.wait(60)
                rules.append(drop.chain)
                return ()

            def withdraw(_: Any) -> tuple[str, ...]:
                gone = tuple(rules)
                rules.clear()
                taken.set()
                return gone

            core.facts = cast(Any, Facts())
            core.config = replace(core.config, foreign_accept=True)
            core.kernel = cast(Any, SimpleNamespace(nft=None, forget_admitted=lambda: None))
            monkeypatch.setattr(others, "foreign_drops", lambda *_: (replace(drop, passed=bool(rules)),))
            monkeypatch.setattr(others, "accept", accept)
            monkeypatch.setattr(others, "withdraw", withdraw)
            drift.spawn(others.look_at_others(core))
            await putting.wait()
            closing = asyncio.create_task(drift.close())
            # One that does not wait has long taken out what was not there yet.
            await asyncio.wait({closing}, timeout=0.3)
            assert not taken.is_set()
            put.set()
            await closing
            assert taken.is_set() and rules == []

    asyncio.run(asyncio.wait_for(work(), 120))
