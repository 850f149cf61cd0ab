"""What `cp` asks of a path in a container, and the tar of one; Docker's rules for links and trailing slashes."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Iterator

from ..errors import Failed, Invalid, NotFound
from ..records import dataclass
from .inside import O_PATH_DIRECTORY, Inside
from .packing import pack


@dataclass(frozen=True, slots=True)
class PathStat:
    """A path as lstat(2) sees it; `mode` with the kernel's bits, `mtime` in nanoseconds, `target` where a link leads inside, "" for no link."""

    name: str
    size: int
    mode: int
    mtime: int
    target: str = ""


def absolute(path: str) -> str:
    """The path from the root; a slash or dot at its end is kept, as it asks for what a link leads to."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    if path.endswith("/.") or path == ".":
        return clean.rstrip("/") + "/."
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def base(path: str) -> str:
    """Go's filepath.Base of an absolute path: "." where it ends so, "/" for the root."""
    return posixpath.basename(path.rstrip("/")) or "/"


def refusal(error: OSError, path: str, container: str) -> NotFound | Invalid | Failed:
    """A failure of the kernel in Docker's words."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFound(f"Could not find the file {path} in container {container}")
    if error.errno == errno.ENAMETOOLONG:
        return Invalid(f"{path}: file name too long")
    return Failed(f"{path}: {(error.strerror or '').lower()}")


def stat_path(inside: Inside, path: str) -> PathStat:
    """The stat of a path, its last part not followed unless a slash or dot follows it; OSError."""
    whole = absolute(path)
    follows = whole.endswith(("/", "/."))
    with inside.opened(whole, os.O_PATH | (0 if follows else os.O_NOFOLLOW)) as found:
        status = os.fstat(found)
    if follows and not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    target = target_of(inside, whole) if stat.S_ISLNK(status.st_mode) else ""
    return PathStat(base(whole), status.st_size, status.st_mode, status.st_mtime_ns, target)


def target_of(inside: Inside, path: str) -> str:
    """Where a link leads in the end, as the container writes it; as far as it goes where that is not there."""
    try:
        with inside.opened(path, os.O_PATH) as found:
            return inside.real(found)
    except OSError:
        with inside.opened(path, os.O_PATH | os.O_NOFOLLOW) as link:
            return posixpath.normpath(posixpath.join(posixpath.dirname(path), os.readlink("", dir_fd=link)))


def pack_path(inside: Inside, path: str) -> Iterator[bytes]:
    """The tar of a path, its entries below the path's last name; OSError at the first step where it is not there."""
    whole = absolute(path)
    status = stat_path(inside, path)
    called = base(whole)
    if stat.S_ISDIR(status.mode):
        with inside.opened(whole, O_PATH_DIRECTORY) as directory:
            yield from pack(directory, ".", called)
        return
    real, name = inside.parent(whole)
    with inside.opened(real, O_PATH_DIRECTORY) as directory:
        yield from pack(directory, name, called)
