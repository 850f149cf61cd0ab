"""The harness of `make bench` works: every row small, for every peer; no figure is asserted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bench.rows import ROWS
from tests.harness import PROJECT

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]


@pytest.mark.skipif(not all(shutil.which(p) for p in ("dockerd", "podman", "dnsperf")), reason="the peers are not installed: scripts/setup --bench")
def test_every_row_has_every_figure(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = subprocess.run([sys.executable, "-m", "bench", "--quick", "--json", str(file)], cwd=PROJECT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(file.read_text())["rows"]
    assert len(rows) == len(ROWS)
    for row in rows:
        assert set(row["figures"]) == {"sanbashi", "docker", "podman"}
        assert all(row["figures"].values()), row
