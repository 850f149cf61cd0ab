"""Local files to tar streams and back, a piece at a time; what comes from a container is never written through a link that it brought."""

# Paths are text here: a copy of many files would make as many Path objects.
# ruff: noqa: PTH101, PTH102, PTH103, PTH108, PTH112, PTH114, PTH115, PTH123, PTH208, PTH211

import os
import stat
import tarfile

from sanbashi.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PIECE = 1 << 18
END = bytes(2 * tarfile.BLOCKSIZE)


def pack(path: str, called: str) -> "Iterator[bytes]":
    """The tar of a path, which is `called` so in it ("." for a directory's contents), links as they are."""
    seen: dict[tuple[int, int], str] = {}
    waiting = [(path.removesuffix("/.") or "/", called)]
    while waiting:
        here, name = waiting.pop()
        status = os.lstat(here)
        info = tarfile.TarInfo(name)
        info.mode, info.uid, info.gid, info.mtime = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, int(status.st_mtime)
        key = (status.st_dev, status.st_ino)
        if stat.S_ISDIR(status.st_mode):
            info.type = tarfile.DIRTYPE
            yield header(info)
            waiting += [(f"{here.rstrip('/')}/{each}", f"{name}/{each}") for each in sorted(os.listdir(here), reverse=True)]
        elif key in seen:
            info.type, info.linkname = tarfile.LNKTYPE, seen[key]
            yield header(info)
        elif stat.S_ISLNK(status.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(here)
            yield header(info)
        elif stat.S_ISREG(status.st_mode):
            if status.st_nlink > 1:
                seen[key] = name
            yield from content(here, info)
        elif not stat.S_ISSOCK(status.st_mode):
            info.type = tarfile.FIFOTYPE if stat.S_ISFIFO(status.st_mode) else tarfile.CHRTYPE if stat.S_ISCHR(status.st_mode) else tarfile.BLKTYPE
            info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
            yield header(info)
    yield END


def header(info: tarfile.TarInfo) -> bytes:
    """The header blocks of an entry."""
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def content(path: str, info: tarfile.TarInfo) -> "Iterator[bytes]":
    """A regular file; zeros where it is cut meanwhile."""
    with open(path, "rb") as file:
        info.size = os.fstat(file.fileno()).st_size
        yield header(info)
        left = info.size
        while left:
            data = file.read(min(PIECE, left)) or bytes(min(PIECE, left))
            left -= len(data)
            yield data
    yield bytes(-info.size % tarfile.BLOCKSIZE)


class Parts:
    """Parts as a file that tarfile reads; `size` counts them."""

    def __init__(self, parts: "Iterable[bytes]") -> None:
        self.parts = iter(parts)
        self.rest = b""
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes."""
        while not self.rest:
            part = next(self.parts, None)
            if part is None:
                return b""
            self.rest = part
            self.size += len(part)
        data, self.rest = self.rest[:size], self.rest[size:]
        return data


def unpack(source: Parts, directory: str, called: str, *, contents: bool) -> None:
    """Extract into a directory: the archive's first name becomes `called` (with `contents` it has none of its own); owners are ours."""
    directories: list[tuple[str, tarfile.TarInfo]] = []
    with tarfile.open(fileobj=source, mode="r|", bufsize=PIECE) as tar:  # type: ignore[call-overload]
        for entry in tar:
            path = renamed(entry.name, called, contents=contents)
            target = checked(directory, path)
            if entry.isdir():
                if os.path.islink(target) or (os.path.lexists(target) and not os.path.isdir(target)):
                    raise Failure(f'cannot overwrite non-directory "{target}" with directory "{directory}"')
                os.makedirs(target, exist_ok=True)
                directories.append((target, entry))
                continue
            if os.path.isdir(target) and not os.path.islink(target):
                raise Failure(f'cannot overwrite directory "{target}" with non-directory "{directory}"')
            if os.path.lexists(target):
                os.unlink(target)
            make(tar, entry, target, directory, called, contents=contents)
            tar.members.clear()
    for target, entry in reversed(directories):
        os.chmod(target, entry.mode & 0o7777)
        os.utime(target, (entry.mtime, entry.mtime))


def make(tar: tarfile.TarFile, entry: tarfile.TarInfo, target: str, directory: str, called: str, *, contents: bool) -> None:
    """One entry that is no directory; devices only where we may make them."""
    if entry.isreg():
        data = tar.extractfile(entry)
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            while data is not None and (part := data.read(PIECE)):
                file.write(part)
    elif entry.issym():
        os.symlink(entry.linkname, target)
        return
    elif entry.islnk():
        os.link(checked(directory, renamed(entry.linkname, called, contents=contents)), target, follow_symlinks=False)
        return
    elif entry.isfifo():
        os.mkfifo(target)
    else:
        os.mknod(target, (stat.S_IFCHR if entry.ischr() else stat.S_IFBLK) | 0o600, os.makedev(entry.devmajor, entry.devminor))
    os.chmod(target, entry.mode & 0o7777)
    os.utime(target, (entry.mtime, entry.mtime))


def renamed(name: str, called: str, *, contents: bool) -> str:
    """The entry's path at the destination."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not contents:
        parts = parts[1:]
    return "/".join([called, *parts])


def checked(directory: str, path: str) -> str:
    """The whole path; Failure where it would leave the directory, or go through a link below it."""
    at = directory
    parts = [part for part in path.split("/") if part not in ("", ".")]
    for part in parts[:-1]:
        if part == "..":
            raise Failure(f"invalid tar entry: {path} leads out of {directory}")
        at = f"{at.rstrip('/')}/{part}"
        if os.path.islink(at):
            raise Failure(f"invalid tar entry: {path} goes through the link {at}")
        if not os.path.lexists(at):
            os.mkdir(at)
    if parts and parts[-1] == "..":
        raise Failure(f"invalid tar entry: {path} leads out of {directory}")
    return f"{at.rstrip('/')}/{parts[-1]}" if parts else directory
