"""Mounts by the system call itself: no mount process, errors as StepFailed."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import StepFailed

# linux/mount.h
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 4096, 16384, 1 << 17, 1 << 18, 1 << 19, 1 << 20
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8
OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH = 1, 4
FSOPEN_CLOEXEC, FSCONFIG_CMD_CREATE, FSMOUNT_CLOEXEC = 1, 6, 1
MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 2, 4, 8
# asm-generic/unistd.h: the same on every architecture
OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT = 428, 429, 430, 431, 432
AT_FDCWD = -100
CLONE_FS, CLONE_NEWNS = 0x200, 0x20000  # linux/sched.h

libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount `source` on `target`; StepFailed with the errno where the kernel refuses."""
    done = libc.mount(source.encode() or None, os.fsencode(target), kind.encode() or None, ctypes.c_ulong(flags), options.encode() or None)
    if done != 0:
        refused(f"mount {source or 'none'} on {target}{f' as {kind}' if kind else ''}")


def unmount(target: Path, flags: int = UMOUNT_NOFOLLOW) -> bool:
    """Unmount `target`; False where nothing is mounted there or it is gone."""
    if libc.umount2(os.fsencode(target), flags) == 0:
        return True
    if ctypes.get_errno() in (errno.EINVAL, errno.ENOENT):
        return False
    refused(f"unmount {target}")
    return False


def refused(step: str) -> None:
    """Raise what the last call left in errno."""
    number = ctypes.get_errno()
    raise StepFailed(step, errno=number, stderr=os.strerror(number))


def clone_mount(place: Path) -> int:
    """A descriptor of a copy of what is mounted on `place`, for `attach` in another mount namespace; the copy goes with it."""
    tree: int = libc.syscall(OPEN_TREE, AT_FDCWD, os.fsencode(place), OPEN_TREE_CLONE | os.O_CLOEXEC)
    if tree < 0:
        refused(f"copy the mount {place}")
    return tree


def attach(tree: int, place: Path) -> None:
    """Mount what `clone_mount` gave on `place` in the calling thread's mount namespace."""
    if libc.syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(place), MOVE_MOUNT_F_EMPTY_PATH) != 0:
        refused(f"attach {place}")


def detached_proc() -> int:
    """A descriptor of a proc file system of its own, mounted nowhere; it goes with the descriptor."""
    made: int = libc.syscall(FSOPEN, b"proc", FSOPEN_CLOEXEC)
    if made < 0:
        refused("make a proc file system")
    try:
        if libc.syscall(FSCONFIG, made, FSCONFIG_CMD_CREATE, None, None, 0) != 0:
            refused("make a proc file system")
        root: int = libc.syscall(FSMOUNT, made, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
        if root < 0:
            refused("mount a proc file system")
        return root
    finally:
        os.close(made)


def is_mounted(place: Path) -> bool:
    """Whether a file system stands on a directory: it has another device number than what is around it. No list of all mounts is read."""
    try:
        return place.stat().st_dev != place.parent.stat().st_dev
    except FileNotFoundError:
        return False


def mount_shm(path: Path, size: int) -> None:
    """A /dev/shm that several containers share, at `path`; `size` in bytes. There already is fine."""
    path.mkdir(exist_ok=True)
    if not is_mounted(path):
        mount("shm", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, f"mode=1777,size={size}")


def mount_lines(process: int | str = "thread-self") -> list[list[str]]:
    """The fields of every mount of a process's namespace, ours as a rule (proc_pid_mountinfo(5)), in the order of mounting."""
    return [line.split(" ") for line in Path(f"/proc/{process}/mountinfo").read_text().splitlines()]


def unescape(field: str) -> str:
    """A path as mountinfo writes it (octal escapes), in plain characters."""
    return field.encode("latin-1", "surrogateescape").decode("unicode_escape") if "\\" in field else field


def mounted_under(path: Path) -> list[Path]:
    """Mount points at or below `path`, the innermost last."""
    here, below = str(path), f"{path}/".replace("//", "/")
    points = (unescape(fields[4]) for fields in mount_lines())
    return [Path(point) for point in points if point == here or point.startswith(below)]


def is_shared(path: Path) -> bool:
    """Whether mounts made below `path` are seen by the namespaces that were made from this one."""
    best = mount_over(path, mount_lines())
    return best is not None and any(tag.startswith("shared:") for tag in tags_of(best))


def mount_over(path: Path, lines: Iterable[list[str]]) -> list[str] | None:
    """The mount that a real path lies on, of these; None where none of them is above it."""
    best: list[str] | None = None
    above = {str(path), *map(str, path.parents)}
    for fields in lines:
        if unescape(fields[4]) in above and (best is None or len(fields[4]) >= len(best[4])):
            best = fields
    return best


def tags_of(fields: list[str]) -> tuple[str, ...]:
    """What a mount propagates with: "shared:N" its peers, "master:N" those that it hears of."""
    return tuple(tag for tag in fields[6 : fields.index("-")] if tag.startswith(("shared:", "master:")))


def separate(path: Path) -> None:
    """Have `path` a shared mount of its own, so that a namespace can be without it and all that is mounted below.

    Left as it is where something is mounted below already: that would stay underneath.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o710)
    path = path.resolve()
    if not mounted_under(path):
        mount(str(path), path, flags=MS_BIND)
        mount("none", path, flags=MS_PRIVATE)  # no peer of what it is bound from, which would have all that is mounted here too
        mount("none", path, flags=MS_SHARED)


def share(path: Path) -> None:
    """Make `path` a place whose later mounts reach the namespaces made from ours: bound on itself and shared, unless it is so already."""
    path.mkdir(parents=True, exist_ok=True)
    path = path.resolve()
    if is_shared(path):
        return
    mount(str(path), path, flags=MS_BIND | MS_REC)
    mount("none", path, flags=MS_SHARED | MS_REC)


def unshare_path(path: Path) -> None:
    """Undo `share`: what is still mounted below goes with it. A disk that somebody mounted there is not ours to take away."""
    path = path.resolve()
    if bound_on_itself(path, mount_lines()):
        unmount(path, MNT_DETACH | UMOUNT_NOFOLLOW)


def bound_on_itself(path: Path, lines: list[list[str]]) -> bool:
    """Whether the topmost mount on `path` shows what the path showed before: the same place of the same device."""
    over = [fields for fields in lines if (point := Path(unescape(fields[4]))) == path or point in path.parents]
    if not over or Path(unescape(over[-1][4])) != path:
        return False
    *below, top = over
    # What lay below it: the mount on the same path, else the nearest above.
    under = max(below, key=lambda fields: len(Path(unescape(fields[4])).parts), default=None)
    if under is None:
        return False
    inside = path.relative_to(unescape(under[4]))
    return (top[2], Path(unescape(top[3]))) == (under[2], Path(unescape(under[3])) / inside)
