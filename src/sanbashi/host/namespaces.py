"""Network namespaces: made by a thread and pinned to a file, entered by a thread and left again, unpinned."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# linux/sched.h, linux/mount.h
CLONE_NEWNET = 0x40000000
MS_BIND, MS_SHARED, MNT_DETACH = 4096, 1 << 20, 2
LIBC = ctypes.CDLL(None, use_errno=True)
SHORT = 12  # digits of a sandbox's id in the name of its file
HERE = "/proc/thread-self/ns/net"


def check(result: int, what: str) -> None:
    """OSError with the C library's errno where a call failed."""
    if result:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def device(path: str) -> int:
    """Of what a path leads to; OSError."""
    return os.stat(path).st_dev  # noqa: PTH116 - as in peeking: with hundreds of containers


@contextmanager
def inside(path: Path) -> Iterator[None]:
    """The calling thread in another network namespace. Start no thread in there: it would stay."""
    home = os.open(HERE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            check(LIBC.setns(there, CLONE_NEWNET), f"enter {path}")
        finally:
            os.close(there)
        try:
            yield
        finally:
            check(LIBC.setns(home, CLONE_NEWNET), "return to the host's namespace")
    finally:
        os.close(home)


def enter_new() -> None:
    """The calling thread into a network namespace of its own; only for a thread that ends after it."""
    check(LIBC.unshare(CLONE_NEWNET), "new network namespace")


def on_thread(work: Callable[[], T]) -> T:
    """The result of `work` on a thread of its own, which takes the namespaces it made with it."""
    result: list[T] = []
    problem: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:  # handed to the caller
            problem.append(error)

    thread = threading.Thread(target=run, name="namespace")
    thread.start()
    thread.join()
    if problem:
        raise problem[0]
    return result[0]


class Namespaces:
    """The pinned network namespaces under EXEC_ROOT/netns.

    A namespace's file bears the first 12 digits of its sandbox's id; a symbolic link of the full id stands beside it, so that the full
    id can be read back.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sandbox: str) -> Path:
        """The file that a sandbox's namespace is pinned to."""
        return self.folder / sandbox[:SHORT]

    def prepare(self) -> None:
        """Make the folder a shared mount, as `ip netns` does, so that namespaces pinned later are seen in mount namespaces made from here."""
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        target = str(self.folder.resolve())
        mounted = any(line.split()[4] == target for line in Path("/proc/thread-self/mountinfo").read_text().splitlines())
        if not mounted:
            check(LIBC.mount(target.encode(), target.encode(), None, MS_BIND, None), f"bind {target}")
        check(LIBC.mount(None, target.encode(), None, MS_SHARED, None), f"share {target}")

    def create(self, sandbox: str, prepare: Callable[[], None]) -> None:
        """Make and pin a namespace; `prepare` runs inside it first. FileExistsError where one is pinned already."""
        path = self.path(sandbox)
        if self.pinned(path):
            raise FileExistsError(errno.EEXIST, f"{path} is pinned already")
        if path.name != sandbox:
            link = self.folder / sandbox
            link.unlink(missing_ok=True)
            link.symlink_to(path.name)
        path.touch(mode=0o444)

        def make() -> None:
            enter_new()
            prepare()
            check(LIBC.mount(HERE.encode(), str(path).encode(), None, MS_BIND, None), f"pin {path}")

        on_thread(make)

    def remove(self, sandbox: str) -> None:
        """Unpin a namespace; gone already is success. It ends when its last process does."""
        path = self.path(sandbox)
        if LIBC.umount2(str(path).encode(), MNT_DETACH) and (code := ctypes.get_errno()) not in (errno.EINVAL, errno.ENOENT):
            raise OSError(code, f"unpin {path}: {os.strerror(code)}")
        path.unlink(missing_ok=True)
        for link in [self.folder / sandbox] if len(sandbox) > SHORT else self.folder.glob(f"{sandbox}?*"):
            link.unlink(missing_ok=True)

    def pinned(self, path: Path) -> bool:
        """Whether a file is a pinned namespace and not what a crash left of one."""
        try:
            return device(str(path)) != device(str(self.folder))
        except FileNotFoundError:
            return False

    def all(self) -> dict[str, Path]:
        """Every pinned namespace by its sandbox's id."""
        names = self.names()
        full = {name[:SHORT]: name for name in names if len(name) > SHORT}
        return {full.get(name, name): self.folder / name for name, pins in names.items() if pins and len(name) <= SHORT}

    def leftovers(self) -> list[str]:
        """Names in the folder that pin nothing: what a crash in the middle of making or removing one left."""
        return [name for name, pins in self.names().items() if not pins]

    def names(self) -> dict[str, bool]:
        """What is in the folder, and whether it pins a namespace or leads to one that does."""
        folder = str(self.folder)
        found = {}
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            here = device(folder)
            for name in os.listdir(folder):  # noqa: PTH208 - as in peeking: with hundreds of containers
                found[name] = False
                with contextlib.suppress(FileNotFoundError):
                    found[name] = device(f"{folder}/{name}") != here
        return found

    def clear(self, name: str) -> None:
        """Remove a name that pins nothing."""
        (self.folder / name).unlink(missing_ok=True)
