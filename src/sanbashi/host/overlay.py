"""Overlay mounts of layers: of a container's root, and read-only of an image that is mounted in one."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..containers.model import MountPoint
from ..errors import Failed, SanbashiError
from .layers import Layers
from .mounts import MNT_DETACH, UMOUNT_NOFOLLOW, libc, mount, unmount

CLONE_FS = 0x200  # linux/sched.h
PAGE = 4096
# What the kernel or the administrator may have as other defaults, and what `changes` could not read: renames by reference, copied metadata alone.
OPTIONS = "index=off,redirect_dir=off,metacopy=off"


def mount_overlay(root: Path, target: Path, lower: Sequence[str], above: str = "") -> None:
    """Mount the directories `lower` (relative to `root`, topmost first) on `target`; `above` are the options of what is written to."""
    options = ",".join(filter(None, (f"lowerdir={':'.join(lower)}", above, OPTIONS)))
    if len(options) >= PAGE:
        raise Failed(f"the image has too many layers for one overlay mount: {len(lower)}")
    within(root, "overlay", target, options)


def mount_images(layers: Layers, points: Iterable[MountPoint]) -> None:
    """Mount, each at its source, the images among a container's mounts that are not mounted yet; without an upper directory nobody can write."""
    for point in points:
        if point.type != "image" or is_mounted(place := Path(point.source)):
            continue
        place.mkdir(parents=True, exist_ok=True)
        for diff_id in point.layers:
            layers.check(diff_id)
        lower = [layers.link(diff_id) for diff_id in reversed(point.layers)]
        if len(lower) == 1:  # the kernel wants two: the empty directory that is mounted on is the other
            lower.append(os.path.relpath(place, layers.root))
        if lower:
            mount_overlay(layers.root, place, lower)


def unmount_images(folder: Path) -> None:
    """Undo mount_images for the places in `folder`; none is success."""
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            unmount(Path(entry.path), MNT_DETACH | UMOUNT_NOFOLLOW)


def is_mounted(place: Path) -> bool:
    """Whether an overlay stands on a directory: it has a device number of its own."""
    try:
        return place.stat().st_dev != place.parent.stat().st_dev
    except FileNotFoundError:
        return False


def within(directory: Path, kind: str, target: Path, options: str) -> None:
    """Mount with relative paths in the options: a thread of its own has the directory as its own working directory."""
    failure: list[SanbashiError | OSError] = []

    def work() -> None:
        try:
            if libc.unshare(CLONE_FS) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
            os.chdir(directory)
            mount(kind, target, kind, 0, options)
        except (SanbashiError, OSError) as error:
            failure.append(error)

    thread = threading.Thread(target=work, name="mount")
    thread.start()
    thread.join()
    if failure and isinstance(failure[0], OSError):
        raise Failed(f"cannot mount {target}: {failure[0]}") from failure[0]
    if failure:
        raise failure[0]
