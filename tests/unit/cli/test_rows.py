"""Rows of tables, without a daemon: every column that is named can be had."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.standin import StandIn

import sanbashi.cli
from sanbashi.cli.gotemplate.values import Methods
from sanbashi.cli.main import answer

FOUND = [
    {"name": "team/web", "description": "a\nline " + "x" * 60, "star_count": 3, "is_official": False, "is_automated": False},
    {"name": "web", "description": "", "star_count": 40, "is_official": True, "is_automated": False},
]
CACHE = [
    {"ID": "b" * 64, "Parents": ["a" * 64], "Type": "regular", "Description": "RUN x", "InUse": True, "Shared": False, "Size": 2000}
    | {"CreatedAt": "2026-11-26T18:21:14.256149946Z", "LastUsedAt": None, "UsageCount": 0},
    {"ID": "a" * 64, "Parents": None, "Type": "regular", "Description": "", "InUse": False, "Shared": True, "Size": 100}
    | {"CreatedAt": "2026-11-26T18:21:14Z", "LastUsedAt": None, "UsageCount": 0},
]


def daemon_says(method: str, path: str, body: Any) -> Any:
    where = path.partition("?")[0]
    answers = {
        "images/search": FOUND,
        "system/df": {"LayersSize": 0, "BuildCache": CACHE},
        "build/prune": {"CachesDeleted": ["c1"], "SpaceReclaimed": 5},
    }
    return answers.get(where, {})


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandIn:
    daemon = StandIn(daemon_says)
    daemon.put_in_place(monkeypatch, tmp_path)
    return daemon


def test_every_row_has_its_columns() -> None:
    for folder in ("", "commands/"):
        for file in (Path(sanbashi.cli.__path__[0]) / folder).glob("*.py"):
            importlib.import_module("sanbashi.cli." + folder.replace("/", ".") + file.stem)
    rows = Methods.__subclasses__()
    assert len(rows) >= 9
    assert [row.__name__ for row in rows if row.column is Methods.column] == []


def test_search(stand_in: StandIn, capfd: pytest.CaptureFixture[str]) -> None:
    assert answer(["search", "web"]) == 0
    assert capfd.readouterr().out == (
        "NAME       DESCRIPTION                                     STARS     OFFICIAL\n"
        "web                                                        40        [OK]\n"
        f"team/web   a line {'x' * 37}…   3         \n"
    )
    assert answer(["search", "--format", "{{.Name}} {{.IsAutomated}} {{.IsOfficial}}", "--no-trunc", "web"]) == 0
    assert capfd.readouterr().out == "web  [OK]\nteam/web  \n"
    assert answer(["search", "--format", "json", "web"]) == 0
    line = json.loads(capfd.readouterr().out.splitlines()[0])
    assert line == {"Description": "", "IsAutomated": "false", "IsOfficial": "true", "Name": "web", "StarCount": "40"}


def test_the_builders_cache(stand_in: StandIn, capfd: pytest.CaptureFixture[str]) -> None:
    assert answer(["system", "df"]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "Build Cache     2         1         2kB       0B"
    assert answer(["system", "df", "-v"]) == 0
    *_, usage, _, head, first, second = capfd.readouterr().out.splitlines()
    assert usage == "Build cache usage: 2kB"
    assert head.split("  ")[0] == "CACHE ID"
    assert first.split()[:3] == ["a" * 12, "regular", "100B"]
    assert second.split()[:3] == ["b" * 12 + "*", "regular", "2kB"]
    assert answer(["system", "df", "-v", "--format", "{{range .BuildCache}}{{.ID}} {{.Parent}} {{.Shared}},{{end}}"]) == 0
    assert capfd.readouterr().out == f"{'a' * 64}  true,{'b' * 64}* {'a' * 64} false,"
    assert answer(["system", "df", "-v", "--format", "raw"]) == 0
    assert f"type: Build Cache\nbuild_cache_id: {'b' * 64}*\nparent_id: {'a' * 64}\n" in capfd.readouterr().out


def test_system_prune_takes_the_cache_too(stand_in: StandIn, capfd: pytest.CaptureFixture[str]) -> None:
    assert answer(["system", "prune", "-f", "--filter", "label=x"]) == 0
    assert capfd.readouterr().out == "Deleted build cache objects:\nc1\n\nTotal reclaimed space: 5B\n"
    assert stand_in.requests[-1][:2] == ("POST", "build/prune?filters=%7B%22label%22%3A%7B%22x%22%3Atrue%7D%7D")
    assert answer(["builder", "prune", "-af"]) == 0
    assert stand_in.requests[-1][:2] == ("POST", "build/prune?all=1")
    assert capfd.readouterr().out == "Deleted build cache objects:\nc1\n\nTotal reclaimed space: 5B\n"
