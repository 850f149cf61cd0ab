"""Settings of links of ours, written by way of a proc file system of our own."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from sanbashi.errors import StepFailed
from sanbashi.host import sysctl
from sanbashi.host.counts import Counts
from sanbashi.host.namespaces import enter_new, on_thread

pytestmark = pytest.mark.root

SETTING = "net/ipv4/conf/lo/route_localnet"


def in_a_new_namespace(value: str) -> tuple[str | None, str | None]:
    """What a setting is in a namespace of a thread's own, before and after it is written there."""

    def work() -> tuple[str | None, str | None]:
        enter_new()
        before = sysctl.read(SETTING, Counts())
        sysctl.write_apart(SETTING, value)
        return before, sysctl.read(SETTING, Counts())

    return on_thread(work)


@pytest.fixture(params=["own", "refused"])
def apart(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> sysctl.Apart:
    """With a proc of our own, and where the kernel gives none."""

    def refuse() -> int:
        raise StepFailed("make a proc file system", errno=1, stderr="Operation not permitted")

    if request.param == "refused":
        monkeypatch.setattr(sysctl, "detached_proc", refuse)
    monkeypatch.setattr(sysctl, "CROWD", 2)
    made = sysctl.Apart()
    monkeypatch.setattr(sysctl, "APART", made)
    return made


def test_it_is_the_calling_threads_namespace_that_is_changed(apart: sysctl.Apart) -> None:
    here = sysctl.read(SETTING, Counts())
    mounts = Path("/proc/self/mountinfo").read_text()
    in_a_new_namespace("1")
    gc.collect()  # which closes what earlier tests have left, at whatever moment
    held = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):  # one proc file system for each two
        assert in_a_new_namespace("1") == ("0", "1")
    assert sysctl.read(SETTING, Counts()) == here
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert len(list(Path("/proc/self/fd").iterdir())) == held


def test_what_is_not_there_is_an_error(apart: sysctl.Apart) -> None:
    with pytest.raises(FileNotFoundError):
        sysctl.write_apart("net/ipv4/conf/nothing/route_localnet", "1")
    with pytest.raises(OSError, match="Invalid argument"):
        on_thread(lambda: (enter_new(), sysctl.write_apart(SETTING, "many")))
