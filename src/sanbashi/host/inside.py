"""A container's file system as the container sees it, its volumes in it, held by descriptors; the container may run or not.

Nothing here follows a link out of it: every path goes through openat2(2) with RESOLVE_IN_ROOT. It is put together in a mount namespace of its
own, which ends with the last descriptor; the host never sees those mounts. What the container itself mounted, and its tmpfs, are not in it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..errors import Failed
from ..records import dataclass
from .mounts import CLONE_NEWNS, MS_BIND, MS_RDONLY, MS_REC, MS_REMOUNT, MS_SLAVE, libc, mount, refused
from .namespaces import on_thread
from .rootfs import SYS_OPENAT2

O_PATH_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
RESOLVE_NO_MAGICLINKS, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_IN_ROOT = 0x02, 0x08, 0x04, 0x10  # linux/openat2.h


class OpenHow(ctypes.Structure):
    """struct open_how, linux/openat2.h."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(directory: int, path: str, flags: int, mode: int = 0, *, resolve: int = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS) -> int:
    """A descriptor of `path` below `directory`; OSError as open(2) has it."""
    how = OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    # EAGAIN: somebody renamed a part of the way meanwhile, and the kernel cannot tell whether it still is below.
    for _ in range(64):
        found = libc.syscall(ctypes.c_long(SYS_OPENAT2), directory, os.fsencode(path), ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)))
        if found >= 0:
            return int(found)
        code = ctypes.get_errno()
        if code != errno.EAGAIN:
            break
    raise OSError(code, os.strerror(code), path)


def open_part(whole: Path, subpath: str) -> int:
    """A descriptor of what `subpath` names below `whole`; Failed in Docker's words where it is not there or leads out."""
    root = os.open(whole, O_PATH_DIRECTORY)
    try:
        return openat2(root, subpath, os.O_PATH, resolve=RESOLVE_BENEATH)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise Failed(f"path concatenation escapes the base directory, base: {whole}, subpath: {subpath}") from error
        raise Failed(f"cannot access path {whole / subpath}: {(error.strerror or '').lower()}") from error
    finally:
        os.close(root)


@dataclass(frozen=True, slots=True)
class Bind:
    """A mount of a container; `source` is the host's, and `subpath` the part of it that is mounted, "" for all of it."""

    source: str
    destination: str
    writable: bool = True
    subpath: str = ""


@dataclass(frozen=True, slots=True)
class Inside:
    """The root of a container. Paths are absolute as the container writes them."""

    root: int

    @contextlib.contextmanager
    def opened(self, path: str, flags: int, mode: int = 0) -> Iterator[int]:
        """A descriptor for as long as the block lasts."""
        descriptor = self.open(path, flags, mode)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def open(self, path: str, flags: int, mode: int = 0) -> int:
        """A descriptor; OSError as open(2) has it."""
        return openat2(self.root, path.lstrip("/") or ".", flags, mode)

    def parent(self, path: str) -> tuple[str, str]:
        """(the real path of what holds it, its last name) of a path whose last part may not be there; links before it are followed."""
        head, tail = posixpath.split(posixpath.normpath("/" + path.lstrip("/")))
        with self.opened(head, O_PATH_DIRECTORY) as directory:
            return self.real(directory), tail

    def real(self, descriptor: int) -> str:
        """The path, as the container writes it, of what was opened."""
        here, root = (str(Path(f"/proc/self/fd/{each}").readlink()) for each in (descriptor, self.root))
        return "/" + here.removeprefix(root).lstrip("/")

    def make_directory(self, path: str, mode: int = 0o755) -> None:
        """The directory and those above it, where they are missing; links are followed as inside."""
        at = ""
        for part in [p for p in path.split("/") if p]:
            at = f"{at}/{part}"
            try:
                os.close(self.open(at, O_PATH_DIRECTORY))
            except FileNotFoundError:
                head, tail = posixpath.split(at)
                with self.opened(head, O_PATH_DIRECTORY) as directory, contextlib.suppress(FileExistsError):
                    os.mkdir(tail, mode, dir_fd=directory)


@contextlib.contextmanager
def inside_container(mount_root: Callable[[], Path], binds: Sequence[Bind]) -> Iterator[Inside]:
    """The file system of a container, put together by `mount_root` and `binds`; blocking, and any thread may use what it gives."""
    held: list[int] = []

    def work() -> Inside:
        if libc.unshare(CLONE_NEWNS) != 0:
            refused("make a mount namespace")
        # What the host unmounts meanwhile goes here too: this namespace pins nothing.
        mount("none", Path("/"), flags=MS_SLAVE | MS_REC)
        inside = Inside(os.open(mount_root(), O_PATH_DIRECTORY))
        held.append(inside.root)
        held.append(os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
        for bind in binds:
            put(inside, bind)
        return inside

    try:
        try:
            inside = on_thread(work)
        except OSError as error:
            raise Failed(f"cannot put the container's file system together: {error}") from error
        yield inside
    finally:
        for descriptor in held:
            os.close(descriptor)


def put(inside: Inside, bind: Bind) -> None:
    """Bind one mount; what it is mounted on is made where it is missing, as the runtime does at a start."""
    if bind.subpath:
        part = open_part(Path(bind.source), bind.subpath)
        try:
            put(inside, Bind(f"/proc/self/fd/{part}", bind.destination, bind.writable))
        finally:
            os.close(part)
        return
    source = Path(bind.source)
    if not source.exists():
        return
    if source.is_dir():
        inside.make_directory(bind.destination)
    else:
        head, tail = posixpath.split(bind.destination)
        inside.make_directory(head)
        with inside.opened(head, O_PATH_DIRECTORY) as directory, contextlib.suppress(FileExistsError):
            os.close(os.open(tail, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=directory))
    with inside.opened(bind.destination, os.O_PATH | os.O_CLOEXEC) as target:
        place = Path(f"/proc/thread-self/fd/{target}")
        mount(bind.source, place, flags=MS_BIND | MS_REC)
    if not bind.writable:
        with inside.opened(bind.destination, os.O_PATH | os.O_CLOEXEC) as target:
            mount("none", Path(f"/proc/thread-self/fd/{target}"), flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
