"""Overlay mounts of layers: of a container's root, and read-only of an image that is mounted in one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..containers.model import MountPoint
from ..errors import Failed
from .layers import Layers
from .mounts import CLONE_FS, MNT_DETACH, UMOUNT_NOFOLLOW, is_mounted, libc, mount, unmount
from .namespaces import check, on_thread

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


def within(directory: Path, kind: str, target: Path, options: str) -> None:
    """Mount with relative paths in the options: a thread of its own has the directory as its own working directory."""

    def work() -> None:
        check(libc.unshare(CLONE_FS), "unshare the file system context")
        os.chdir(directory)
        mount(kind, target, kind, 0, options)

    try:
        on_thread(work)
    except OSError as error:
        raise Failed(f"cannot mount {target}: {error}") from error
