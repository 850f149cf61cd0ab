"""A host that has no more watches for us: the daemon says so and goes on without."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sanbashi.daemon.settings import Settings
from sanbashi.host.mounts import libc


def test_where_nothing_can_be_watched_the_daemon_goes_on(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def full(flags: int) -> int:
        ctypes.set_errno(errno.EMFILE)
        return -1

    monkeypatch.setattr(libc, "inotify_init1", full)
    core = cast("Any", SimpleNamespace(state=SimpleNamespace(network=SimpleNamespace(networks={}))))

    async def work() -> None:
        settings = Settings(core, cast("Any", None), lambda noticed: None)
        settings.open()
        settings.follow()
        settings.made_anew(["docker0"])
        settings.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(work())
    assert caplog.messages == ["settings that others change will not be noticed: Too many open files"]
