"""Directories to tar streams: a piece at a time, links never followed, from a descriptor on down; as Docker writes its archives."""

# Everything here goes by descriptors.
# ruff: noqa: PTH208

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tarfile
from collections.abc import Iterator
from typing import Any

from .inside import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from .unpack import CHUNK, OPAQUE, XATTR

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
WHITEOUT, OPAQUE_MARK = ".wh.", ".wh..wh..opq"


def pack(directory: int, name: str, top: str, *, layer: bool = False, own: bool = True) -> Iterator[bytes]:
    """The tar of `name` in `directory` (a descriptor; "." is itself) with all below, called `top` in it ("" for no name before the others').

    `layer`: overlayfs's marks of what was removed become OCI's whiteouts. Not `own`: only what is below has entries. Bytes come in pieces,
    and what vanishes meanwhile is left out.
    """
    seen: dict[tuple[int, int], str] = {}
    waiting: list[tuple[str, str]] = [(name, top)]
    first = True
    while waiting:
        path, called = waiting.pop()
        try:
            status = status_of(directory, path)
        except FileNotFoundError:
            continue
        if own or not first:
            yield from entry(directory, path, called, status, seen, layer=layer)
        first = False
        if stat.S_ISDIR(status.st_mode):
            names, is_opaque = listing(directory, path)
            if layer and is_opaque:
                yield header(tarfile.TarInfo(titled(called, OPAQUE_MARK)))
            waiting += [(joined(path, each), titled(called, each)) for each in reversed(names)]
    yield END


def gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of at least CHUNK but the last: each costs a worker thread's turn."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= CHUNK:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def joined(path: str, name: str) -> str:
    """A name below a path of the file system."""
    return name if path == "." else f"{path}/{name}"


def titled(called: str, name: str) -> str:
    """What it is called in the tar: below "." and "/" with them before it, since docker's client renames by what stands there."""
    return f"{called.rstrip('/')}/{name}" if called else name


def beneath(directory: int, path: str, flags: int) -> int:
    """A descriptor of what lies below; links on the way are an error, the last part may be one with O_PATH."""
    return openat2(directory, path, flags | os.O_NOFOLLOW, resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)


def status_of(directory: int, path: str) -> os.stat_result:
    head, _, tail = path.rpartition("/")
    if not head:
        return os.stat(tail, dir_fd=directory, follow_symlinks=False)
    parent = beneath(directory, head, os.O_PATH | os.O_DIRECTORY)
    try:
        return os.stat(tail, dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(parent)


def listing(directory: int, path: str) -> tuple[list[str], bool]:
    """(the sorted names in a directory, whether overlayfs says that it hides what is below)."""
    try:
        descriptor = beneath(directory, path, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return [], False
    try:
        return sorted(os.listdir(descriptor)), attributes(descriptor).get(OPAQUE) == b"y"
    finally:
        os.close(descriptor)


def attributes(descriptor: int) -> dict[str, bytes]:
    """The extended attributes of what was opened."""
    found: dict[str, bytes] = {}
    with contextlib.suppress(OSError):
        for name in os.listxattr(descriptor):
            with contextlib.suppress(OSError):
                found[name] = os.getxattr(descriptor, name)
    return found


def entry(directory: int, path: str, called: str, status: os.stat_result, seen: dict[tuple[int, int], str], *, layer: bool) -> Iterator[bytes]:
    """One file, directory, link or device; sockets have no place in a tar."""
    info = described(called, status)
    mode = status.st_mode
    if stat.S_ISSOCK(mode):
        return
    if layer and stat.S_ISCHR(mode) and status.st_rdev == 0:
        head, slash, tail = called.rpartition("/")
        yield header(tarfile.TarInfo(f"{head}{slash}{WHITEOUT}{tail}"))
        return
    key = (status.st_dev, status.st_ino)
    if not stat.S_ISDIR(mode) and status.st_nlink > 1:
        if key in seen:
            info.type, info.linkname, info.size = tarfile.LNKTYPE, seen[key], 0
            yield header(info)
            return
        seen[key] = called
    if stat.S_ISLNK(mode):
        parent, _, tail = path.rpartition("/")
        with contextlib.suppress(FileNotFoundError), held(beneath(directory, parent or ".", os.O_PATH | os.O_DIRECTORY)) as at:
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(tail, dir_fd=at)
            yield header(info)
    elif stat.S_ISREG(mode):
        yield from file_entry(directory, path, info)
    else:
        if stat.S_ISDIR(mode):
            info.type = tarfile.DIRTYPE
            with contextlib.suppress(OSError), held(beneath(directory, path, os.O_RDONLY | os.O_DIRECTORY)) as at:
                dressed(info, attributes(at))
        elif stat.S_ISFIFO(mode):
            info.type = tarfile.FIFOTYPE
        else:
            info.type = tarfile.CHRTYPE if stat.S_ISCHR(mode) else tarfile.BLKTYPE
            info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        yield header(info)


@contextlib.contextmanager
def held(descriptor: int) -> Iterator[int]:
    """A descriptor for as long as the block lasts."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def file_entry(directory: int, path: str, info: tarfile.TarInfo) -> Iterator[bytes]:
    """A regular file: as many bytes as it had at first, zeros where it was cut meanwhile."""
    try:
        descriptor = beneath(directory, path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    try:
        status = os.fstat(descriptor)
        info.size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        dressed(info, attributes(descriptor))
        yield header(info)
        left = info.size
        while left:
            data = read_piece(descriptor, min(CHUNK, left)) or bytes(min(CHUNK, left))
            left -= len(data)
            yield data
        yield bytes(-info.size % BLOCK)
    finally:
        os.close(descriptor)


def read_piece(descriptor: int, size: int) -> bytes:
    try:
        return os.read(descriptor, size)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EIO):  # a file of /proc or /sys that lies about its size
            return b""
        raise


def described(called: str, status: os.stat_result) -> tarfile.TarInfo:
    """The entry of a path; whole seconds, as Docker's archives have."""
    info = tarfile.TarInfo(called)
    info.mode = stat.S_IMODE(status.st_mode)
    info.uid, info.gid = status.st_uid, status.st_gid
    info.mtime = int(status.st_mtime)
    return info


def dressed(info: tarfile.TarInfo, found: dict[str, bytes]) -> None:
    """Extended attributes that a tar may carry: those of users and security.capability; overlayfs's own language stays at home."""
    headers: dict[str, Any] = {
        f"{XATTR}{name}": value.decode("utf-8", "surrogateescape")
        for name, value in found.items()
        if name.startswith("user.") or name == "security.capability"
    }
    info.pax_headers = headers


def header(info: tarfile.TarInfo) -> bytes:
    """The header blocks of an entry; a directory's name ends with a slash."""
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
