"""A tar into a directory of a container (`cp` to it): merged with what is there, links inside followed inside, nothing outside touched."""

# Everything goes by descriptors and names.
# ruff: noqa: PTH101

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import shutil
import stat
import tarfile
from dataclasses import field

from ..errors import Failed, Invalid
from ..records import dataclass
from .inside import O_PATH_DIRECTORY, Inside
from .unpack import CHUNK, XATTR, Plain, Source


@dataclass(frozen=True, slots=True)
class Extraction:
    """`owner` (uid, gid) of everything, None for the archive's own; `keep_kinds`: a directory is not replaced by something else, nor the reverse."""

    owner: tuple[int, int] | None = None
    keep_kinds: bool = False


@dataclass
class Extractor:
    """One archive on its way into `directory`, a real path inside."""

    inside: Inside
    directory: str
    how: Extraction
    at: str = ""  # the path of the entry that is being made
    directories: list[tuple[str, tarfile.TarInfo]] = field(default_factory=list)

    def extract(self, source: Source) -> None:
        """All of the archive, compressed or plain; Invalid where it is none or would break a rule, Failed where the kernel refuses."""
        plain = Plain(source)
        try:
            with tarfile.open(fileobj=plain, mode="r|", bufsize=CHUNK) as tar:  # type: ignore[call-overload]
                for entry in tar:
                    self.add(tar, entry)
                    tar.members.clear()  # or the whole listing stays in memory
        except tarfile.TarError as error:
            if plain.size:
                raise Invalid(f"Error processing tar file: {error}") from error
        except OSError as error:
            raise Failed(f"Error processing tar file: {self.at or self.directory}: {(error.strerror or '').lower()}") from error
        while plain.read(CHUNK):
            pass
        for path, entry in reversed(self.directories):
            with contextlib.suppress(OSError), self.inside.opened(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW) as made:
                dress(made, entry, self.how.owner)

    def add(self, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        """One entry."""
        parts = parts_of(entry.name)
        if not parts:
            return
        self.at = path = posixpath.join(self.directory, *parts)
        head, name = posixpath.split(path)
        try:
            parent = self.inside.open(head, O_PATH_DIRECTORY)
        except FileNotFoundError:
            self.inside.make_directory(head)
            parent = self.inside.open(head, O_PATH_DIRECTORY)
        try:
            if self.make_room(parent, name, path, entry):
                self.make(tar, entry, parent, name)
            if entry.isdir():
                self.directories.append((path, entry))
        finally:
            os.close(parent)

    def make_room(self, parent: int, name: str, path: str, entry: tarfile.TarInfo) -> bool:
        """Take away what cannot be merged with; whether the entry is to be made."""
        try:
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return True
        is_directory = stat.S_ISDIR(mode)
        if is_directory and entry.isdir():
            return False
        if self.how.keep_kinds and is_directory and not entry.isdir():
            raise Invalid(f'cannot overwrite directory "{path}" with non-directory "{self.directory}"')
        if self.how.keep_kinds and not is_directory and entry.isdir():
            raise Invalid(f'cannot overwrite non-directory "{path}" with directory "{self.directory}"')
        if is_directory:
            shutil.rmtree(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
        return True

    def make(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        """Create what is not there."""
        if entry.isdir():
            os.mkdir(name, 0o755, dir_fd=parent)
            return
        if entry.isreg():
            write(tar, entry, parent, name)
        elif entry.islnk():
            self.link(entry, parent, name)
            return
        elif entry.issym():
            os.symlink(entry.linkname, name, dir_fd=parent)
        elif entry.ischr() or entry.isblk():
            kind = stat.S_IFCHR if entry.ischr() else stat.S_IFBLK
            os.mknod(name, kind | 0o600, os.makedev(entry.devmajor, entry.devminor), dir_fd=parent)
        elif entry.isfifo():
            os.mkfifo(name, 0o600, dir_fd=parent)
        else:
            raise Invalid(f"unhandled tar header type {entry.type!r} of {entry.name!r}")
        # By what was opened, not by its name, in whose place a container that runs may put a link to anything of the host's meanwhile.
        made = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            dress(made, entry, self.how.owner)
        finally:
            os.close(made)

    def link(self, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        """A hard link to what the archive brought before, or to what is below the same directory."""
        parts = parts_of(entry.linkname)
        if not parts:
            raise Invalid(f"invalid hardlink {entry.linkname!r} of {entry.name!r}")
        with self.inside.opened(posixpath.join(self.directory, *parts[:-1]), O_PATH_DIRECTORY) as source:
            os.link(parts[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)


def parts_of(name: str) -> list[str]:
    """The parts of an entry's name; Invalid where it would leave the directory."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise Invalid(f"invalid tar entry: {name!r} leads out of the directory")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts


def write(tar: tarfile.TarFile, entry: tarfile.TarInfo, parent: int, name: str) -> None:
    """A regular file's content."""
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
    try:
        content = tar.extractfile(entry) if entry.size else None
        while content is not None and (data := content.read(CHUNK)):
            while data:
                data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


def dress(made: int, entry: tarfile.TarInfo, owner: tuple[int, int] | None) -> None:
    """Owner, mode, extended attributes and time of what was opened, in the order that the kernel wants: chown drops set-id bits and capabilities."""
    path = f"/proc/thread-self/fd/{made}"  # leads to that itself, be it a link
    uid, gid = owner if owner is not None else (entry.uid, entry.gid)
    os.chown(path, uid, gid)
    if not entry.issym():
        os.chmod(path, entry.mode & 0o7777)
    for name, value in entry.pax_headers.items():
        attribute = name.removeprefix(XATTR)
        if attribute != name and attribute.startswith(("user.", "security.capability")):
            try:
                os.setxattr(path, attribute, value.encode("utf-8", "surrogateescape"))
            except OSError as error:
                if error.errno not in (errno.ENOTSUP, errno.EPERM):
                    raise
    moment = max(0, int(entry.mtime))
    os.utime(path, (moment, moment))


def extract(inside: Inside, path: str, source: Source, how: Extraction) -> None:
    """Extract into the directory at `path`; Invalid where it is none, OSError where it is not there."""
    try:
        directory = inside.open(path, O_PATH_DIRECTORY)
    except NotADirectoryError as error:
        raise Invalid("extraction point is not a directory") from error
    try:
        real = inside.real(directory)
    finally:
        os.close(directory)
    Extractor(inside, real, how).extract(source)
