"""The harness of `make bench` works: rows of every kind, small, for every peer; no figure is asserted. `make bench-quick` does all of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bench.goals import ratios
from bench.work import QUICK
from bench.works import ALL
from bench.world import PROGRAMS
from tests.harness import PROJECT

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
# One work of each kind: with a floor, with stages, a curve, names, and what is ours beside Docker alone.
SOME = ("exec", "stages", "containers that grow", "memory of ports", "stream", "pull")
PAGE = "# By hand\n\n<!-- bench -->\nold\n<!-- end of bench -->\n\nby hand as well\n"


@pytest.mark.skipif(not all(shutil.which(p) for p in PROGRAMS), reason="the peers are not installed: scripts/setup --bench")
def test_some_rows_have_every_figure(tmp_path: Path) -> None:
    file, page = tmp_path / "figures.json", tmp_path / "page.md"
    page.write_text(PAGE)
    command = [sys.executable, "-m", "bench", "--quick", "--json", str(file), "--page", str(page)]
    only = [word for name in SOME for word in ("--only", name)]
    done = subprocess.run([*command, *only], cwd=PROJECT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {row["title"]: row["figures"] for row in json.loads(file.read_text())["rows"]}
    promised = [row.title for work in ALL if work.name in SOME for row in work.rows(QUICK)]
    assert set(promised) <= set(found)
    assert all(figures for by_name in found.values() for figures in by_name.values()), found
    goals = [goal for goal in ratios(QUICK) if goal.what[0] in promised]
    assert len(goals) >= 9
    for goal in goals:
        assert goal.words in done.stdout
        assert goal.reached(found)
    text = page.read_text()
    assert text.startswith("# By hand") and text.endswith("by hand as well\n") and "old" not in text
    assert "(page/containers.svg)" in text and (tmp_path / "page" / "containers.svg").read_text().startswith("<svg")
