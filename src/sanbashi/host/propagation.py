"""Whether the host lets a bind's mounts propagate as it is asked to: Docker refuses what could not be."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..containers.model import MountPoint
from ..errors import Failed
from .mounts import mount_lines, mount_over, tags_of, unescape

# By how a propagation ends: what the mount that the source lies on must be, and how such a one is told.
WANTED = {"shared": ("shared mount", ("shared:",)), "slave": ("shared or slave mount", ("shared:", "master:"))}


def propagates(point: MountPoint) -> bool:
    """Whether mounts below a bind are to reach the container, or the host from it."""
    return point.type == "bind" and point.propagation.removeprefix("r") in WANTED


def check_propagation(points: Iterable[MountPoint]) -> None:
    """Failed in Docker's words where a bind's source lies on a mount that keeps what is mounted below it to itself; blocking."""
    asked = [point for point in points if propagates(point)]
    lines = mount_lines() if asked else []
    for point in asked:
        kind, beginnings = WANTED[point.propagation.removeprefix("r")]
        over = mount_over(Path(os.path.realpath(point.source)), lines)
        place = unescape(over[4]) if over else "/"
        if over is None or not any(tag.startswith(beginnings) for tag in tags_of(over)):
            raise Failed(f"path {point.source} is mounted on {place} but it is not a {kind}", hint=f"mount --make-rshared {place}")
