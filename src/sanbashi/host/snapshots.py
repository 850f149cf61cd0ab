"""Root file systems of containers: overlay mounts of an image's layers with a writable directory on top."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from ..containers.model import MountPoint
from ..errors import Failed, SanbashiError, StepFailed
from ..records import dataclass
from . import stranded
from .deleting import delete
from .differences import PathChange, bytes_below, changes, shown
from .initial import InitialLayers, copy_stat, drafting
from .layers import Layers
from .mounts import MNT_DETACH, UMOUNT_NOFOLLOW, clone_mount, is_mounted, unmount
from .overlay import mount_images, mount_overlay, unmount_images
from .rootfs import make_inside

log = logging.getLogger("sanbashi.host")

SNAPSHOTS = "snapshots"  # of the data root
VOLATILE_MARK = "work/work/incompat"  # of the kernel's, in a snapshot's folder


@dataclass(frozen=True, slots=True)
class Directories:
    """Where a root file system lies (inspect's GraphDriver)."""

    lower: tuple[Path, ...]
    upper: Path
    work: Path
    merged: Path


class Snapshots:
    """DATA_ROOT/snapshots/<container id>/{layers.json,upper,work,merged,images/<number>}; for several threads, one call a container at a time."""

    def __init__(self, data_root: Path) -> None:
        self.data_root = data_root
        self.root = data_root / SNAPSHOTS
        self.alone = self.volatile = True
        self.layers = Layers(data_root / "layers")
        self.root.mkdir(parents=True, exist_ok=True, mode=0o710)
        self.initial = InitialLayers(self.layers)

    def path(self, container_id: str) -> Path:
        """The root directory of the container, where `mount` mounts it."""
        return self.root / container_id / "merged"

    def create(self, container_id: str, layers: Sequence[str]) -> None:
        """Make the writable directory of a container over the layers (diff ids, lowest first); Failed where one is missing."""
        for diff_id in layers:
            self.layers.check(diff_id)
        first = self.initial.of(layers)
        draft = self.root / f".new-{secrets.token_hex(8)}"
        with drafting(draft):
            for name in ("upper", "work", "merged"):
                (draft / name).mkdir(parents=True)
            copy_stat(first, draft / "upper")  # the upper directory's attributes are those of / inside
            (draft / "layers.json").write_bytes(msgspec.json.encode(list(layers)))
            draft.rename(self.root / container_id)

    def mount(self, container_id: str, *, passing: bool = False) -> Path:
        """Mount the container's root file system unless it is mounted; where it is. StepFailed where the kernel refuses.

        `passing`: what is written to it goes with the container. It is not written out on its account, then, which the kernel would otherwise do
        with the whole disk when the root is unmounted; and it is lost if the host goes down, when nobody wants it any more.
        """
        merged = self.path(container_id)
        if is_mounted(merged):
            return merged
        layers = self.layers_of(container_id)
        lower = [f"i/{self.initial.of(layers).name}", *(self.layers.link(diff_id) for diff_id in reversed(layers))]
        own = f"../snapshots/{container_id}"
        above = f"upperdir={own}/upper,workdir={own}/work"
        mark = self.root / container_id / VOLATILE_MARK
        if mark.exists():  # of the run before: the kernel refuses to mount it again, for it does not know that the host has not gone down since
            shutil.rmtree(mark)
        if passing and self.volatile:
            try:
                self.mount_on(merged, lower, f"{above},volatile")
            except (StepFailed, Failed):
                self.mount_on(merged, lower, above)
                self.volatile = False  # Linux before 5.10
        else:
            self.mount_on(merged, lower, above)
        return merged

    def mount_on(self, merged: Path, lower: Sequence[str], above: str) -> None:
        """Mount an overlay alone, or else among the others."""
        if not self.alone or not self.mount_alone(merged, lower, above):
            mount_overlay(self.layers.root, merged, lower, above)
            self.alone = False  # not worth another try: the kernel does not let us, or the administrator mounts the layers by themselves

    def mount_alone(self, merged: Path, lower: Sequence[str], above: str) -> bool:
        """Mount by way of a copy of the data root's mount without what is mounted below; False where that cannot be done.

        Of each mount that it stands on an overlay makes a copy, for which the kernel goes through all mounts on that one (clone_private_mount):
        every other container's root. Linux from 6.15 on lets the mount be one that is nowhere.
        """
        try:
            tree = clone_mount(self.data_root)
        except StepFailed:
            return False
        try:
            mount_overlay(Path(f"/proc/self/fd/{tree}") / self.layers.root.name, merged, lower, above)
        except (StepFailed, Failed):
            return False  # what is really amiss, the usual way says
        finally:
            os.close(tree)
        return True

    def image_place(self, container_id: str, number: int) -> Path:
        """Where the image that is a container's mount of that number is mounted while it is used."""
        return self.root / container_id / "images" / str(number)

    def have_directory(self, container_id: str, path: str) -> None:
        """Have a directory in a container's file system that nobody uses yet. Failed, in Docker's words, where something else is in its place."""
        below = shown(self.directories(container_id).lower, path.strip("/"))
        if below is not None and stat.S_ISDIR(below.lstat().st_mode):
            return
        root = self.mount(container_id, passing=True)
        try:
            make_inside(root, path)
        except (FileExistsError, NotADirectoryError) as error:
            raise Failed(f"Cannot mkdir: {path} is not a directory") from error
        except OSError as error:
            raise StepFailed(f"make {path} in the container", errno=error.errno or 0, stderr=error.strerror or "") from error
        finally:
            self.unmount(container_id)

    def mount_images(self, points: Iterable[MountPoint]) -> None:
        """Mount the images among a container's mounts."""
        mount_images(self.layers, points)

    def unmount(self, container_id: str) -> None:
        """Unmount the container's root file system and images; not mounted is well. Whoever still stands in it keeps it until he leaves."""
        unmount(self.path(container_id), MNT_DETACH | UMOUNT_NOFOLLOW)
        unmount_images(self.root / container_id / "images")

    def clear_stranded(self, monitors: Iterable[int]) -> None:
        """Unmount roots that a daemon's death has left in the mount namespaces of these processes; each is logged. StepFailed."""
        for place in stranded.clear(monitors, self.root):
            log.info("unmounted %s, which a daemon's death had left where the runtimes start", place)

    def remove(self, container_id: str) -> None:
        """Unmount and delete the container's writable directory; gone already is well. What it stands on is named in it until all else has gone."""
        self.unmount(container_id)
        own = self.root / container_id
        for part in own.iterdir() if own.exists() else ():
            if part.is_dir():
                delete(part)
        delete(own)

    def set_aside(self, container_id: str) -> Path | None:
        """Unmount the container's writable directory and put it where nobody looks, to be deleted: by the caller, or by the next `sweep`."""
        self.unmount(container_id)
        doomed = self.root / f".gone-{secrets.token_hex(8)}"
        try:
            (self.root / container_id).rename(doomed)
        except FileNotFoundError:
            return None
        return doomed

    def directories(self, container_id: str) -> Directories:
        """Where the container's file system lies, the first layer and the topmost of the image first."""
        layers, own = self.layers_of(container_id), self.root / container_id
        lower = (self.initial.of(layers), *(self.layers.directory(diff_id) for diff_id in reversed(layers)))
        return Directories(lower, own / "upper", own / "work", own / "merged")

    def size(self, container_id: str) -> int:
        """Bytes of the files that the container itself has written; 0 where there is no such snapshot."""
        return bytes_below(self.root / container_id / "upper")

    def changes(self, container_id: str) -> list[PathChange]:
        """How the container's files differ from its image's, by path."""
        where = self.directories(container_id)
        return changes(where.upper, where.lower)

    def sweep(self, kept: Collection[str]) -> None:
        """Remove what a death half way has left, and every snapshot of a container not named.

        What cannot go is logged and stays for the next sweep.
        """
        used: set[tuple[str, ...]] = set()
        for entry in self.root.iterdir():
            with told(entry):
                if entry.name in kept:
                    used.add(self.layers_of(entry.name))
                elif entry.name.startswith("."):
                    delete(entry)
                else:
                    self.remove(entry.name)
        for first in self.initial.unused(used):
            with told(first):
                delete(first)

    def layers_of(self, container_id: str) -> tuple[str, ...]:
        """The layers that a snapshot stands on; Failed where there is no such snapshot."""
        try:
            return msgspec.json.decode((self.root / container_id / "layers.json").read_bytes(), type=tuple[str, ...])
        except FileNotFoundError as error:
            raise Failed(f"the file system of container {container_id[:12]} is missing", hint="remove the container and create it again") from error


@contextlib.contextmanager
def told(entry: Path) -> Iterator[None]:
    """A failure about one entry is logged: it is no reason to leave the others, or not to start."""
    try:
        yield
    except (SanbashiError, OSError, msgspec.DecodeError) as error:
        log.error("%s: %s", entry, error)
