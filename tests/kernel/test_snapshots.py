"""Layers and root file systems on the real kernel, in a mount namespace of the test's own."""

from __future__ import annotations

import ctypes
import gc
import io
import os
import tarfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from sanbashi.errors import Failed, StepFailed
from sanbashi.host.differences import Kind
from sanbashi.host.layers import Layers, Note
from sanbashi.host.mounts import mount
from sanbashi.host.snapshots import Snapshots

pytestmark = pytest.mark.root

T = TypeVar("T")
CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 16384, 1 << 18
ID = "c" * 64
LETS_US = tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (6, 15)  # put an overlay on a mount that is nowhere


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root."""
    return tmp_path


def alone(work: Callable[[], T]) -> T:
    """Run in a thread with a mount namespace of its own, so that nothing is left behind whatever happens."""
    outcome: list[T] = []
    failure: list[BaseException] = []
    libc = ctypes.CDLL(None, use_errno=True)

    def run() -> None:
        try:
            assert libc.unshare(CLONE_NEWNS) == 0, os.strerror(ctypes.get_errno())
            assert libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) == 0
            outcome.append(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def add_layer(layers: Layers, files: dict[str, bytes | None], *, mode: int = 0o755) -> str:
    """Publish a layer of files; None is a whiteout."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        top = tarfile.TarInfo("./")
        top.type, top.mode = tarfile.DIRTYPE, mode
        tar.addfile(top)
        for name, content in files.items():
            parent, _, last = name.rpartition("/")
            entry = tarfile.TarInfo(name if content is not None else f"{parent}/.wh.{last}")
            entry.size = len(content or b"")
            tar.addfile(entry, io.BytesIO(content or b""))
    draft = layers.unpack(io.BytesIO(out.getvalue()))
    layers.publish([(draft, Note("sha256:" + "0" * 64, "", 0, draft.unpacked.tar_size, draft.unpacked.size))])
    return draft.unpacked.diff_id


@pytest.mark.parametrize("by_themselves", [False, True])
def test_roots_do_not_stand_on_a_mount_with_the_others_on_it(by_themselves: bool, root: Path) -> None:
    """Where the kernel lets us; not where somebody mounts the layers by themselves, which a copy of the data root's mount is without."""

    def work() -> None:
        if by_themselves:
            (root / "layers").mkdir()
            mount("tmpfs", root / "layers", "tmpfs")
        snapshots = Snapshots(root)
        layers = [add_layer(snapshots.layers, {"etc/a": b"low"})]
        gc.collect()  # which closes what earlier tests have left, at whatever moment
        held = len(list(Path("/proc/self/fd").iterdir()))
        for id_ in (ID, "d" * 64):
            snapshots.create(id_, layers)
            merged = snapshots.mount(id_)
            (merged / "etc/b").write_bytes(b"mine")
            assert (merged / "etc/a").read_bytes() == b"low" and (snapshots.root / id_ / "upper/etc/b").read_bytes() == b"mine"
            assert snapshots.alone == (not by_themselves and LETS_US)
        assert len(list(Path("/proc/self/fd").iterdir())) == held

    alone(work)


def test_a_mount_that_fails_says_why_and_the_next_is_tried_alone(root: Path) -> None:
    snapshots = Snapshots(root)
    layers = [add_layer(snapshots.layers, {"etc/a": b"low"})]

    def work() -> None:
        snapshots.create(ID, layers)
        (snapshots.root / ID / "work").rmdir()
        with pytest.raises((Failed, StepFailed), match="No such file"):
            snapshots.mount(ID)
        assert snapshots.alone
        (snapshots.root / ID / "work").mkdir()
        assert (snapshots.mount(ID) / "etc/a").read_bytes() == b"low"

    alone(work)


def volatile(merged: Path) -> bool:
    """Whether what is mounted there is; kernels spell it differently (`volatile`, `fsync=volatile`)."""
    lines = [line.split() for line in Path("/proc/thread-self/mountinfo").read_text().splitlines()]
    return any("volatile" in option for line in lines if line[4] == str(merged) for option in line[-1].split(","))


def test_what_passes_with_the_container_is_not_written_out_and_can_be_mounted_again(root: Path) -> None:
    snapshots = Snapshots(root)
    layers = [add_layer(snapshots.layers, {"etc/a": b"low"})]

    def work() -> None:
        snapshots.create(ID, layers)
        for passing in (True, True, False, False, True):
            merged = snapshots.mount(ID, passing=passing)
            assert volatile(merged) == passing
            with (merged / "etc/b").open("ab") as file:
                file.write(b"x")
                file.flush()
                os.fsync(file.fileno())
            snapshots.unmount(ID)
        assert (snapshots.mount(ID) / "etc/b").read_bytes() == b"xxxxx"
        assert [(c.kind, c.path) for c in snapshots.changes(ID)] == [(Kind.MODIFIED, "/etc"), (Kind.ADDED, "/etc/b")]
        snapshots.unmount(ID)
        snapshots.mount(ID, passing=True)
        snapshots.remove(ID)
        assert not list(snapshots.root.iterdir())

    alone(work)


def test_a_kernel_without_volatile_mounts_is_asked_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots = Snapshots(root)
    layers = [add_layer(snapshots.layers, {"etc/a": b"low"})]
    asked: list[str] = []
    real = Snapshots.mount_on

    def mount_on(self: Snapshots, merged: Path, lower: Sequence[str], above: str) -> None:
        asked.append(above.rpartition(",")[2])
        if asked[-1] == "volatile":
            raise Failed("cannot mount: invalid argument")
        real(self, merged, lower, above)

    def work() -> None:
        monkeypatch.setattr(Snapshots, "mount_on", mount_on)
        snapshots.create(ID, layers)
        for _ in range(2):
            assert not volatile(snapshots.mount(ID, passing=True))
            snapshots.unmount(ID)
        assert [option == "volatile" for option in asked] == [True, False, False]

    alone(work)


def test_a_container_sees_its_layers_and_writes_above_them(root: Path) -> None:
    snapshots = Snapshots(root)
    layers = [
        add_layer(snapshots.layers, {"etc/a": b"low", "etc/b": b"low", "bin/sh": b"sh"}),
        add_layer(snapshots.layers, {"etc/a": b"high", "etc/b": None}, mode=0o711),
    ]

    def work() -> None:
        snapshots.create(ID, layers)
        merged = snapshots.mount(ID)
        assert merged == snapshots.path(ID)
        assert snapshots.mount(ID) == merged, "once is enough"
        assert [line.split()[4] for line in Path("/proc/thread-self/mountinfo").read_text().splitlines()].count(str(merged)) == 1
        assert (merged / "etc/a").read_bytes() == b"high"
        assert not (merged / "etc/b").exists()
        assert (merged / "bin/sh").read_bytes() == b"sh"
        assert merged.stat().st_mode & 0o7777 == 0o711, "the topmost layer's root is the root"
        assert (merged / ".dockerenv").exists() and (merged / "etc/resolv.conf").exists() and (merged / "dev/shm").is_dir()
        assert (merged / "etc/mtab").readlink() == Path("/proc/mounts")
        assert snapshots.changes(ID) == [] and snapshots.size(ID) == 0
        (merged / "etc/a").write_bytes(b"mine")
        (merged / "etc/new").write_bytes(b"12345")
        (merged / "bin/sh").unlink()
        (merged / "etc/b").write_bytes(b"again")
        assert [(c.kind, c.path) for c in snapshots.changes(ID)] == [
            (Kind.MODIFIED, "/bin"),
            (Kind.DELETED, "/bin/sh"),
            (Kind.MODIFIED, "/etc"),
            (Kind.MODIFIED, "/etc/a"),
            (Kind.ADDED, "/etc/b"),
            (Kind.ADDED, "/etc/new"),
        ]
        assert snapshots.size(ID) == 4 + 5 + 5
        snapshots.unmount(ID)
        snapshots.unmount(ID)
        assert not list(merged.iterdir())
        assert (snapshots.mount(ID) / "etc/new").read_bytes() == b"12345", "what was written stays"
        snapshots.remove(ID)
        snapshots.remove(ID)
        assert not (root / "snapshots" / ID).exists()

    alone(work)


def test_more_layers_than_one_page_of_long_paths_holds(root: Path) -> None:
    deep = root / ("long" * 40) / "with:colon,comma"
    snapshots = Snapshots(deep)
    layers = [add_layer(snapshots.layers, {f"etc/{number}": b"x", "etc/same": str(number).encode()}) for number in range(128)]
    assert sum(len(str(snapshots.layers.directory(d))) for d in layers) > 4 * 4096

    def work() -> None:
        snapshots.create(ID, layers)
        merged = snapshots.mount(ID)
        assert (merged / "etc/same").read_bytes() == b"127"
        assert len(list((merged / "etc").iterdir())) == 128 + 1 + 4
        snapshots.remove(ID)

    alone(work)


def test_one_first_layer_for_all_containers_of_an_image(root: Path) -> None:
    snapshots = Snapshots(root)
    layers = [add_layer(snapshots.layers, {"etc/a": b"a"})]
    for number in range(3):
        snapshots.create(f"{number}" * 64, layers)
    assert len(list(snapshots.initial.root.iterdir())) == 1


def test_links_of_layers_that_begin_alike(root: Path) -> None:
    layers = Layers(root)
    one, two = "sha256:" + "a" * 64, "sha256:" + "a" * 10 + "b" * 54
    assert layers.link(one) != layers.link(two)
    assert layers.link(one) == layers.link(one)


def test_a_missing_layer_is_named(root: Path) -> None:
    snapshots = Snapshots(root)
    with pytest.raises(Failed, match="is missing"):
        snapshots.create(ID, ["sha256:" + "a" * 64])
    with pytest.raises(Failed, match=r"file system of container cccccccccccc is missing"):
        snapshots.mount(ID)
    assert snapshots.size(ID) == 0


def test_what_a_death_half_way_has_left_is_swept(root: Path) -> None:
    snapshots = Snapshots(root)
    kept, dropped = add_layer(snapshots.layers, {"a": b"a"}), add_layer(snapshots.layers, {"b": b"b"})
    snapshots.layers.unpack(io.BytesIO(b""))
    snapshots.create(ID, [kept])
    snapshots.create("d" * 64, [dropped])
    (root / "snapshots/.new-1/upper").mkdir(parents=True)
    half = root / "layers" / ("e" * 64) / "diff"
    half.mkdir(parents=True)

    def work() -> None:
        snapshots.mount("d" * 64)
        again = Snapshots(root)
        again.sweep({ID})
        again.layers.sweep({kept})

    alone(work)
    assert [p.name for p in (root / "snapshots").iterdir()] == [ID]
    assert sorted(p.name for p in (root / "layers").iterdir()) == sorted([kept.removeprefix("sha256:"), "i", "l", "tmp"])
    assert not list((root / "layers/tmp").iterdir())
    assert len(list((root / "layers/l").iterdir())) == 1
    assert len(list(snapshots.initial.root.iterdir())) == 1


def test_two_who_bring_the_same_layer(root: Path) -> None:
    layers = Layers(root)
    drafts = [layers.unpack(io.BytesIO(b"")) for _ in range(2)]
    note = Note("sha256:" + "0" * 64, "", 0, 0, 0)
    for draft in drafts:
        layers.publish([(draft, note)])
    assert layers.has(drafts[0].unpacked.diff_id)
    assert not list((root / "tmp").iterdir())
    layers.remove(drafts[0].unpacked.diff_id)
    layers.remove(drafts[0].unpacked.diff_id)
    assert not layers.has(drafts[0].unpacked.diff_id)
    assert not list((root / "l").iterdir())
