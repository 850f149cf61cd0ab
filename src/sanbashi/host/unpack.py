"""Layers' tars to directories: decompressed, hashed and unpacked in one pass, in overlayfs's own form, and never outside of the directory."""

# An image has ten thousand entries, and plain strings cost a fraction of Path objects.
# ruff: noqa: PTH101, PTH102, PTH108, PTH115, PTH211

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import hashlib
import lzma
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import field
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import zstandard

from ..errors import Failed, Invalid
from ..images.layers import place
from ..records import dataclass

CHUNK = 1 << 18
XATTR = "SCHILY.xattr."
OPAQUE = "trusted.overlay.opaque"
DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zstandard.ZstdError)


class Source(Protocol):
    """What can be read."""

    def read(self, size: int = -1, /) -> bytes: ...


# Compressions by the first bytes of a stream, and who reads them. All give no more than is asked for: a small layer may unpack to terabytes.
MAGIC: tuple[tuple[bytes, str, Callable[[Any], Source]], ...] = (
    (b"\x1f\x8b", "gzip", lambda source: gzip.GzipFile(fileobj=source)),
    (b"\x28\xb5\x2f\xfd", "zstd", lambda source: zstandard.ZstdDecompressor().stream_reader(source, read_size=CHUNK, read_across_frames=True)),
    (b"BZh", "bzip2", bz2.BZ2File),
    (b"\xfd7zXZ\x00", "xz", lzma.LZMAFile),
)


class Counted:
    """A source whose first bytes were looked at already; `consumed` hears how many bytes were taken."""

    def __init__(self, source: Source, consumed: Callable[[int], None]) -> None:
        self.source = source
        self.consumed = consumed
        self.head = b""
        while len(self.head) < 8 and (more := source.read(8 - len(self.head))):
            self.head += more

    def read(self, size: int = -1, /) -> bytes:
        if self.head:
            end = size if size >= 0 else len(self.head)
            data, self.head = self.head[:end], self.head[end:]
        else:
            data = self.source.read(size)
        self.consumed(len(data))
        return data


class Plain:
    """A compressed or plain stream, read as plain bytes. `digest` hashes and `size` counts what came out."""

    def __init__(self, source: Source, *, consumed: Callable[[int], None] = lambda size: None) -> None:
        counted = Counted(source, consumed)
        self.compression, opener = next(((name, opener) for magic, name, opener in MAGIC if counted.head.startswith(magic)), ("", None))
        self.source: Source = opener(counted) if opener else counted
        self.digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int = CHUNK, /) -> bytes:
        """Up to `size` bytes, b"" only at the end; Failed where the compressed stream is damaged."""
        try:
            data = self.source.read(size)
        except DAMAGED as error:
            raise Failed(f"failed to register layer: {self.compression}: {str(error) or 'unexpected EOF'}") from error
        self.digest.update(data)
        self.size += len(data)
        return data


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came of a layer: the digest of its plain tar, the tar's length, and the bytes of its files and links (as Docker counts)."""

    diff_id: str
    tar_size: int
    size: int


def unpack(source: Source, target: Path, *, consumed: Callable[[int], None] = lambda size: None) -> Unpacked:
    """Unpack a layer into an empty directory; Failed where the tar is damaged or hostile.

    `consumed` hears how many compressed bytes were taken and may raise to stop.
    """
    plain = Plain(source, consumed=consumed)
    tree = Tree(str(target))
    try:
        with tarfile.open(fileobj=plain, mode="r|", bufsize=CHUNK) as tar:  # type: ignore[call-overload]
            for entry in tar:
                tree.add(tar, entry)
                tar.members.clear()  # or the whole listing stays in memory
    except tarfile.TarError as error:
        if plain.size:
            raise Failed(f"failed to register layer: {error}") from error
    except Invalid as error:
        raise Failed(f"failed to register layer: {error.message}") from error
    except OSError as error:
        raise Failed(f"failed to register layer: {error.strerror}: {error.filename}") from error
    while plain.read(CHUNK):
        pass
    tree.finish()
    return Unpacked(f"sha256:{plain.digest.hexdigest()}", plain.size, tree.size)


@dataclass
class Tree:
    """The directory that a layer is unpacked into. `known` are directories, relative to it, that are real ones: no link can lead out of them."""

    root: str
    size: int = 0
    known: dict[tuple[str, ...], str] = field(default_factory=dict)
    directories: dict[str, tarfile.TarInfo] = field(default_factory=dict)  # by path; the last entry of a name counts

    def __post_init__(self) -> None:
        self.known[()] = self.root

    def add(self, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        """Put one entry in its place."""
        where = place(entry.name)
        match where.kind:
            case "ignored":
                return
            case "opaque":
                os.setxattr(self.directory(where.parts), OPAQUE, b"y")
                return
            case "whiteout":
                parent = self.directory(where.parts[:-1])
                path = f"{parent}/{where.parts[-1]}"
                with contextlib.suppress(FileExistsError):  # the layer brings it too: then that stands
                    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
                return
        if not where.parts:
            self.directories[self.root] = entry
            return
        path = f"{self.directory(where.parts[:-1])}/{where.parts[-1]}"
        try:
            self.make(tar, entry, path, where.parts)
        except FileExistsError:
            self.clear(path, where.parts)
            self.make(tar, entry, path, where.parts)

    def make(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, path: str, parts: tuple[str, ...]) -> None:
        """Create an entry; FileExistsError where its place is taken by something that it cannot be merged into."""
        if entry.isdir():
            if not (parts in self.known or self.is_directory(path)):
                os.mkdir(path, 0o755)
            self.known[parts] = path
            self.directories[path] = entry
            return
        if entry.isreg():
            self.write(tar, entry, path)
        elif entry.islnk():
            source = place(entry.linkname).parts
            if not source:
                raise Invalid(f"the layer has a hard link to nothing: {entry.name!r} to {entry.linkname!r}")
            os.link(f"{self.directory(source[:-1])}/{source[-1]}", path, follow_symlinks=False)
            return
        elif entry.issym():
            os.symlink(entry.linkname, path)
            self.size += len(os.fsencode(entry.linkname))
        elif entry.ischr() or entry.isblk():
            os.mknod(path, stat.S_IFCHR if entry.ischr() else stat.S_IFBLK, os.makedev(entry.devmajor, entry.devminor))
        elif entry.isfifo():
            os.mkfifo(path)
        else:
            raise Invalid(f"unhandled tar header type {entry.type!r} of {entry.name!r}")
        dress(path, entry)

    def write(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, path: str) -> None:
        """A regular file's content."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if entry.size:
                content = tar.extractfile(entry)
                while content is not None and (chunk := content.read(CHUNK)):
                    if os.write(descriptor, chunk) != len(chunk):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        finally:
            os.close(descriptor)
        self.size += entry.size

    def directory(self, parts: tuple[str, ...]) -> str:
        """The path of a directory of the layer, made where it is missing; links on the way are followed as inside of the layer."""
        if (path := self.known.get(parts)) is not None:
            return path
        real: list[str] = []
        ahead = list(reversed(parts))
        links = 0
        while ahead:
            part = ahead.pop()
            if part in ("", "."):
                continue
            if part == "..":
                del real[-1:]
                continue
            key = (*real, part)
            if key not in self.known:
                path = "/".join((self.root, *key))
                try:
                    mode = os.lstat(path).st_mode
                except FileNotFoundError:
                    os.mkdir(path, 0o755)
                    mode = stat.S_IFDIR
                if stat.S_ISLNK(mode):
                    links += 1
                    if links > 40:
                        raise Invalid(f"too many links in {'/'.join(parts)!r}")
                    target = os.readlink(path)
                    if target.startswith("/"):
                        real.clear()
                    ahead.extend(reversed(target.split("/")))
                    continue
                if not stat.S_ISDIR(mode):
                    self.clear(path, key)
                    os.mkdir(path, 0o755)
                self.known[key] = path
            real.append(part)
        return self.known.get(tuple(real), self.root)

    def is_directory(self, path: str) -> bool:
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return False
        return stat.S_ISDIR(mode)

    def clear(self, path: str, parts: tuple[str, ...]) -> None:
        """Remove what an earlier entry of this layer put in a place."""
        if self.is_directory(path):
            shutil.rmtree(path)
            for key in [k for k in self.known if k[: len(parts)] == parts]:
                del self.known[key]
            self.directories = {p: e for p, e in self.directories.items() if p != path and not p.startswith(f"{path}/")}
        else:
            os.unlink(path)

    def finish(self) -> None:
        """Give the directories their owners, modes and times, after everything in them has been made."""
        for path, entry in self.directories.items():
            dress(path, entry)


def dress(path: str, entry: tarfile.TarInfo) -> None:
    """Owner, mode, extended attributes and time of an entry, in the order that the kernel wants: chown drops set-id bits and capabilities."""
    if entry.uid or entry.gid:
        os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
    if not entry.issym():
        os.chmod(path, entry.mode & 0o7777)
    for name, value in entry.pax_headers.items():
        # An image must not speak overlayfs's own language: trusted.overlay.* would let it show what lies outside.
        if name.startswith(XATTR) and not name.startswith(f"{XATTR}trusted.overlay."):
            try:
                os.setxattr(path, name.removeprefix(XATTR), value.encode("utf-8", "surrogateescape"), follow_symlinks=False)
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EPERM):
                    raise
    # The header's text, where there is one: a float cannot hold nanoseconds.
    nanoseconds = int(Decimal(entry.pax_headers.get("mtime", entry.mtime)) * 10**9)
    os.utime(path, ns=(nanoseconds, nanoseconds), follow_symlinks=False)
