"""Which control group is surely ours."""

from __future__ import annotations

import os
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
    groups.Haste().begin()
    groups.Haste().begin()
