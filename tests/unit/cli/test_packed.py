"""The client's code in one file: read from there where it is that of the sources, and nothing is missed where it is not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The launcher and the client's sources, packed."""
    tree = tmp_path_factory.mktemp("packed")
    (tree / "scripts").mkdir()
    for script in ("sanbashi", "pack-client"):
        shutil.copy(PROJECT / "scripts" / script, tree / "scripts" / script)
    shutil.copytree(PROJECT / "src/sanbashi/cli", tree / "src/sanbashi/cli", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "src/sanbashi/__init__.py", tree / "src/sanbashi/__init__.py")
    subprocess.run([tree / "scripts/pack-client"], check=True)
    return tree


@pytest.fixture
def tree(packed: Path, tmp_path: Path) -> Path:
    """A copy to do with as one likes."""
    return Path(shutil.copytree(packed, tmp_path / "tree"))


def pack_of(tree: Path) -> Path:
    (found,) = (tree / "src/sanbashi/cli/__pycache__").glob("*.pack")
    return found


def version(tree: Path) -> str:
    done = subprocess.run([tree / "scripts/sanbashi", "--version"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def change_version(tree: Path) -> None:
    source = tree / "src/sanbashi/cli/version.py"
    source.write_text(source.read_text() + 'VERSION = "of the source"\n')


def test_what_is_packed_is_loaded_from_the_pack(tree: Path) -> None:
    version(tree)
    assert not list((tree / "src").rglob("*.pyc"))  # which an ordinary import leaves behind


def test_a_changed_source_is_loaded_instead(tree: Path) -> None:
    change_version(tree)
    assert "of the source" in version(tree)


@pytest.mark.parametrize("changed", ["cli/main.py", "cli/verbs.py", "__init__.py"])
def test_a_changed_source_of_what_every_command_uses_is_loaded_instead(tree: Path, changed: str) -> None:
    source = tree / "src/sanbashi" / changed
    said = version(tree)
    source.write_text(source.read_text() + "import sys\nsys.stderr.write('of the source')\n")
    assert version(tree) == said + "of the source"


def test_a_source_of_the_same_size_and_another_time_is_loaded_instead(tree: Path) -> None:
    source = tree / "src/sanbashi/cli/version.py"
    said, size = version(tree), source.stat().st_size
    source.write_text(source.read_text().replace("0.1.0", "9.8.7"))
    assert source.stat().st_size == size
    os.utime(source, ns=(1, 1))
    assert version(tree) == said.replace("0.1.0", "9.8.7") != said


@pytest.mark.parametrize("rest", [b"", b"\0", b"\xff" * 64, b"\x08" + b"\0" * 7 + b"nonsense"])
def test_a_pack_that_is_not_whole_is_left_alone(tree: Path, rest: bytes) -> None:
    said = version(tree)
    pack_of(tree).write_bytes(rest)
    assert version(tree) == said


def test_a_pack_that_was_cut_is_left_alone(tree: Path) -> None:
    said, whole = version(tree), pack_of(tree).read_bytes()
    pack_of(tree).write_bytes(whole[: int.from_bytes(whole[:8], "little") // 2])
    assert version(tree) == said


def test_a_source_that_is_gone_is_not_found_in_the_pack(tree: Path) -> None:
    (tree / "src/sanbashi/cli/version.py").unlink()
    done = subprocess.run([tree / "scripts/sanbashi", "--version"], capture_output=True, text=True)
    assert "No module named 'sanbashi.cli.version'" in done.stderr
