"""A part of a volume or an image as a mount of its own: found without following a link out of it, and held by a bind mount from then on."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .inside import open_part
from .mounts import MNT_DETACH, MS_BIND, MS_REC, UMOUNT_NOFOLLOW, mount, unmount


def mount_part(whole: Path, subpath: str, place: Path) -> None:
    """Bind what `subpath` names below `whole` on `place`, which is made."""
    found = open_part(whole, subpath)
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
