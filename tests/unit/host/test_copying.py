"""A volume filled from an image, and binds' sources."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from sanbashi.containers.model import MountPoint
from sanbashi.containers.mounts import CREATE_SOURCE
from sanbashi.errors import Invalid, StepFailed
from sanbashi.host import copying
from sanbashi.host.copying import check_binds, copy_up, make_sources
from sanbashi.host.rootfs import read_inside


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    data = tmp_path / "root" / "data"
    (data / "inner").mkdir(parents=True)
    (data / "file").write_text("text")
    (data / "file").chmod(0o640)
    (data / "inner" / "same").hardlink_to(data / "file")
    (data / "link").symlink_to("/etc/passwd")
    data.chmod(0o750)
    return tmp_path / "root"


def test_an_empty_volume_gets_what_the_image_has(rootfs: Path, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    assert copy_up(rootfs, "/data", volume)
    assert (volume / "file").read_text() == "text"
    assert (volume / "file").stat().st_mode & 0o777 == 0o640
    assert (volume / "file").samefile(volume / "inner" / "same")
    assert (volume / "link").readlink() == Path("/etc/passwd")
    assert volume.stat().st_mode & 0o777 == 0o750
    assert (volume / "file").stat().st_mtime_ns == (rootfs / "data" / "file").stat().st_mtime_ns
    assert not copy_up(rootfs, "/data", volume)


def test_nothing_there_is_nothing_copied(rootfs: Path, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    assert not copy_up(rootfs, "/absent", volume)
    assert not copy_up(rootfs, "/data/file", volume)


def test_no_link_leads_out_of_the_root(rootfs: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "passwd").write_text("root:x:0:0::/:\n")
    (rootfs / "etc").symlink_to(tmp_path / "secret")
    (rootfs / "up").symlink_to("../../secret/passwd")
    assert read_inside(rootfs, "etc/passwd") == ""
    assert read_inside(rootfs, "up") == ""
    volume = tmp_path / "volume"
    volume.mkdir()
    assert not copy_up(rootfs, "/etc", volume)
    (rootfs / "inside").symlink_to("/data/file")
    assert read_inside(rootfs, "inside") == "text"


def test_v_makes_a_missing_directory_and_mount_does_not(tmp_path: Path) -> None:
    made = MountPoint(type="bind", source=str(tmp_path / "a" / "b"), destination="/x", options=(CREATE_SOURCE,))
    asked = MountPoint(type="bind", source=str(tmp_path / "absent"), destination="/y")
    check_binds([made])
    make_sources([made])
    assert (tmp_path / "a" / "b").is_dir()
    with pytest.raises(Invalid, match=r'invalid mount config for type "bind": bind source path does not exist: .*/absent'):
        check_binds([asked])


def test_a_volume_that_another_container_works_in_leads_nowhere(rootfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It puts a link to a directory of the host's in the place of one that was just made, and one to a file where a file is to be."""
    volume, outside = tmp_path / "volume", tmp_path / "outside"
    volume.mkdir()
    outside.mkdir()
    (outside / "file").write_text("the host's")
    (volume / "file").symlink_to(outside / "file")
    mkdir = os.mkdir

    def mkdir_then_swap(name: str, *words: Any, **named: Any) -> None:
        mkdir(name, *words, **named)
        (volume / "inner").rmdir()
        (volume / "inner").symlink_to(outside)

    monkeypatch.setattr(copying.os, "mkdir", mkdir_then_swap)
    monkeypatch.setattr(copying.os, "scandir", lambda place: contextlib.nullcontext(iter(())))  # when this was looked at it was empty
    with pytest.raises(StepFailed, match="fill the volume at /data from the image"):
        copy_up(rootfs, "/data", volume)
    assert [path.name for path in outside.iterdir()] == ["file"] and (outside / "file").read_text() == "the host's"


def test_what_another_start_has_copied_meanwhile_stays(rootfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = tmp_path / "volume"
    (volume / "inner").mkdir(parents=True)
    (volume / "file").write_text("theirs")
    monkeypatch.setattr(copying.os, "scandir", lambda place: contextlib.nullcontext(iter(())))
    assert copy_up(rootfs, "/data", volume)
    assert (volume / "file").read_text() == "theirs" and (volume / "link").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="a device can be made by root alone")
def test_a_device_in_the_place_of_a_file_is_not_opened(rootfs: Path) -> None:
    """Nobody answers for this one, so that to open it would be refused; others would, and do something."""
    (rootfs / "etc").mkdir()
    os.mknod(rootfs / "etc" / "passwd", stat.S_IFCHR | 0o644, os.makedev(4095, 1))
    assert read_inside(rootfs, "etc/passwd") == ""
