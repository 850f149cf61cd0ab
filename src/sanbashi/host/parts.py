"""A part of a volume as a mount of its own: found without following a link out of the volume, and held by a bind mount from then on."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import Failed
from .inside import O_PATH_DIRECTORY, RESOLVE_BENEATH, openat2
from .mounts import MNT_DETACH, MS_BIND, MS_REC, UMOUNT_NOFOLLOW, mount, unmount


def mount_part(volume: Path, subpath: str, place: Path) -> None:
    """Bind what `subpath` names below `volume` on `place`, which is made; Failed in Docker's words where it is not there or leads out."""
    root = os.open(volume, O_PATH_DIRECTORY)
    try:
        found = openat2(root, subpath, os.O_PATH, resolve=RESOLVE_BENEATH)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise Failed(f"cannot access path {volume / subpath}: {reason}") from error
    finally:
        os.close(root)
    try:
        place.parent.mkdir(exist_ok=True, mode=0o700)
        if stat.S_ISDIR(os.fstat(found).st_mode):
            place.mkdir(exist_ok=True)
        else:
            place.touch()
        unmount(place, MNT_DETACH | UMOUNT_NOFOLLOW)
        mount(f"/proc/self/fd/{found}", place, flags=MS_BIND | MS_REC)
    finally:
        os.close(found)


def unmount_parts(folder: Path) -> None:
    """Undo every mount_part below `folder`; none is success."""
    if not folder.is_dir():
        return
    for place in folder.iterdir():
        unmount(place, MNT_DETACH | UMOUNT_NOFOLLOW)
        place.rmdir() if place.is_dir() else place.unlink()
    folder.rmdir()
