"""A container's files from outside: what is held meanwhile is let go of, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from sanbashi.daemon import filesystems
from sanbashi.daemon.filesystems import Filesystems
from sanbashi.errors import Failed

from .town import World, a_container, daemon


@pytest.mark.parametrize("verb", ["export", "archive"])
def test_a_file_system_that_cannot_be_entered_leaves_the_container_as_free_as_it_was(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def refuse(mount_root: Callable[[], Path], binds: Sequence[object]) -> Iterator[None]:
        raise Failed("the file system of the container is missing")
        yield

    class Volumes:
        async def hold(self, *words: object) -> None:
            """None are held."""

        release = hold

    async def work() -> None:
        monkeypatch.setattr(filesystems, "inside_container", refuse)
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            await town.core.put(a_container("web", "bridge"))
            files = Filesystems(town.core, cast(Any, Volumes()))
            with pytest.raises(Failed, match="is missing"):
                await (files.export("web") if verb == "export" else files.archive("web", "/"))
            assert not town.core.locks

    asyncio.run(work())
