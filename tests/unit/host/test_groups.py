"""Which control group is surely ours."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from sanbashi.host import groups


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(groups, "TOP", tmp_path)
    groups.group_in.cache_clear()
    return tmp_path


def group(path: Path, *pids: int) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
    return path / "cgroup.procs"


def test_the_unified_hierarchy(top: Path) -> None:
    ours = group(top / "system.slice", 1, os.getpid())
    assert groups.group_in("0::/system.slice\n") == ours


def test_the_first_that_has_us(top: Path) -> None:
    group(top / "pids", 1)
    ours = group(top / "cpu,cpuacct" / "own", os.getpid())
    assert groups.group_in("9:pids:/\n8:memory:/gone\n7:cpu,cpuacct:/own\n") == ours


def test_one_that_only_has_our_groups_name_is_not_ours(top: Path) -> None:
    group(top, 1, 2, 3)  # the host's, seen from a namespace in which ours is the root
    assert groups.group_in("0::/\n") is None


def test_the_wait_is_begun_by_moving_to_where_we_are(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group(top / "x", os.getpid())
    monkeypatch.setattr(groups, "own_lines", lambda: "0::/x\n")
    groups.Haste().begin()
    assert (top / "x" / "cgroup.procs").read_text().startswith(str(os.getpid()))


def test_a_refusal_is_no_error(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = group(top / "x", os.getpid())
    assert groups.group_in("0::/x\n") == ours
    ours.unlink()
    monkeypatch.setattr(groups, "own_lines", lambda: "0::/x\n")
    haste = groups.Haste()
    with haste.held():
        haste.begin()
        haste.begin()


def test_it_goes_on_as_long_as_anybody_holds_it_and_for_all_of_them_once(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group(top / "x", os.getpid())
    monkeypatch.setattr(groups, "own_lines", lambda: "0::/x\n")
    taken = threading.Semaphore(0)
    monkeypatch.setattr(groups, "take", lambda _: taken.release())
    haste = groups.Haste()
    with haste.held():
        worker = threading.Thread(target=haste.begin)
        with haste.held():
            worker.start()
            assert taken.acquire(timeout=60)
            haste.begin()  # somebody is at it: or this would never return
        for _ in range(3):
            assert taken.acquire(timeout=60)
    worker.join(60)
    assert not worker.is_alive()
    haste.begin()  # nobody holds it: once
    assert taken.acquire(timeout=60)


def test_containers_begin_with_the_processors_of_their_parent(top: Path) -> None:
    setting = top / "cpuset" / "sanbashi" / "cgroup.clone_children"
    setting.parent.mkdir(parents=True)
    setting.write_text("0\n")
    groups.share_processors()
    assert setting.read_text() == "1"


def test_where_processors_are_not_given_to_groups_none_are_shared(top: Path) -> None:
    groups.share_processors()
    assert list(top.iterdir()) == []


def test_that_they_cannot_be_shared_is_no_error(top: Path) -> None:
    (top / "cpuset").mkdir()
    groups.share_processors()  # a folder that the kernel does not fill
    assert list((top / "cpuset" / "sanbashi").iterdir()) == []
