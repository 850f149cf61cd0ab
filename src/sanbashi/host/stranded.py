"""Roots of containers that a daemon's death has left in the mount namespaces of monitors.

While a runtime creates a container its root is in place where the runtimes start (`separated.in_place`). That namespace lives on with the monitors
that were started in it before, and so does a root that nobody takes away.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from .mounts import CLONE_FS, CLONE_NEWNS, MNT_DETACH, UMOUNT_NOFOLLOW, libc, mount_lines, refused, tags_of, unescape, unmount
from .namespaces import on_thread
from .separated import within


def clear(monitors: Iterable[int], roots: Path) -> list[str]:
    """Unmount what is mounted below `roots` where these processes are, if that folder's own mount is left out there: which; blocking. StepFailed."""
    roots = roots.resolve()
    seen = {os.stat("/proc/self/ns/mnt").st_ino}  # noqa: PTH116 - a link of the kernel's, as in peeking
    cleared: list[str] = []
    for pid in monitors:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a monitor may end meanwhile
            namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            try:
                inode = os.fstat(namespace).st_ino
                if inode not in seen:
                    seen.add(inode)
                    cleared += unmount_all(namespace, stranded(mount_lines(pid), roots))
            finally:
                os.close(namespace)
    return cleared


def stranded(lines: list[list[str]], roots: Path) -> list[str]:
    """The mount points below `roots`, the latest first; none where the folder is a mount itself, for then they are those of running containers."""
    points = [(unescape(fields[4]), fields[1]) for fields in lines]
    if any(point == str(roots) for point, _ in points):
        return []
    # Below a shared mount an unmount would reach others.
    shared = {fields[0] for fields in lines if any(tag.startswith("shared:") for tag in tags_of(fields))}
    return [point for point, parent in reversed(points) if within(point, roots) and parent not in shared]


def unmount_all(namespace: int, points: list[str]) -> list[str]:
    """Unmount these in a mount namespace; those that were there."""

    def work() -> list[str]:
        if libc.unshare(CLONE_FS) != 0 or libc.setns(namespace, CLONE_NEWNS) != 0:
            refused("enter a monitor's mount namespace")
        return [point for point in points if unmount(Path(point), MNT_DETACH | UMOUNT_NOFOLLOW)]

    return on_thread(work) if points else []
