"""An exit is a fact: what follows from it is tried until it is done, where only time is in the way."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sanbashi.daemon import process
from sanbashi.daemon.process import Process
from sanbashi.errors import Failed, SanbashiError, Unavailable
from sanbashi.host.monitor import Exit

SILENT, BROKEN = Unavailable("the keeper (process 7) does not answer: it is stopped"), Failed("no")


@pytest.mark.parametrize(
    ("met", "tried"),
    [([], 1), ([SILENT, SILENT], 3), ([BROKEN], 1), ([SILENT, BROKEN], 2)],
    ids=["done", "silent twice", "refused", "silent, then refused"],
)
def test_what_follows_from_an_exit(met: list[SanbashiError], tried: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SOONEST", 0.0)
    heard: list[tuple[str, int, bool, int]] = []
    failures = iter(met)

    async def on_exit(container_id: str, code: int, oom: bool, run: int) -> None:
        heard.append((container_id, code, oom, run))
        for failure in failures:
            raise failure

    one = cast(Any, SimpleNamespace(on_exit=on_exit))
    asyncio.run(Process.hand_on(one, Exit("c" * 64, 137, True, 1), 2))
    assert heard == [("c" * 64, 137, True, 2)] * tried
