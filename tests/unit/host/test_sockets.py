"""Whose processes are asked for a socket."""

from __future__ import annotations

from pathlib import Path

import pytest

from sanbashi.host import sockets, usage

ID = "c7d05a01a069" * 5


@pytest.mark.parametrize("controller", ["name=systemd", "pids", ""], ids=["v1, a hierarchy without a controller first", "v1", "v2"])
def test_all_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, controller: str) -> None:
    hierarchy = tmp_path / controller.removeprefix("name=")
    (hierarchy / "sanbashi" / ID / "inner").mkdir(parents=True)
    (hierarchy / "sanbashi" / ID / "cgroup.procs").write_text("47\n48\n")
    (hierarchy / "sanbashi" / ID / "inner" / "cgroup.procs").write_text("49\n")
    lines = f"9:{controller}:/sanbashi/{ID}\n" if controller else f"0::/sanbashi/{ID}\n"
    monkeypatch.setattr(sockets, "CGROUPS", tmp_path)
    monkeypatch.setattr(usage, "CGROUPS", tmp_path)
    monkeypatch.setattr(sockets, "text", lambda path: lines if path == "/proc/47/cgroup" else Path(path).read_text(encoding="ascii"))
    assert sockets.processes_of(ID, 47) == {47, 48, 49}
