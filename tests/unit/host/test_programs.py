"""What programs say of themselves, and what the data root lies on."""

from __future__ import annotations

from pathlib import Path

import pytest

from sanbashi.host import programs
from sanbashi.host.programs import Program, file_system, program, said


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("runc", "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\nspec: 1.0.2-dev\ngo: go1.19.8", ("1.1.5+ds1", "1.1.5+ds1-1+deb12u1")),
        ("crun", "crun version 1.8.1\ncommit: f8a096be060b\nrundir: /run/crun\nspec: 1.0.0\n+SYSTEMD +CAP", ("1.8.1", "f8a096be060b")),
        ("conmon", "conmon version 2.1.6\ncommit: unknown\n", ("2.1.6", "")),
        ("docker-init", "tini version 0.19.0 - git.de40ad0\n", ("0.19.0", "de40ad0")),
        ("tini", "tini version 0.19.0\n", ("0.19.0", "")),
        ("odd", "nothing of the kind", ("", "")),
    ],
)
def test_versions(name: str, text: str, found: tuple[str, str]) -> None:
    assert said(name, text) == Program(name, *found)


def test_a_program_is_asked_again_when_it_is_another(tmp_path: Path) -> None:
    path = tmp_path / "crun"
    assert program(path) == Program("crun")
    for number in (1, 2):
        new = tmp_path / "new"
        new.write_text(f"#!/bin/sh\necho x >> {tmp_path}/asked\necho crun version {number}\n")
        new.chmod(0o755)
        new.rename(path)
        assert [program(path), program(path)] == [Program("crun", str(number))] * 2
    assert (tmp_path / "asked").read_text() == "x\nx\n"


def test_file_systems(tmp_path: Path) -> None:
    kinds = {fields[1]: fields[2] for fields in (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())}
    names = {"ext4": "extfs", "tmpfs": "tmpfs", "xfs": "xfs", "btrfs": "btrfs", "overlay": "overlayfs", "proc": "<unknown>"}
    for place in ("/", "/proc", "/dev/shm"):
        if kinds.get(place) in names:
            assert file_system(Path(place)) == names[kinds[place]]
    assert file_system(tmp_path / "nowhere") == "<unknown>"


def test_a_program_that_did_not_answer_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "crun"
    path.write_text(f"#!/bin/sh\n[ -e {tmp_path}/awake ] || exec sleep 100\necho crun version 3\n")
    path.chmod(0o755)
    monkeypatch.setattr(programs, "PATIENCE", 0.0)
    assert program(path) == Program("crun")
    (tmp_path / "awake").touch()
    monkeypatch.setattr(programs, "PATIENCE", 100.0)
    assert program(path) == Program("crun", "3")
