"""A container's files from outside: cp both ways, diff, export."""

from __future__ import annotations

import asyncio
import contextlib
import os
import posixpath
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TypeVar

from ..containers.model import Container, MountPoint
from ..errors import Conflict, Forbidden, Invalid
from ..host.differences import PathChange
from ..host.extracting import Extraction, extract
from ..host.inside import O_PATH_DIRECTORY, Bind, Inside, inside_container
from ..host.looking import PathStat, pack_path, refusal, stat_path
from ..host.packing import gathered, pack
from ..host.rootfs import find_user
from ..host.transfers import Stopped
from ..records import dataclass
from .core import Core
from .feed import Feed, apart
from .process import FILES
from .volume_mounts import VolumeMounts

T = TypeVar("T")


@dataclass
class Filesystems:
    """The file systems of containers, running or not."""

    core: Core
    volume_mounts: VolumeMounts

    async def stat(self, ref: str, path: str) -> PathStat:
        """`HEAD /archive`; NotFound in Docker's words."""
        container = self.core.find_container(ref)
        async with AsyncExitStack() as stack:
            inside = await self.enter(container, stack)
            return await self.asked(lambda: stat_path(inside, required(path)), path, ref)

    async def archive(self, ref: str, path: str) -> tuple[PathStat, Pieces]:
        """`GET /archive`: what the path is, and its tar."""
        container = self.core.find_container(ref)
        stack = AsyncExitStack()
        try:
            inside = await self.enter(container, stack)
            status = await self.asked(lambda: stat_path(inside, required(path)), path, ref)
        except BaseException:
            await stack.aclose()
            raise
        self.core.tell_container("archive-path", container)
        return status, Pieces(pack_path(inside, path), stack)

    async def put(self, ref: str, path: str, stream: AsyncIterable[bytes], *, keep_kinds: bool, own: bool) -> None:
        """`PUT /archive`: a tar into the directory at `path`; with `own` everything belongs to the container's user."""
        container = self.core.find_container(ref)
        required(path)
        async with AsyncExitStack() as stack:
            inside = await self.enter(container, stack)
            await self.asked(lambda: self.check_writable(inside, container, path), path, ref)
            owner: tuple[int, int] | None = None
            if own:
                user = await asyncio.to_thread(find_user, Path(f"/proc/self/fd/{inside.root}"), container.config.user)
                owner = (user.uid, user.gid)
            with Feed(stream, asyncio.get_running_loop()) as feed:
                work = apart(lambda: extract(inside, path, feed, Extraction(owner, keep_kinds)))
                try:
                    await asyncio.shield(work)
                except asyncio.CancelledError:
                    feed.stop()
                    with contextlib.suppress(Stopped, OSError):
                        await asyncio.wait([work])
                    raise
                except OSError as error:
                    raise refusal(error, path, ref) from error
        self.core.tell_container("extract-to-dir", container)

    async def changes(self, ref: str) -> list[PathChange]:
        """`diff`."""
        container = self.core.find_container(ref)
        return await self.core.on_host(self.core.snapshots.changes, container.id)

    async def export(self, ref: str) -> Pieces:
        """`export`: the tar of the container's own root file system, without its volumes."""
        container = self.core.find_container(ref)
        if container.state.status in ("removing", "dead"):
            raise Conflict(f"You cannot export container {container.id} which is {container.state.status}")
        stack = AsyncExitStack()
        try:
            inside = await self.enter(container, stack, binds=False)
        except BaseException:
            await stack.aclose()
            raise
        self.core.tell_container("export", container)
        return Pieces(whole(inside), stack)

    # -- getting in

    async def enter(self, container: Container, stack: AsyncExitStack, *, binds: bool = True) -> Inside:
        """The container's file system until the stack closes; one that does not run cannot be started meanwhile."""
        core = self.core
        if not container.state.running:
            await stack.enter_async_context(core.locked(container.id))
        container = core.find_container(container.id)
        if binds:
            user = f"cp {secrets.token_hex(4)}"
            await self.volume_mounts.hold(container, user)
            stack.push_async_callback(self.volume_mounts.release, container, user)
        sources = self.binds(container) if binds else []
        inner = ExitStack()
        stack.push_async_callback(asyncio.to_thread, inner.close)

        def mount_root() -> Path:
            if binds:
                core.snapshots.mount_images(container.mounts)
            return core.snapshots.mount(container.id)

        return await asyncio.to_thread(inner.enter_context, inside_container(mount_root, sources))

    def binds(self, container: Container) -> list[Bind]:
        """Its volumes, binds and images, the outer ones first, and the files of the network."""
        found = [Bind(m.source, m.destination, m.rw, m.subpath) for m in container.mounts if m.type != "tmpfs"]
        folder = self.core.container_dir(container.id)
        taken = {b.destination for b in found}
        return found + [Bind(str(folder / name), inside) for inside, name in FILES.items() if inside not in taken]

    @staticmethod
    async def asked(look: Callable[[], T], path: str, ref: str) -> T:
        """Look in a worker thread; the path and the container as the user wrote them are for the refusal."""
        try:
            return await asyncio.to_thread(look)
        except OSError as error:
            raise refusal(error, path, ref) from error

    @staticmethod
    def check_writable(inside: Inside, container: Container, path: str) -> None:
        """Forbidden where the directory is read-only, Invalid where it is none; OSError."""
        try:
            with inside.opened(path, O_PATH_DIRECTORY) as directory:
                real = inside.real(directory)
        except NotADirectoryError as error:
            with inside.opened(path.rstrip("/"), os.O_PATH):
                raise Invalid("extraction point is not a directory") from error
        mount = mount_of(container, real)
        if mount is not None and not mount.rw:
            raise Forbidden("mounted volume is marked read-only")
        if mount is None and container.host_config.readonly_rootfs:
            raise Forbidden("container rootfs is marked read-only")


def required(path: str) -> str:
    """A path that was given."""
    if not path:
        raise Invalid("bad parameter: path cannot be empty")
    if "\0" in path:
        raise Invalid("bad parameter: a path holds no zero byte")
    return path


def mount_of(container: Container, path: str) -> MountPoint | None:
    """The innermost mount that a path lies in."""
    holding = [m for m in container.mounts if posixpath.commonpath([m.destination, path]) == m.destination]
    return max(holding, key=lambda m: len(m.destination), default=None)


def whole(inside: Inside) -> Iterator[bytes]:
    """Everything from the root, names without a slash before them."""
    with inside.opened("/", O_PATH_DIRECTORY) as root:
        yield from pack(root, ".", "", own=False)


class Pieces(AsyncIterator[bytes]):
    """Bytes made in worker threads, one piece ahead of nobody; what holds the file system is let go of at the end, or by `aclose`."""

    def __init__(self, source: Iterator[bytes], stack: AsyncExitStack) -> None:
        self.pieces, self.source, self.stack = source, gathered(source), stack

    async def __anext__(self) -> bytes:
        piece = await asyncio.to_thread(next, self.source, None)
        if piece is None:
            await self.aclose()
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Let go."""
        for source in (self.source, self.pieces):
            close = getattr(source, "close", None)
            if close is not None:
                await asyncio.to_thread(close)
        await self.stack.aclose()


__all__ = ["Filesystems", "PathStat", "Pieces"]
