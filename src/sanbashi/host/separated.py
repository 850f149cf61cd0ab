"""The mount namespace that the runtimes start in where the host's own will not do: like the daemon's, but for some mounts (launcher.py).

Its mounts are slaves of the daemon's: what is mounted later on a shared mount is seen there, and what is unmounted goes there too. A host whose
root is private (no systemd) has nothing that propagates: there a disk that came later would be written *under*. So whoever starts something with
sources of the host has them compared first, in both namespaces, and the namespace is made anew where they are not the same. What runs stays in
the older one.

A container with a shared bind (-v a:b:rshared) mounts for the host too: for those there is a namespace whose mounts are peers of the daemon's.

What is left out is made of other containers' mounts. The mounts that a container is made of itself are put there for as long as its runtime
creates it (`in_place`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import posixpath
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .inside import openat2
from .mounts import (
    CLONE_FS,
    CLONE_NEWNS,
    MNT_DETACH,
    MS_REC,
    MS_SLAVE,
    UMOUNT_NOFOLLOW,
    attach,
    is_mounted,
    is_shared,
    libc,
    mount,
    mount_lines,
    mount_over,
    refused,
    tags_of,
    unescape,
    unmount,
)
from .rootfs import RESOLVE_IN_ROOT

log = logging.getLogger("sanbashi.host")
UNIFIED = Path("/sys/fs/cgroup/unified")
HERE = "/proc/thread-self/ns/mnt"
MANGLED = re.compile(rb"[ \t\n\\]")  # as proc(5) writes them: \ooo
Identity = tuple[int, int]  # device and inode


class Separated:
    """The namespace as it is now. It is made by a thread that is in the daemon's; every other method is for the threads that start programs.

    `peer`: what is mounted in it on a shared mount is mounted for the daemon too.
    """

    def __init__(self, without: Sequence[Path], *, peer: bool = False) -> None:
        self._without = without
        self._peer = peer
        self._maker = threading.get_native_id()
        self._home = os.open(HERE, os.O_RDONLY | os.O_CLOEXEC)
        self._root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        # Below a shared root everything that comes later is seen: no need to look for it.
        self._deaf = not is_shared(Path("/"))
        self._deafs: list[str] = []  # mount points of the namespace that hear of nothing: what was unmounted since is still there
        self._cut: set[str] = set()  # mount points that are no peers of the daemon's though others are
        self._lock = threading.Lock()
        self._namespace, self.number = -1, 0
        self._thread = threading.local()

    def close(self) -> None:
        """Let go; what runs in the namespace goes on."""
        for descriptor in (self._home, self._root, self._namespace):
            if descriptor >= 0:
                os.close(descriptor)
        self._home = self._root = self._namespace = -1

    def enter(self, sources: Sequence[str] = (), *, propagates: bool = False) -> None:
        """Bring the calling thread into the namespace, made anew first where it does not show at `sources` what the daemon sees there.

        `propagates`: nor where mounts there would not reach the daemon's namespace and come from it, as far as those of its own do.
        """
        if self._number() != self.number or not self.number:
            with self._lock:
                self._move()
        if sources and (found := self.unlike(sources, propagates)):
            with self._lock:
                if self._number() != self.number:  # another start came first
                    self._move()
                    found = self.unlike(sources, propagates)
                if found:
                    log.info("%s shows something else to the runtimes, whose mount namespace is made anew", found)
                    self._renew()

    def unlike(self, sources: Sequence[str], propagates: bool) -> str:
        """The first of these paths, or of the mounts below them, that is not here what it is to the daemon; "" where all are the same."""
        if propagates and self._peer and (point := self.apart(sources)):
            return point
        for source in sources:
            path, real, what = self.at_home(source)
            if not self.left_out(real) and what != seen(path):
                return source
            if self._deaf and path == source:
                for point in (*self.below(real), *(p for p in self._deafs if within(p, Path(real)))):
                    path, _, what = self.at_home(point)
                    if not self.left_out(point) and what != seen(path):
                        return point
        return ""

    def apart(self, sources: Sequence[str]) -> str:
        """The first mount at these paths that propagates with others here than it does for the daemon, having been made shared since; "" for none."""
        lines = mount_lines(self._maker)
        there: dict[str, tuple[str, ...]] = {unescape(fields[4]): tags_of(fields) for fields in lines}
        here = {unescape(fields[4]): tags_of(fields) for fields in mount_lines()}
        for source in sources:
            real = Path(self.at_home(source)[1])
            over = mount_over(real, lines)
            points = [unescape(over[4])] if over else []
            for point in (*points, *(p for p in there if within(p, real))):
                if point not in self._cut and not self.left_out(point) and here.get(point) != there[point]:
                    return point
        return ""

    def at_home(self, path: str) -> tuple[str, str, Identity | None]:
        """(the path, its real path, what it is) in the daemon's namespace; of what is not there, of the nearest directory above that is."""
        while True:
            try:
                descriptor = openat2(self._root, path.lstrip("/") or ".", os.O_PATH, resolve=RESOLVE_IN_ROOT)
            except OSError:
                if path == "/":
                    return path, path, None
                path = posixpath.dirname(path.rstrip("/")) or "/"
                continue
            try:
                return path, str(Path(f"/proc/thread-self/fd/{descriptor}").readlink()), seen(descriptor)
            finally:
                os.close(descriptor)

    def below(self, path: str) -> Iterator[str]:
        """The daemon's mount points below a directory. Of proc's lists this one costs a third: it leaves the file systems' options out."""
        prefix = MANGLED.sub(lambda match: b"\\%03o" % match[0][0], os.fsencode(path.rstrip("/") + "/"))
        table = Path(f"/proc/{self._maker}/mountstats").read_bytes()
        for point in re.findall(rb" mounted on (" + re.escape(prefix) + rb"\S+) with fstype ", table):
            yield os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda match: bytes((int(match[1], 8),)), point))

    def join(self, pid: int) -> None:
        """Bring the calling thread into the namespace of a program that one of these threads has started, made anew since or not."""
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._set(namespace)
            self._thread.number = -1
        finally:
            os.close(namespace)

    def left_out(self, path: str) -> bool:
        """Whether a real path lies in what the namespace is without."""
        return any(within(path, place) for place in self._without)

    # -- the calling thread's namespace, the lock held

    def _number(self) -> int:
        return int(getattr(self._thread, "number", 0))

    def _move(self) -> None:
        if not self.number:
            self._renew()
        elif self._number() != self.number:
            self._set(self._namespace)
            self._thread.number = self.number

    def _set(self, namespace: int) -> None:
        if not self._number() and libc.unshare(CLONE_FS) != 0:  # setns(2): not into a mount namespace while the file system context is shared
            refused("unshare the file system context")
        if libc.setns(namespace, CLONE_NEWNS) != 0:
            refused("enter the runtime's mount namespace")

    def _renew(self) -> None:
        self._set(self._home)
        # From here to the end the thread is in no namespace that has a number.
        self._thread.number = -1
        if libc.unshare(CLONE_NEWNS) != 0:
            refused("make the runtime's mount namespace")
        if not self._peer:
            mount("none", Path("/"), flags=MS_SLAVE | MS_REC)
        for place in self._without:
            if self._peer and is_mounted(place):  # an unmount goes where what it lies on propagates to
                above = next(above for above in place.parents if os.path.ismount(above))
                mount("none", above, flags=MS_SLAVE)
                self._cut.add(str(above))
            unmount(place, MNT_DETACH)
        if self._deaf:
            self._deafs = [unescape(fields[4]) for fields in mount_lines() if not any(tag.startswith(("master:", "shared:")) for tag in fields[6:])]
        older, self._namespace = self._namespace, os.open(HERE, os.O_RDONLY | os.O_CLOEXEC)
        if older >= 0:
            os.close(older)
        self.number += 1
        self._thread.number = self.number


@contextlib.contextmanager
def in_place(trees: Iterable[tuple[int, Path]]) -> Iterator[None]:
    """Copies of mounts (mounts.clone_mount) at their places in the calling thread's mount namespace, as long as the block lasts."""
    with contextlib.ExitStack() as attached:
        for tree, place in trees:
            attach(tree, place)
            attached.callback(unmount, place, MNT_DETACH | UMOUNT_NOFOLLOW)
        yield


def seen(path: str | int) -> Identity | None:
    """What the calling thread sees at a path, or what a descriptor holds; None where it may not look, or there is nothing."""
    try:
        status = os.stat(path)  # noqa: PTH116 - pathlib knows no descriptors
    except OSError:
        return None
    return status.st_dev, status.st_ino


def within(path: str, top: Path) -> bool:
    """Whether a path is a directory or below it."""
    return path == str(top) or path.startswith(f"{top}/".replace("//", "/"))
