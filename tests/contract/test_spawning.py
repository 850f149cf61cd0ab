"""Programs that are started by the system's own call: what they get of us, and what not."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sanbashi.host.spawning import Said, nothing, spawn, status

LOOK = """
import os, sys
print(os.getcwd(), sorted(os.environ), os.getsid(0) == os.getpid())
print(sorted(int(n) for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')))
print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith(('SigIgn', 'SigBlk'))])
sys.stderr.write('said')
sys.exit(7)
"""


def look(
    *, cwd: Path | None = None, env: dict[str, str] | None = None, more: tuple[int, ...] = (), session: bool = False
) -> tuple[int, list[str], str]:
    with nothing() as none, Said() as said, Said() as failed:
        words = [sys.executable, "-IS", "-c", LOOK]
        code = status(spawn(words, cwd=cwd, env=env, given=(none, said.descriptor, failed.descriptor, *more), session=session))
        return code, said.text().splitlines(), failed.text()


def test_it_has_its_streams_and_what_is_kept_and_nothing_else_of_ours(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        code, (where, descriptors, signals), failed = look(cwd=tmp_path, env={"ONE": "1", "LC_CTYPE": "C"}, more=(writing, reading), session=True)
    finally:
        os.close(reading)
        os.close(writing)
    assert (code, failed) == (7, "said")
    assert where == f"{tmp_path} ['LC_CTYPE', 'ONE'] True"
    assert descriptors == str([0, 1, 2, 3, 4])
    # Python of the new program ignores SIGPIPE and SIGXFSZ again by itself; those are 13 and 25.
    assert signals == "0000000000000000 0000000001001000"


def test_without_a_wish_it_is_where_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "as bytes: \udcff")
    _, (where, *_), _ = look()
    assert where.startswith(f"{Path.cwd()} [") and "'OURS'" in where and where.endswith(" False")


def test_signals_that_python_ignores_are_not_ignored() -> None:
    with nothing() as none, Said() as said:
        script = "grep SigIgn /proc/self/status; kill -PIPE $$; echo still here"
        code = status(spawn(["sh", "-c", script], given=(none, said.descriptor, none)))
        assert (code, said.text()) == (-signal.SIGPIPE, "SigIgn:\t0000000000000000\n")


def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    with nothing() as none:
        with pytest.raises(FileNotFoundError, match="/none/such"):
            spawn(["/none/such"], given=(none, none, none))
        with pytest.raises(FileNotFoundError):
            spawn(["true"], cwd=tmp_path / "none", given=(none, none, none))
        (tmp_path / "plain").write_text("no program")
        with pytest.raises(PermissionError):
            spawn([str(tmp_path / "plain")], given=(none, none, none))


def test_nothing_is_left_open() -> None:
    gc.collect()  # which closes what earlier tests have left, at whatever moment
    before = len(list(Path("/proc/self/fd").iterdir()))
    look()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert subprocess.run(["true"], check=True).returncode == 0, "nor does it take subprocess's children"
