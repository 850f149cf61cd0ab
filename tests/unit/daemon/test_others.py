"""What is learnt of the host and of the tables of others while something else is learnt, or twice at once."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import pytest

from sanbashi.daemon import facts as knowing
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


def test_what_is_learnt_during_a_look_at_the_host_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        world = World(tmp_path / "data")
        async with daemon(world, monkeypatch) as town:
            looking, learnt = asyncio.Event(), threading.Event()
            loop = asyncio.get_running_loop()
            town.core.facts = cast(Any, Facts())

            def look_again(facts: Any) -> Any:
                loop.call_soon_threadsafe(looking.set)
                assert learnt.wait(10)
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
            town.networking.filters.look()
            learnt.set()
            await creating
            facts: Any = town.core.facts
            assert facts.br_netfilter6 and town.core.network_facts.br_netfilter6, "not what it was before"
            assert facts.resolv_conf and facts.routes == town.core.network_facts.avoid != ()

    asyncio.run(asyncio.wait_for(work(), 20))
