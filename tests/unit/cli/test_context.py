"""What goes along to a build."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from sanbashi.cli.context import archive, file_alone, is_archive
from sanbashi.cli.ignored import Ignored

CASES = [
    ("node_modules", "node_modules", True),
    ("node_modules", "node_modules/a/b", True),
    ("node_modules", "src/node_modules", False),
    ("**/node_modules", "src/node_modules/a", True),
    ("**/node_modules", "node_modules", True),
    ("*.md", "README.md", True),
    ("*.md", "docs/README.md", False),
    ("**/*.md", "docs/a/README.md", True),
    ("*.md\n!README.md", "README.md", False),
    ("*.md\n!README.md\nREADME*", "README.md", True),
    ("*\n!src", "src/a", False),
    ("*\n!src", "other", True),
    ("*\n!src/keep", "src/keep/a", False),
    ("/a", "a", True),
    ("a/", "a/b", True),
    ("./a/../b", "b", True),
    ("#a", "#a", False),
    ("tem?", "temp", True),
    ("tem?", "tem/", False),
    ("[ab]c", "bc", True),
    ("a/**/z", "a/b/c/z", True),
    ("a/**/z", "a/z", True),
    ("a/**", "a/b/c", True),
    ("\\*x", "*x", True),
    ("", "a", False),
]


@pytest.mark.parametrize(("rules", "path", "left_out"), CASES)
def test_ignored(rules: str, path: str, left_out: bool) -> None:
    assert Ignored(rules).takes(path) is left_out


def names(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {entry.name: entry for entry in tar}


def test_archive(tmp_path: Path) -> None:
    for name in ("Dockerfile", "src/a", "src/b.log", "kept/deep/x", "gone/y"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "twin").hardlink_to(tmp_path / "src/a")
    os.mkfifo(tmp_path / "pipe")
    ignored = Ignored("**/*.log\nkept\n!kept/deep\ngone\nDockerfile\n")
    data = b"".join(archive(str(tmp_path), ignored, frozenset(("Dockerfile",)), {".extra": b"more"}))
    found = names(data)
    assert list(found) == ["Dockerfile", "link", "src", "twin", "kept", "kept/deep", "kept/deep/x", "src/a", ".extra"]
    assert found["link"].issym() and found["link"].linkname == "/etc/passwd"
    assert found["src/a"].islnk() and found["src/a"].linkname == "twin"
    assert {entry.uid for entry in found.values()} == {0}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.extractfile("kept/deep/x").read() == b"kept/deep/x"  # type: ignore[union-attr]


def test_what_is_an_archive() -> None:
    assert is_archive(file_alone("Dockerfile", b"FROM a"))
    assert is_archive(b"\x1f\x8b rest")
    assert not is_archive(b"FROM busybox\nRUN x\n")
