"""Looking into a container's file system without leaving it: no link inside leads out (openat2(2), RESOLVE_IN_ROOT)."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ..containers.facts import Device
from ..containers.users import User, resolve_user
from ..errors import Invalid, StepFailed
from .mounts import libc

SYS_OPENAT2 = 437  # the same on every architecture
RESOLVE_IN_ROOT = 0x10  # linux/openat2.h
LARGEST = 1 << 20  # bytes of /etc/passwd that are read


def open_inside(root: Path, path: str, flags: int = os.O_RDONLY, mode: int = 0) -> int:
    """A descriptor of `path` as a process with `root` as its root would find it; OSError as open(2) has it."""
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        how = struct.pack("QQQ", flags | os.O_CLOEXEC, mode, RESOLVE_IN_ROOT)
        number = ctypes.c_long(SYS_OPENAT2)
        found = libc.syscall(number, directory, os.fsencode(path), ctypes.c_char_p(how), ctypes.c_size_t(len(how)))
        if found < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
        return int(found)
    finally:
        os.close(directory)


def make_inside(root: Path, path: str) -> None:
    """Make a directory, and those that it is in, where they are not there yet; OSError, NotADirectoryError where something else is in the way."""
    there = ""
    for part in filter(None, path.split("/")):
        parent = open_inside(root, there or "/", os.O_PATH | os.O_DIRECTORY)
        try:
            there = f"{there}/{part}"
            try:
                os.close(open_inside(root, there, os.O_PATH | os.O_DIRECTORY))
            except FileNotFoundError:
                os.mkdir(part, 0o755, dir_fd=parent)
        finally:
            os.close(parent)


def read_inside(root: Path, path: str) -> str:
    """A file's text; "" where there is none.

    It is looked at before it is opened: a container may put any device of the host's in its place, and some do something when they are opened.
    """
    try:
        with ExitStack() as stack:
            there = open_inside(root, path, os.O_PATH)
            stack.callback(os.close, there)
            if not stat.S_ISREG(os.fstat(there).st_mode):
                return ""
            descriptor = os.open(f"/proc/thread-self/fd/{there}", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            return os.read(descriptor, LARGEST).decode("utf-8", "replace")
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return ""
        raise StepFailed(f"read {path} of the container", errno=error.errno or 0, stderr=error.strerror or "") from error


def find_user(root: Path, user: str, add: Sequence[str] = ()) -> User:
    """Who `user` is in the container whose root is at `root` (/proc/<pid>/root of one that runs)."""
    return resolve_user(user, read_inside(root, "etc/passwd"), read_inside(root, "etc/group"), add=add)


def host_device(path_on_host: str, path_in_container: str, access: str = "rwm") -> tuple[Device, ...]:
    """The device of a --device, or those below a directory; Invalid in Docker's words where it is none."""
    where = Path(path_on_host)
    inside = path_in_container or path_on_host
    try:
        status = where.stat()
    except OSError as error:
        words = (error.strerror or "").lower()
        raise Invalid(f'error gathering device information while adding custom device "{path_on_host}": {words}') from error
    if stat.S_ISDIR(status.st_mode):
        found = tuple(d for d in devices_below(where) if d.path)
        moved = tuple(Device(inside + d.path.removeprefix(path_on_host), d.kind, d.major, d.minor, d.mode, d.uid, d.gid, access) for d in found)
        if moved:
            return moved
    device = device_of(inside, status, access)
    if device is None:
        raise Invalid(f'error gathering device information while adding custom device "{path_on_host}": not a device node')
    return (device,)


def block_numbers(path: str) -> tuple[int, int]:
    """(major, minor) of a block device; Invalid in Docker's words where it is none."""
    try:
        status = Path(path).stat()
    except OSError as error:
        raise Invalid(f"{path}: {(error.strerror or '').lower()}") from error
    if not stat.S_ISBLK(status.st_mode):
        raise Invalid(f"{path}: not a block device")
    return os.major(status.st_rdev), os.minor(status.st_rdev)


def device_of(path: str, status: os.stat_result, access: str = "rwm") -> Device | None:
    """A Device from what stat(2) says; None for what is no device."""
    if stat.S_ISCHR(status.st_mode):
        kind = "c"
    elif stat.S_ISBLK(status.st_mode):
        kind = "b"
    else:
        return None
    number = status.st_rdev
    return Device(path, kind, os.major(number), os.minor(number), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, access)


def every_device() -> tuple[Device, ...]:
    """All of the host's device nodes, for --privileged; terminals and what the runtime makes itself are left out."""
    return tuple(d for d in devices_below(Path("/dev")) if d.path not in ("/dev/console", "/dev/ptmx", "/dev/tty"))


SKIPPED = frozenset(("/dev/pts", "/dev/shm", "/dev/fd", "/dev/mqueue", "/dev/.lxc", "/dev/.lxd-mounts", "/dev/.udev", "/dev/console"))


def devices_below(directory: Path) -> list[Device]:
    """Device nodes below a directory, no links followed."""
    found: list[Device] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.path in SKIPPED or entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                found += devices_below(Path(entry.path))
                continue
            device = device_of(entry.path, entry.stat(follow_symlinks=False))
            if device is not None:
                found.append(device)
    return found
