"""Layers' tars to directories: decompressed, hashed and unpacked in one pass, in overlayfs's own form, and never outside of the directory."""

# An image has ten thousand entries, and plain strings cost a fraction of Path objects.
# ruff: noqa: PTH101, PTH102, PTH108, PTH115, PTH211

from __future__ import annotations

import bz2
import contextlib
import errno
import hashlib
import lzma
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import zstandard

from ..errors import Failed, Invalid
from ..images.layers import place

CHUNK = 1 << 18
XATTR = "SCHILY.xattr."
OPAQUE = "trusted.overlay.opaque"


class Source(Protocol):
    """What can be read."""

    def read(self, size: int = -1, /) -> bytes: ...


class Decompressor(Protocol):
    """What zlib, bz2, lzma and zstandard have in common."""

    unused_data: bytes

    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, /) -> bytes: ...


# Compressions by the first bytes of a stream.
MAGIC: tuple[tuple[bytes, str, Callable[[], Any]], ...] = (
    (b"\x1f\x8b", "gzip", lambda: zlib.decompressobj(wbits=31)),
    (b"\x28\xb5\x2f\xfd", "zstd", lambda: zstandard.ZstdDecompressor().decompressobj()),
    (b"BZh", "bzip2", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\x00", "xz", lzma.LZMADecompressor),
)


class Plain:
    """A compressed or plain stream, read as plain bytes. `digest` hashes and `size` counts what came out, `consumed` what went in."""

    def __init__(self, source: Source, *, consumed: Callable[[int], None] = lambda size: None) -> None:
        self.source = source
        self.consumed = consumed
        self.head = b""
        while len(self.head) < 8 and (more := source.read(8 - len(self.head))):
            self.head += more
        self.make = next((make for magic, _, make in MAGIC if self.head.startswith(magic)), None)
        self.compression = next((name for magic, name, _ in MAGIC if self.head.startswith(magic)), "")
        self.state: Decompressor | None = self.make() if self.make else None
        self.ready = bytearray()
        self.digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int = CHUNK) -> bytes:
        """Up to `size` bytes, fewer only at the end; Failed where the compressed stream is damaged."""
        while len(self.ready) < size:
            more = self.more()
            if more is None:
                break
            self.ready += more
        data = bytes(self.ready[:size])
        del self.ready[:size]
        self.digest.update(data)
        self.size += len(data)
        return data

    def more(self) -> bytes | None:
        """The next plain bytes (may be none yet); None at the end."""
        raw = self.head or self.source.read(CHUNK)
        self.head = b""
        self.consumed(len(raw))
        if self.make is None or self.state is None:
            return raw or None
        if not raw:
            if not self.state.eof:
                raise Failed("failed to register layer: unexpected EOF")
            return None
        out = []
        try:
            while raw:
                if self.state.eof:  # gzip and zstd may be several members on end
                    self.state = self.make()
                out.append(self.state.decompress(raw))
                raw = self.state.unused_data if self.state.eof else b""
        except (zlib.error, zstandard.ZstdError, OSError, lzma.LZMAError) as error:
            raise Failed(f"failed to register layer: {self.compression}: {error}") from error
        return b"".join(out)


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
