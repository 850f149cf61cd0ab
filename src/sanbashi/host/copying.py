"""Files that containers find in their volumes: the image's own, copied into a volume that is empty; and binds' sources."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from ..containers.model import MountPoint
from ..containers.mounts import CREATE_SOURCE
from ..errors import Invalid, StepFailed
from .rootfs import open_inside


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
        copy_directory(source, volume, {})
    except OSError as error:
        raise StepFailed(f"fill the volume at {destination} from the image", errno=error.errno or 0, stderr=error.strerror or "") from error
    finally:
        os.close(source)
    return True


def copy_directory(source: int, target: Path, seen: dict[tuple[int, int], Path]) -> None:
    """The contents and attributes of the directory `source` (a descriptor) to the existing `target`; `seen` finds hard links again."""
    base = Path(f"/proc/self/fd/{source}")
    for name in os.listdir(source):
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        there = target / name
        key = (status.st_dev, status.st_ino)
        if key in seen:
            os.link(seen[key], there, follow_symlinks=False)
            continue
        if stat.S_ISDIR(status.st_mode):
            there.mkdir()
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
            try:
                copy_directory(inner, there, seen)
            finally:
                os.close(inner)
            continue
        if stat.S_ISLNK(status.st_mode):
            there.symlink_to(os.readlink(name, dir_fd=source))
        elif stat.S_ISREG(status.st_mode):
            shutil.copyfile(base / name, there, follow_symlinks=False)
        elif not stat.S_ISSOCK(status.st_mode):
            os.mknod(there, status.st_mode, status.st_rdev)
        else:
            continue
        copy_attributes(base / name, there, status)
        if status.st_nlink > 1:
            seen[key] = there
    copy_attributes(base, target, os.fstat(source), follow=True)


def copy_attributes(source: Path, target: Path, status: os.stat_result, *, follow: bool = False) -> None:
    """Owner, mode, extended attributes and times, in the order in which none takes away another."""
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return
    target.chmod(stat.S_IMODE(status.st_mode))
    if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
        for name in os.listxattr(source, follow_symlinks=follow):
            if not name.startswith(("trusted.overlay.", "security.selinux")):
                os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=follow))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


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
