"""The town that most tests of the loop begin with."""

from __future__ import annotations

import asyncio

import pytest

from .town import World, daemon, settle_town


@pytest.fixture(scope="session")
def settled(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The town as a daemon left it that went down in peace."""
    world = World(tmp_path_factory.mktemp("town") / "data")

    async def settle() -> None:
        with pytest.MonkeyPatch.context() as patch:
            async with daemon(world, patch) as town:
                await settle_town(town)
                town.check()

    asyncio.run(settle())
    return world
