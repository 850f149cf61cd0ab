"""One daemon for a data root, an exec root and a network namespace."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from sanbashi.daemon.alone import data_root, pid_file, refuse_strangers
from sanbashi.daemon.config import DaemonConfig
from sanbashi.errors import Conflict, Invalid
from sanbashi.host.monitors import Monitored


def test_the_pid_file_is_ours_while_it_lasts_and_gone_then(tmp_path: Path) -> None:
    path = tmp_path / "run" / "pid"
    with pid_file(path):
        assert path.read_text() == str(os.getpid())
        with pytest.raises(Invalid, match=f"process with PID {os.getpid()} is still running"), pid_file(path):
            pass
        assert path.read_text() == str(os.getpid())
    assert not path.exists()


def test_what_a_dead_daemon_left_in_its_file_holds_up_nobody(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("1234567890")
    with pid_file(path):
        assert path.read_text() == str(os.getpid())
    with data_root(tmp_path), pytest.raises(Conflict, match=f"another sanbashid uses the data root {tmp_path}"), data_root(tmp_path):
        pass


def test_containers_of_other_roots(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    config = dataclasses.replace(DaemonConfig(), exec_root=tmp_path / "run", data_root=tmp_path / "data")
    ours = [Monitored("1", tmp_path / "link", tmp_path / "data"), Monitored("2", tmp_path / "run", None)]
    refuse_strangers(config, ours)
    with pytest.raises(Conflict, match="2 containers of a sanbashid with --exec-root /other --data-root /theirs run in this network namespace"):
        refuse_strangers(config, [*ours, *(Monitored(n, Path("/other"), Path("/theirs")) for n in "34")])
    with pytest.raises(Conflict, match=f"1 container of a sanbashid with --exec-root {tmp_path}/run --data-root /theirs runs in"):
        refuse_strangers(config, [*ours, Monitored("3", tmp_path / "run", Path("/theirs"))])
