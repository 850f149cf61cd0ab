"""An exec root that outlives the boot, and whose containers run here."""

from __future__ import annotations

from pathlib import Path

import pytest

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
