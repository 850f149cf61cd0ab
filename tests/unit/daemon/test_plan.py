"""`make plan`: what is printed of a wanted picture and of the steps to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sanbashi.daemon.plan import lines, main
from sanbashi.network.picture import Bridge, Picture, Zone

HERE, MORE = Bridge("docker0", "sanbashi:1"), Zone("n", "app")


def test_the_picture_and_what_is_missing() -> None:
    assert list(lines(Picture.of([MORE, HERE]), Picture.of([HERE]))) == [
        "wanted: 2 items",
        "  bridge docker0",
        "  zone app",
        "plan: 1 step, from what is there",
        "  add zone app",
    ]


def test_without_a_look_it_begins_from_nothing() -> None:
    assert list(lines(Picture.of([HERE]), None))[2:] == ["plan: 1 step, from nothing, for only root can see what is there", "  add bridge docker0"]


def test_a_folder_that_holds_no_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert "no state is saved in" in capsys.readouterr().err and not list(tmp_path.iterdir())
    assert main([]) == 2
