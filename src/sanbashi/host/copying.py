"""Files that containers find in their volumes: the image's own, copied into a volume that is empty; and binds' sources."""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator
from dataclasses import field
from pathlib import Path

from ..containers.model import MountPoint
from ..containers.mounts import CREATE_SOURCE
from ..errors import Invalid, StepFailed
from ..records import dataclass
from .inside import O_PATH_DIRECTORY, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from .packing import held
from .rootfs import open_inside

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
PIECE = 1 << 24  # bytes that are copied at a time


def copy_up(rootfs: Path, destination: str, volume: Path) -> bool:
    """Copy what the image has at `destination` into the volume's directory where that is empty; says whether it did.

    Owner, mode, times, extended attributes and links as they are, the directory's own too. Nothing outside `rootfs` is ever read.
    """
    with os.scandir(volume) as entries:
        if next(entries, None) is not None:
            return False
    try:
        source = open_inside(rootfs, destination, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        target = os.open(volume, DIRECTORY)
        try:
            Copying(target).directory(source, target, "")
        finally:
            os.close(target)
    except OSError as error:
        raise StepFailed(f"fill the volume at {destination} from the image", errno=error.errno or 0, stderr=error.strerror or "") from error
    finally:
        os.close(source)
    return True


@dataclass
class Copying:
    """One directory's contents and attributes to another, `top`; all by descriptors, and links are never followed.

    A volume may be another container's at the same time, which could put a link to anything of the host's in the place of what was just made. What
    somebody has made there meanwhile stays as it is.
    """

    top: int
    seen: dict[tuple[int, int], str] = field(default_factory=dict)  # what has several names -> where it was copied to

    def directory(self, source: int, target: int, path: str) -> None:
        """What is in `source` to `target`, which lies at `path` below the top, then its attributes."""
        for name in os.listdir(source):
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
            with contextlib.suppress(FileExistsError):
                self.entry(source, target, name, posixpath.join(path, name), status)
        copy_attributes(source, target, os.fstat(source))

    def entry(self, source: int, target: int, name: str, path: str, status: os.stat_result) -> None:
        """One of them; FileExistsError where it is there already."""
        mode, key = status.st_mode, (status.st_dev, status.st_ino)
        if stat.S_ISSOCK(mode):
            return
        if stat.S_ISDIR(mode):
            os.mkdir(name, 0o700, dir_fd=target)
            with opened(name, DIRECTORY, source) as inner, opened(name, DIRECTORY, target) as made:
                self.directory(inner, made, path)
            return
        if (first := self.seen.get(key)) is not None:
            head, tail = posixpath.split(first)
            with held(openat2(self.top, head or ".", O_PATH_DIRECTORY, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)) as holder:
                os.link(tail, name, src_dir_fd=holder, dst_dir_fd=target, follow_symlinks=False)
            return
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif stat.S_ISREG(mode):
            with opened(name, os.O_RDONLY, source) as content, opened(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, target, 0o600) as made:
                while os.sendfile(made, content, None, PIECE):
                    pass
        else:
            os.mknod(name, stat.S_IFMT(mode) | 0o600, status.st_rdev, dir_fd=target)
        with opened(name, os.O_PATH, source) as there, opened(name, os.O_PATH, target) as made:
            copy_attributes(there, made, status)
        if status.st_nlink > 1:
            self.seen[key] = path


@contextlib.contextmanager
def opened(name: str, flags: int, directory: int, mode: int = 0) -> Iterator[int]:
    """A descriptor of a name in a directory, no link, as long as the block lasts."""
    with held(os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=directory)) as descriptor:
        yield descriptor


def copy_attributes(source: int, target: int, status: os.stat_result) -> None:
    """Owner, mode, extended attributes and times of what was opened, in the order in which none takes away another."""
    there, made = (f"/proc/thread-self/fd/{each}" for each in (source, target))  # each leads to that itself, be it a link
    os.chown(made, status.st_uid, status.st_gid)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(made, stat.S_IMODE(status.st_mode))  # noqa: PTH101 - as above
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            for name in os.listxattr(there):
                if not name.startswith(("trusted.overlay.", "security.selinux")):
                    os.setxattr(made, name, os.getxattr(there, name))
    os.utime(made, ns=(status.st_atime_ns, status.st_mtime_ns))


def check_binds(points: Iterable[MountPoint]) -> None:
    """Invalid in Docker's words where a --mount names a directory of the host that is not there (-v makes it, at the start)."""
    for point in points:
        if point.type == "bind" and CREATE_SOURCE not in point.options and not os.path.lexists(point.source):
            raise Invalid(f'invalid mount config for type "bind": bind source path does not exist: {point.source}')


def make_sources(points: Iterable[MountPoint]) -> None:
    """Make what -v names and the host lacks, as a directory of root's; for the rest as `check_binds`."""
    points = list(points)
    check_binds(points)
    for point in points:
        if point.type == "bind" and CREATE_SOURCE in point.options and not os.path.lexists(point.source):
            try:
                Path(point.source).mkdir(parents=True)
            except OSError as error:
                words = f"error while creating mount source path '{point.source}': mkdir {point.source}: {(error.strerror or '').lower()}"
                raise Invalid(words) from error
