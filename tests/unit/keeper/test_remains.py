"""What connections leave behind, read from the kernel's tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from sanbashi.keeper import remains
from sanbashi.keeper.remains import Remains

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def line(local: str, state: str) -> str:
    return f"   0: {local} 0100007F:9C40 {state} 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"


def test_states_and_families(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TIME_WAIT and a connection that is open count, a listener does not; a kernel without IPv6 has one table."""
    four = tmp_path / "tcp"
    four.write_text(HEAD + line("0100007F:1F40", "06") + line("00000000:1F41", "01") + line("00000000:1F42", "0A"))
    monkeypatch.setattr(remains, "TABLES", (four, tmp_path / "tcp6"))
    there = Remains()
    assert [there.at(port) for port in (8000, 8001, 8002)] == [True, True, False]


def test_one_look_for_all_ports_and_another_for_what_it_did_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    later = [[8000, 8001], [8002], [8003]]

    def seen() -> list[int]:
        looks.append(1)
        return later.pop(0)

    monkeypatch.setattr(remains, "seen", seen)
    there = Remains()
    assert (there.at(8000), there.at(8001), len(looks)) == (True, True, 1)
    assert (there.at(8002), len(looks)) == (True, 2)
    assert there.at(8000) and there.at(8001) and len(looks) == 2


def test_a_port_without_remains_costs_one_look_however_often_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both families, each by itself, and each twice: six tries at most."""
    looks: list[int] = []

    def seen() -> list[int]:
        looks.append(1)
        return [8000]

    monkeypatch.setattr(remains, "seen", seen)
    there = Remains()
    assert [there.at(8001) for _ in range(6)] == [False] * 6
    assert (there.at(8000), len(looks)) == (True, 1)
