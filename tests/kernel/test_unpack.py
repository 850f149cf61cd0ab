"""Layers' tars on a real file system: what overlayfs needs, and nothing outside of the directory."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sanbashi.errors import Failed
from sanbashi.host.unpack import OPAQUE, Unpacked, unpack
from sanbashi.images.manifest import digest_of

pytestmark = pytest.mark.root


def entry(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.type, made.size, made.mode = kind, len(content), 0o755 if kind == tarfile.DIRTYPE else 0o644
    for field, value in fields.items():
        setattr(made, field, value)
    return made, content


def tar(*entries: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as opened:
        for made, content in entries:
            opened.addfile(made, io.BytesIO(content))
    return out.getvalue()


def unpacked(data: bytes, target: Path) -> Unpacked:
    target.mkdir(exist_ok=True)
    return unpack(io.BytesIO(data), target)


def test_everything_that_a_layer_may_hold(tmp_path: Path) -> None:
    root = tmp_path / "layer"
    capability = b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    data = tar(
        entry("./", tarfile.DIRTYPE, mode=0o751, mtime=1_600_000_000),
        entry("bin", tarfile.DIRTYPE, mode=0o1777, uid=3, gid=4, mtime=1_500_000_000),
        entry("bin/su", content=b"su", mode=0o4755, uid=1000, gid=1001, mtime=1_400_000_000),
        entry(
            "bin/ping",
            content=b"ping",
            uid=7,
            pax_headers={"SCHILY.xattr.security.capability": capability.decode("utf-8", "surrogateescape"), "mtime": "1400000000.123456789"},
        ),
        entry("bin/sh", tarfile.LNKTYPE, linkname="bin/su"),
        entry("lib", tarfile.SYMTYPE, linkname="/usr/lib", uid=5),
        entry("dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        entry("dev/sda", tarfile.BLKTYPE, devmajor=8, devminor=0),
        entry("run/fifo", tarfile.FIFOTYPE),
        entry("name with \n and \u00fc", content=b"x"),
        entry("a" * 90 + "/" + "b" * 200, content=b"deep"),
    )
    found = unpacked(data, root)
    assert found == Unpacked(digest_of(data), len(data), 2 + 4 + 1 + 4 + len("/usr/lib"))
    su, ping = (root / "bin/su").stat(), (root / "bin/ping").stat()
    assert (stat.S_IMODE(su.st_mode), su.st_uid, su.st_gid, su.st_mtime, su.st_nlink) == (0o4755, 1000, 1001, 1_400_000_000, 2)
    assert os.getxattr(root / "bin/ping", "security.capability") == capability, "chown would have dropped it"
    assert ping.st_mtime_ns == 1_400_000_000_123_456_789
    directory = (root / "bin").stat()
    assert (stat.S_IMODE(directory.st_mode), directory.st_uid, directory.st_mtime) == (0o1777, 3, 1_500_000_000), "set after its files were made"
    assert (stat.S_IMODE(root.stat().st_mode), root.stat().st_mtime) == (0o751, 1_600_000_000)
    assert (str((root / "lib").readlink()), (root / "lib").lstat().st_uid) == ("/usr/lib", 5)
    null = (root / "dev/null").stat()
    assert (stat.S_ISCHR(null.st_mode), null.st_rdev, stat.S_IMODE(null.st_mode)) == (True, os.makedev(1, 3), 0o666)
    assert stat.S_ISBLK((root / "dev/sda").stat().st_mode)
    assert stat.S_ISFIFO((root / "run/fifo").stat().st_mode)
    assert (root / "name with \n and \u00fc").read_bytes() == b"x"
    assert (root / ("a" * 90) / ("b" * 200)).read_bytes() == b"deep"


def test_whiteouts_in_overlayfs_form(tmp_path: Path) -> None:
    root = tmp_path / "layer"
    unpacked(
        tar(entry("etc/.wh.passwd"), entry("var", tarfile.DIRTYPE), entry("var/.wh..wh..opq"), entry("var/new", content=b"n"), entry(".wh..wh.plnk")),
        root,
    )
    gone = (root / "etc/passwd").lstat()
    assert (stat.S_ISCHR(gone.st_mode), gone.st_rdev) == (True, 0)
    assert os.getxattr(root / "var", OPAQUE) == b"y"
    assert sorted(p.name for p in root.rglob("*")) == ["etc", "new", "passwd", "var"]


def test_an_image_cannot_speak_overlayfs_own_language(tmp_path: Path) -> None:
    unpacked(tar(entry("d", tarfile.DIRTYPE, pax_headers={f"SCHILY.xattr.{OPAQUE}": "y", "SCHILY.xattr.user.mine": "kept"})), tmp_path / "layer")
    assert os.listxattr(tmp_path / "layer/d") == ["user.mine"]


@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        gzip.compress,
        bz2.compress,
        lzma.compress,
        zstandard.ZstdCompressor().compress,
        lambda d: gzip.compress(d[:700]) + gzip.compress(d[700:]),
    ],
)
def test_compressions(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    data = tar(entry("x", content=os.urandom(100_000)))
    taken: list[int] = []
    packed = pack(data)
    assert unpack(io.BytesIO(packed), tmp_path, consumed=taken.append).diff_id == digest_of(data)
    assert sum(taken) == len(packed)


@pytest.mark.parametrize("cut", [10, 400, 5000])
def test_a_stream_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    with pytest.raises(Failed, match="failed to register layer"):
        unpacked(gzip.compress(tar(entry("x", content=os.urandom(100_000))))[:cut], tmp_path)


def test_a_damaged_stream_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(tar(entry("x", content=os.urandom(10_000)))))
    packed[5000] ^= 255
    with pytest.raises(Failed, match="failed to register layer"):
        unpacked(bytes(packed), tmp_path)


def test_later_entries_replace_earlier_ones(tmp_path: Path) -> None:
    root = tmp_path / "layer"
    data = tar(
        entry("a", content=b"1"),
        entry("a", content=b"2"),
        entry("d", tarfile.DIRTYPE),
        entry("d/x", content=b"x"),
        entry("d", tarfile.SYMTYPE, linkname="e"),
        entry("f", content=b"f"),
        entry("f/y", content=b"y"),
        entry("g", tarfile.DIRTYPE, mode=0o700),
        entry("g/z", content=b"z"),
        entry("g", tarfile.DIRTYPE, mode=0o711),
    )
    unpacked(data, root)
    assert (root / "a").read_bytes() == b"2"
    assert str((root / "d").readlink()) == "e"
    assert (root / "f/y").read_bytes() == b"y"
    assert (stat.S_IMODE((root / "g").stat().st_mode), (root / "g/z").read_bytes()) == (0o711, b"z")


NAMES = ["a", "b", "a/b", "b/a", "a/b/c", "../x", "a/../../x", "/x", "a/.wh.b", "a/.wh..wh..opq", "b/.wh..wh..opq"]
TARGETS = ["a", "b", "..", "../..", "/", "/a", "../outside", "/../outside", "a/b", "../../outside/file"]
ENTRIES = st.tuples(
    st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE]), st.sampled_from(NAMES), st.sampled_from(TARGETS)
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(ENTRIES, min_size=1, max_size=8))
def test_no_layer_reaches_outside(tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[bytes, str, str]]) -> None:
    place = tmp_path_factory.mktemp("hostile")
    (place / "outside").mkdir()
    (place / "outside/file").write_bytes(b"untouched")
    before = (place / "outside").stat()
    made = [entry(name, kind, b"evil" if kind == tarfile.REGTYPE else b"", linkname=target) for kind, name, target in entries]
    with contextlib.suppress(Failed):
        unpacked(tar(*made), place / "layer")
    after = (place / "outside").stat()
    assert (place / "outside/file").read_bytes() == b"untouched"
    assert (place / "outside/file").stat().st_nlink == 1
    assert (after.st_mtime_ns, after.st_mode, os.listxattr(place / "outside")) == (before.st_mtime_ns, before.st_mode, [])
    assert sorted(p.name for p in place.iterdir()) == ["layer", "outside"]
