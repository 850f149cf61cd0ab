"""The thread that does what nobody waits for goes on whatever goes wrong."""

from __future__ import annotations

import errno

import pytest

from sanbashi.host import sweeping
from sanbashi.host.counts import Counts
from sanbashi.host.sweeping import Sweeper


@pytest.mark.parametrize("wrong", ["no socket is left", "the kernel refuses"])
def test_a_deletion_that_fails_holds_up_nobody(wrong: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(sweeping, "REST", 0.0)
    failures, closed, sweeper = [OSError(errno.ENOBUFS, "no room")], [], Sweeper(Counts())
    place = (sweeping, "Netlink") if wrong == "no socket is left" else (sweeping.rtnetlink, "link")
    real = getattr(*place)

    def fail_once(*words: object) -> object:
        if failures:
            raise failures.pop()
        return real(*words)

    monkeypatch.setattr(*place, fail_once)
    sweeper.delete("nosuch0")
    sweeper.settle()
    assert not failures and "remove link nosuch0: [Errno 105] no room" in caplog.text
    sweeper.delete("nosuch1")
    sweeper.close(lambda: closed.append("closed"))
    sweeper.finish()
    assert closed == ["closed"]
