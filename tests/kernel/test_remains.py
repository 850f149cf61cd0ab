"""The tests' own broom: what a run has left that was killed goes with the next, and nothing of one that lives."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

import pytest
from tests.remains import CGROUPS, OWNER, scratch_directory

pytestmark = pytest.mark.root


def test_what_a_killed_run_has_left_is_swept_and_frozen_processes_end(tmp_path: Path) -> None:
    id_, old = secrets.token_hex(32), not (CGROUPS / "cgroup.controllers").exists()
    group = CGROUPS / ("freezer" if old else "") / f"sanbashi-test-{os.getpid()}" / id_
    (tmp_path / "dead/engine/data/containers" / id_).mkdir(parents=True)
    (tmp_path / "dead" / OWNER).touch()
    (tmp_path / "strange").mkdir()
    group.mkdir(parents=True)
    process = subprocess.Popen(["sleep", "1000"])
    try:
        (group / "cgroup.procs").write_text(str(process.pid))
        (group / ("freezer.state" if old else "cgroup.freeze")).write_text("FROZEN" if old else "1")
        process.kill()  # which a process frozen in v1 does not hear of
        with scratch_directory(tmp_path) as first, scratch_directory(tmp_path) as second:
            assert process.wait(60) == -9
            assert not group.exists()
            assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {first.name, second.name, "strange"}
        assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["strange"]
    finally:
        if group.exists():
            (group / ("freezer.state" if old else "cgroup.freeze")).write_text("THAWED" if old else "0")
        process.kill()
        process.wait(60)
        for directory in (group, group.parent):
            if directory.exists():
                directory.rmdir()
