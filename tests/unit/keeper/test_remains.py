"""What connections leave behind: how often it is looked for, and how the tables of /proc tell of it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from sanbashi.keeper import remains
from sanbashi.keeper.remains import Remains, runs

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def line(local: str, state: str) -> str:
    return f"   0: {local} 0100007F:9C40 {state} 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The looks that were taken; a test says in `shown` what each shows, the last of them for good."""
    taken: list[tuple[int, int]] = []

    def seen(first: int, last: int) -> set[int]:
        taken.append((first, last))
        return shown.pop(0) if len(shown) > 1 else shown[0]

    shown: list[set[int]] = [{8000, 8001}, {8002}, {8003}]
    monkeypatch.setattr(remains, "seen", seen)
    return taken


def test_states_and_families_of_a_kernel_that_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TIME_WAIT and a connection that is open count, a listener does not; a kernel without IPv6 has one table."""

    def refuse(first: int, last: int) -> list[int]:
        raise OSError(errno.ENOENT, "no tcp_diag")

    four = tmp_path / "tcp"
    four.write_text(HEAD + line("0100007F:1F40", "06") + line("00000000:1F41", "01") + line("00000000:1F42", "0A"))
    monkeypatch.setattr(remains, "TABLES", (four, tmp_path / "tcp6"))
    monkeypatch.setattr(remains, "told", refuse)
    there = Remains(range(8000, 8003))
    assert [there.at(port) for port in (8000, 8001, 8002)] == [True, True, False]


def test_one_look_for_all_ports_and_another_for_what_it_did_not_show(looks: list[tuple[int, int]]) -> None:
    there = Remains(range(8000, 8003))
    assert (there.at(8000), there.at(8001), looks) == (True, True, [(8000, 8002)])
    assert (there.at(8002), len(looks)) == (True, 2)
    assert there.at(8000) and there.at(8001) and len(looks) == 2


def test_a_port_without_remains_costs_one_look_however_often_it_is_tried(looks: list[tuple[int, int]]) -> None:
    """Both families, each by itself, and each twice: six tries at most."""
    there = Remains([7999, 8000])
    assert [there.at(7999) for _ in range(6)] == [False] * 6
    assert (there.at(8000), len(looks)) == (True, 1)


def test_what_lies_between_ports_far_apart_is_not_asked_for(looks: list[tuple[int, int]]) -> None:
    """A busy host has its own connections from 32768 on: they are nobody's whose ports are 80 and 65000."""
    assert Remains([65000, 8000, 80]).at(8000)
    assert looks == [(8000, 8000)]


@pytest.mark.parametrize(
    ("ports", "found"),
    [
        ([], []),
        ([80], [(80, 80)]),
        ([443, 80, 80, 8080], [(80, 80), (443, 443), (8080, 8080)]),
        ([1, 101, 201, 302], [(1, 201), (302, 302)]),
        (range(20000, 20500), [(20000, 20499)]),
    ],
)
def test_ports_near_each_other(ports: list[int], found: list[tuple[int, int]]) -> None:
    assert runs(ports) == found
