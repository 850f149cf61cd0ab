"""Goals, tables, pictures and the page of the bench, on figures that are given."""

from __future__ import annotations

import contextlib
import itertools
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from bench.__main__ import measured
from bench.goals import Goal, ratios
from bench.page import write_page
from bench.plots import Plot, draw, drawn, label_places, ticks
from bench.table import cell, changes_table, figure, goals_table
from bench.work import FULL, QUICK, Row, Size, Work, run
from bench.works import ALL
from bench.works.crowd import SCALE, scale_goals
from bench.world import Hung, Peer

RATIO = Goal("start: ours / Docker", ("start", "ours"), 0.4, ("start", "docker"))
FOUND = {"start": {"ours": [30.0, 40.0, 50.0], "docker": [100.0, 100.0, 200.0]}}


def test_a_ratio_is_of_medians_and_its_spread_of_rounds() -> None:
    assert RATIO.reached(FOUND) == (0.4, 0.25, 0.4)


def test_a_peer_with_one_round_is_held_against_every_round_of_ours() -> None:
    assert RATIO.reached({"start": {"ours": [30.0, 40.0], "docker": [100.0]}}) == (0.35, 0.3, 0.4)


@pytest.mark.parametrize(
    ("goal", "value", "words"),
    [
        (RATIO, 0.4, "yes"),
        (RATIO, 0.5, "no: 25 % above"),
        (RATIO, 0.402, "no: 0.5 % above"),
        (Goal("", ("", ""), 0.9, least=True), 0.9, "yes"),
        (Goal("", ("", ""), 0.9, least=True), 0.45, "no: 50 % below"),
        (Goal("", ("", ""), 0), 0, "yes"),
        (Goal("", ("", ""), 0), 3, "no: 3"),
    ],
)
def test_verdicts(goal: Goal, value: float, words: str) -> None:
    assert goal.verdict(value) == words


def test_tables() -> None:
    assert goals_table([RATIO], FOUND).splitlines() == [
        "| work                 | wanted | this run (lowest-highest) | reached |",
        "|----------------------|--------|---------------------------|---------|",
        "| start: ours / Docker | <= 0.4 | 0.40 (0.25-0.40)          | yes     |",
    ]
    assert [figure(value) for value in (0, 0.123, 1.234, 12.34, 1234.5)] == ["0", "0.12", "1.23", "12.3", "1234"]
    assert (cell([]), cell([1.0]), cell([1.0, 2.0, 4.0])) == ("", "1.00", "2.00 (1.00-4.00)")


def test_a_later_run_is_held_against_an_earlier_one() -> None:
    now = {"start": {"ours": [20.0], "docker": [100.0]}}
    table = changes_table([RATIO], {**FOUND, "gone": {"ours": [1.0]}}, now)
    assert "| start: ours / Docker | 0.40 | 0.20 | -50 %  |" in table
    assert "| start: ours          | 40.0 | 20.0 | -50 %  |" in table
    assert table.endswith("Not in this run: gone: ours")


@pytest.mark.parametrize("size", [FULL, QUICK], ids=["full", "quick"])
def test_every_goal_is_of_rows_that_there_are(size: Size) -> None:
    for works, goals in ((ALL, ratios(size)), (SCALE, scale_goals(size))):
        titles = [row.title for work in works for row in work.rows(size)]
        assert len(titles) == len(set(titles))
        assert {title for goal in goals for title, _ in goal.cells()} <= set(titles)
        assert len({goal.words for goal in goals}) == len(goals)


def test_turns_alternate_and_slow_ones_come_once() -> None:
    seen: list[str] = []

    class Prepared:
        def __enter__(self) -> dict[str, object]:
            return {name: (lambda name=name: (seen.append(name), {"row": 1.0})[1]) for name in "abc"}

        def __exit__(self, *_: object) -> None:
            seen.append("away")

    work = Work("w", lambda size: (Row("row"),), lambda world, size: Prepared(), (3, 1), once=frozenset("c"), warm=True)  # type: ignore[arg-type, return-value]
    found = run(work, None, QUICK, quick=False)  # type: ignore[arg-type]
    assert "".join(seen[:-1]) == "bac" + "abc" + "ab" + "ab"
    assert seen[-1] == "away"
    assert found == {"row": {"a": [1.0] * 3, "b": [1.0] * 3, "c": [1.0]}}


def test_a_row_without_a_figure_is_an_error() -> None:
    class Prepared:
        def __enter__(self) -> dict[str, object]:
            return {"a": dict}

        def __exit__(self, *_: object) -> None:
            pass

    work = Work("w", lambda size: (Row("promised"),), lambda world, size: Prepared(), (1, 1))  # type: ignore[arg-type, return-value]
    with pytest.raises(RuntimeError, match="w gave no figure for: promised"):
        run(work, None, QUICK, quick=True)  # type: ignore[arg-type]


class Counted:
    """A world that counts how often it was made."""

    made = 0

    def __init__(self) -> None:
        self.known: dict[str, Peer] = {}

    def __enter__(self) -> Counted:
        Counted.made += 1
        return self

    def __exit__(self, *_: object) -> None:
        pass


def hanging(peer: str, times: int) -> Work:
    """A work in which a peer hangs so many times."""
    left = [times]

    def turn() -> dict[str, float]:
        if left[0]:
            left[0] -= 1
            raise Hung(Peer(peer, None, ()), "start")  # type: ignore[arg-type]
        return {"row": 1.0}

    return Work("w", lambda size: (Row("row"),), lambda world, size: contextlib.nullcontext({peer: turn}), (1, 1))


def test_a_work_in_which_a_peer_hangs_is_done_anew_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.__main__.world", Counted)
    Counted.made = 0
    results = measured([hanging("docker", 1), hanging("docker", 0)], QUICK, quick=True)
    assert [row["figures"] for row in results.rows] == [{"docker": [1.0]}] * 2
    assert results.hung == {"w": "docker did not answer within 180 s: start"}
    assert Counted.made == 2
    with pytest.raises(Hung):
        measured([hanging("docker", 2)], QUICK, quick=True)
    with pytest.raises(Hung):
        measured([hanging("ours, docker CLI", 1)], QUICK, quick=True)


@pytest.mark.parametrize(("most", "wanted"), [(10, [0, 2, 4, 6, 8, 10]), (987, [0, 200, 400, 600, 800, 1000]), (0, [0, 0.2, 0.4, 0.6, 0.8, 1.0])])
def test_ticks(most: float, wanted: list[float]) -> None:
    assert ticks(most) == pytest.approx(wanted)


def test_pictures_are_well_formed_and_names_apart() -> None:
    picture = draw(Plot("k", "Start & <stop>", "x", "ms"), {"ours": [(1, 10), (100, 11)], "docker": [(1, 11), (100, 900)]})
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    rows = [{"title": f"r{x}", "plot": "ports", "x": x, "figures": {"ours": [1.0, 2.0, 3.0]}} for x in (10, 1)]
    assert list(drawn(rows)) == ["ports"]
    places = sorted(label_places([(100, "a"), (101, "b"), (102, "c"), (10, "d")]).values())
    assert all(after - before >= 15 for before, after in itertools.pairwise(places))


def test_the_page_keeps_what_is_written_by_hand(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("top\n<!-- bench -->\nold\n<!-- end of bench -->\nmiddle\n<!-- scale -->\n<!-- end of scale -->\nend\n")
    write_page(page, "bench", "table", {"ports": "<svg/>"})
    once = page.read_text()
    assert once.startswith("top\n<!-- bench -->\ntable\n\n![Start of a container against its published ports](benchmarks/ports.svg)\n<!-- end")
    assert once.endswith("middle\n<!-- scale -->\n<!-- end of scale -->\nend\n")
    assert (tmp_path / "benchmarks" / "ports.svg").read_text() == "<svg/>"
    write_page(page, "bench", "table", {"ports": "<svg/>"})
    assert page.read_text() == once
    with pytest.raises(ValueError, match="no part between"):
        write_page(page, "other", "", {})
