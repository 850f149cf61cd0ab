"""An exec root that outlives the boot, and whose containers run here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sanbashi.host import monitors
from sanbashi.host.boot import FACTS, forget_other_boot
from sanbashi.host.monitors import Monitored, told

ID = "ab" * 32


def furnished(root: Path) -> None:
    for name in FACTS:
        (root / name / ID).mkdir(parents=True, exist_ok=True)
        (root / name / ID / "pid").write_text("1")
    (root / "keeper.log").write_text("it ran")


@pytest.mark.parametrize(("before", "now", "forgotten"), [("one", "two", True), ("one", "one", False), ("", "two", False), ("one", "", False)])
def test_the_facts_of_another_boot_are_forgotten(before: str, now: str, forgotten: bool, tmp_path: Path) -> None:
    if before:
        assert not forget_other_boot(tmp_path, before)
    furnished(tmp_path)
    assert forget_other_boot(tmp_path, now) == forgotten
    assert [(tmp_path / name).exists() for name in FACTS] == [not forgotten] * len(FACTS)
    assert (tmp_path / "keeper.log").exists()
    furnished(tmp_path)
    assert not forget_other_boot(tmp_path, now) and (tmp_path / FACTS[0] / ID).exists(), "the same boot a second time"


def words(**changed: str) -> list[str]:
    given = {"-c": ID, "-b": f"/run/x/containers/{ID}", "--exit-dir": "/run/x/exits", "-l": f"k8s-file:/data/containers/{ID}/{ID}.log"} | changed
    return ["/usr/bin/conmon", "--full-attach", *(word for pair in given.items() for word in pair if pair[1])]


def test_whose_container_a_monitor_watches() -> None:
    assert told(words()) == Monitored(ID, Path("/run/x"), Path("/data"))
    assert told(words(**{"-l": "none"})) == Monitored(ID, Path("/run/x"), None)
    assert told(words(**{"-b": f"/run/x/execs/{ID}"})) is None, "an exec goes with its container"
    podman = {"-b": f"/var/lib/containers/storage/overlay-containers/{ID}/userdata", "--exit-dir": "/run/libpod/exits"}
    assert told(words(**podman)) is None
    assert told(words(**{"-c": ""})) is None


def test_only_what_root_started_beside_the_daemon_is_a_monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may call a process conmon and give it any words: a daemon that believed it could be kept from starting."""

    def process(name: str, *, comm: str = "conmon", uid: int = 0, net: str = "here", pid: str = "here") -> None:
        folder = tmp_path / name
        (folder / "ns").mkdir(parents=True)
        for kind, where in (("net", net), ("pid", pid)):
            (tmp_path / f"{kind}-{where}").touch()
            os.link(tmp_path / f"{kind}-{where}", folder / "ns" / kind)
        (folder / "comm").write_text(f"{comm}\n")
        (folder / "status").write_text(f"Name:\t{comm}\nUid:\t{uid}\t0\t0\t0\nGid:\t0\t0\t0\t0\n")
        (folder / "cmdline").write_text("\0".join([*words(**{"-c": name * 64, "-b": f"/run/x/containers/{name * 64}"}), ""]))

    process("thread-self", comm="sanbashid")
    process("1")
    process("2", uid=1000)
    process("3", net="elsewhere")
    process("4", pid="of a container")
    process("5", comm="sleep")
    monkeypatch.setattr(monitors, "PROC", tmp_path)
    assert [one.container_id for one in monitors.monitored()] == ["1" * 64]
