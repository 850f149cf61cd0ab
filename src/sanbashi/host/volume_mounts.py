"""Mounts of the local volume driver: what a volume's options name, on the volume's directory; and removing a volume without what is mounted there."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from pathlib import Path

from ..errors import Conflict, Failed, StepFailed
from ..volumes.options import LocalMount
from .deleting import delete
from .mounts import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
    libc,
    mount,
    mounted_under,
    refused,
    unmount,
)
from .trees import walk

# linux/mount.h
BITS = {
    "ro": MS_RDONLY,
    "nosuid": MS_NOSUID,
    "nodev": MS_NODEV,
    "noexec": MS_NOEXEC,
    "sync": 16,
    "dirsync": 128,
    "noatime": 1024,
    "nodiratime": 2048,
    "bind": MS_BIND,
    "rbind": MS_BIND | MS_REC,
    "relatime": 1 << 21,
    "strictatime": 1 << 24,
}
ATTRIBUTES = {"ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 0x10, "strictatime": 0x20, "nodiratime": 0x80, "relatime": 0}
ATIME = 0x70  # MOUNT_ATTR__ATIME: to be cleared where one of them is set
# The same numbers on every architecture.
SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_MOUNT_SETATTR = ctypes.c_long(428), ctypes.c_long(429), ctypes.c_long(442)
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH = 1, 4
PROPAGATION = {"private": MS_PRIVATE, "slave": MS_SLAVE, "shared": MS_SHARED, "unbindable": MS_UNBINDABLE}


def mount_volume(wish: LocalMount, place: Path) -> None:
    """Mount unless it is mounted; Failed in Docker's words."""
    if place.resolve() in mounted_under(place.resolve()):
        return
    place.mkdir(parents=True, exist_ok=True)
    flags = 0
    for word in wish.flags:
        flags |= BITS[word]
    data = wish.data
    try:
        if wish.server:  # mount(8) has helpers that do this; mount(2) wants the address
            data = data.replace(f"addr={wish.server}", f"addr={address_of(wish.server)}")
        if flags & MS_BIND:
            bind(wish.device, place, wish.flags)
        else:
            mount(wish.device, place, wish.kind if wish.kind != "none" else "", flags, data)
        if wish.propagation:
            recursive = MS_REC if wish.propagation[0] == "r" else 0
            mount("none", place, flags=PROPAGATION[wish.propagation.removeprefix("r")] | recursive)
    except StepFailed as error:
        unmount(place)
        said = f"mount {wish.device}:{place}{f', data: {data}' if data else ''}: {error.stderr.lower()}"
        raise Failed(f"error while mounting volume '{place}': failed to mount local volume: {said}") from error


def bind(source: str, place: Path, words: tuple[str, ...]) -> None:
    """Bind with flags of its own, whole before it is seen: the runtimes' namespace gets a copy at once, and would miss a change after it."""
    recursive = AT_RECURSIVE if "rbind" in words else 0
    tree = libc.syscall(SYS_OPEN_TREE, AT_FDCWD, os.fsencode(source), OPEN_TREE_CLONE | os.O_CLOEXEC | recursive)
    if tree < 0:
        refused(f"bind {source} on {place}")
    try:
        wanted = [word for word in words if word in ATTRIBUTES]
        if wanted:
            atime = ATIME if any("atime" in word for word in wanted) else 0
            attributes = struct.pack("QQQQ", sum(ATTRIBUTES[word] for word in wanted), atime, 0, 0)
            if libc.syscall(SYS_MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH | recursive, attributes, ctypes.c_size_t(len(attributes))) != 0:
                refused(f"bind {source} on {place} with {','.join(wanted)}")
        if libc.syscall(SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(place), MOVE_MOUNT_F_EMPTY_PATH) != 0:
            refused(f"bind {source} on {place}")
    finally:
        os.close(tree)


def address_of(server: str) -> str:
    """The address of a server; Failed where the name is not known."""
    try:
        return str(socket.getaddrinfo(server, None)[0][4][0])
    except OSError as error:
        raise Failed(f"failed to mount local volume: error resolving passed in network volume address: {server}: {error.strerror}") from error


def unmount_volume(place: Path) -> None:
    """Unmount what the options had mounted; not mounted is well."""
    unmount(place)


def remove_volume(folder: Path) -> None:
    """Remove a volume's folder, never what is mounted in it; gone already is success, Conflict where the mount is in use."""
    try:
        unmount(folder / "_data")
    except StepFailed as error:
        if error.errno == errno.EBUSY:
            raise Conflict(f"remove {folder.name}: volume is in use: something is still working in {folder / '_data'}") from error
        raise
    if folder.exists():
        if still := mounted_under(folder.resolve()):
            raise Conflict(f"remove {folder.name}: volume is in use: {still[-1]} is mounted")
        delete(folder, f"remove {folder.name}: error while removing volume path '{folder}'")


def size_of(path: Path) -> int:
    """Bytes that the files below a folder occupy as their lengths say, links not followed, hard links once."""
    total = 0
    seen: set[tuple[int, int]] = set()
    for entry in walk(path):
        if entry.is_dir(follow_symlinks=False):
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if (key := (status.st_dev, status.st_ino)) not in seen:
            seen.add(key)
            total += status.st_size
    return total
