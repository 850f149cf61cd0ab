"""A volume filled from an image, and binds' sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from sanbashi.containers.model import MountPoint
from sanbashi.containers.mounts import CREATE_SOURCE
from sanbashi.errors import Invalid
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
