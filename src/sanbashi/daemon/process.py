"""A container's process: its root filesystem, its OCI bundle, its monitor and its runtime, from create to destroy."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import field
from pathlib import Path

import msgspec

from ..containers.facts import ContainerFacts, Device
from ..containers.logging import log_limits
from ..containers.model import Container, HostConfig, MountPoint
from ..containers.resources import block_devices
from ..containers.spec import Placement, spec
from ..errors import Conflict, Failed, Invalid, NotFound, SanbashiError, Unavailable
from ..host.attachment import Attachment
from ..host.copying import copy_up, make_sources
from ..host.groups import Haste
from ..host.monitor import Exit, Monitor
from ..host.mounts import MNT_DETACH, UMOUNT_NOFOLLOW, mount_shm, unmount
from ..host.parts import mount_part, unmount_parts
from ..host.propagation import check_propagation, propagates
from ..host.rootfs import block_numbers, every_device, find_user, host_device
from ..host.runtime import Runtime, Runtimes
from ..records import dataclass
from .core import Core, both
from .linking import words_of
from .rotation import Rotation
from .stages import stage
from .volume_mounts import VolumeMounts

log = logging.getLogger("sanbashi.process")

SOONEST, LATEST = 1.0, 30.0  # seconds until what follows from an exit is tried again
PARTS = "parts"  # of volumes and images, bound in the container's folder
FILES = {"/etc/hostname": "hostname", "/etc/hosts": "hosts", "/etc/resolv.conf": "resolv.conf"}


@dataclass
class Process:
    """All that concerns the process of one container."""

    core: Core
    monitor: Monitor
    runtimes: Runtimes
    facts: ContainerFacts
    link_words: bool = False  # whether links put words into environments
    on_exit: Callable[[str, int, bool, int], Awaitable[None]] | None = None
    listener: asyncio.Task[None] | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    mounted: set[str] = field(default_factory=set)  # containers whose volumes were announced as in use
    runs: dict[str, int] = field(default_factory=dict)  # container id -> how often it was created here
    way_free: asyncio.Event = field(default_factory=asyncio.Event)  # of those who wait now; the next have the next one

    def __post_init__(self) -> None:
        self.volume_mounts = VolumeMounts(self.core)
        self.rotation = Rotation(self.core)
        self.haste = Haste()

    def open(self, on_exit: Callable[[str, int, bool, int], Awaitable[None]]) -> None:
        """Begin to hear of exits; what follows from them has to wait until `listen_on`."""
        self.on_exit = on_exit
        # Announced by the daemon before; here, not in `find`, for an exit may be heard before anybody looks.
        self.mounted |= {c.id for c in self.core.state.containers.values() if c.state.running}
        self.monitor.open()

    def listen_on(self) -> None:
        """Hand on the exits that were heard, and those to come: now that what an earlier daemon left is taken up, and nobody works on it all."""
        self.listener = asyncio.get_running_loop().create_task(self.listen())

    async def listen(self) -> None:
        """Hand every exit on, each in a task of its own: one slow teardown holds up no other."""
        async for ended in self.monitor.exits():
            task = asyncio.get_running_loop().create_task(self.hand_on(ended, self.runs.get(ended.container_id, 0)))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def hand_on(self, ended: Exit, run: int) -> None:
        """Have an exit dealt with; an exit stays one, so what stands in the way for a time only (a silent keeper, a full disk) is waited out."""
        assert self.on_exit is not None
        pause = SOONEST
        while True:
            try:
                return await self.on_exit(ended.container_id, ended.exit_code, ended.oom, run)
            except Unavailable as error:
                log.error("after the exit of %s: %s; trying again", ended.container_id[:12], error.message)
                try:
                    await asyncio.wait_for(self.way_free.wait(), pause)
                    pause = SOONEST
                except TimeoutError:
                    pause = min(LATEST, 2 * pause)
            except SanbashiError as error:
                return log.error("after the exit of %s: %s", ended.container_id[:12], error.message)

    def try_again(self) -> None:
        """What stood in the way may be gone: deal at once with the exits that wait to be tried again."""
        self.way_free.set()
        self.way_free = asyncio.Event()

    def runtime(self, container: Container) -> Runtime:
        """The runtime that a container was created with."""
        return self.runtimes.choose(container.runtime)

    def hasten(self) -> None:
        """Begin, in a thread, the wait that the runtime's first move of a process would have to make."""
        self.core.hands.submit(self.haste.begin)

    @contextlib.contextmanager
    def hastened(self) -> Iterator[None]:
        """Begin it, and have nobody wait again until the block ends."""
        with self.haste.held():
            self.hasten()
            yield

    async def create(
        self, container: Container, namespace: str, place: Callable[[], None], pinned: Awaitable[None], begun: asyncio.Event
    ) -> tuple[int, int]:
        """Mount, write the bundle and have the runtime create it: (pid, conmon's pid). It waits for `start`.

        `place` has its files there, whatever they say as yet; blocking. `pinned`: until then its namespace is being made; everything else is made
        ready meanwhile. `begun` is set when the runtime is at work.
        """
        core = self.core
        runtime = self.runtime(container)
        shared = None
        if container.host_config.network_mode.startswith("container:"):
            shared = core.find_container(container.host_config.network_mode.partition(":")[2])

        def make_ready() -> None:
            place()
            rootfs = core.snapshots.mount(container.id, passing=container.host_config.auto_remove)
            core.snapshots.mount_images(container.mounts)
            make_sources(container.mounts)
            check_propagation(container.mounts)
            if container.host_config.ipc_mode == "shareable":
                mount_shm(core.container_dir(container.id) / "shm", container.host_config.shm_size)
            for mount in container.mounts:
                if mount.type == "volume" and mount.copy_up:
                    copy_up(rootfs, mount.destination, Path(mount.source))
            launch.carry([rootfs, *(Path(p.source) for p in container.mounts if p.type == "image")])
            placed = msgspec.structs.replace(container, mounts=self.with_parts(container))
            ipc, shm = self.joined(container.host_config.ipc_mode, "ipc"), self.shm(container)
            try:
                placement = self.placement(placed, rootfs, namespace, shared, ipc=ipc, shm=shm)
                written = spec(placed, placement, self.facts)
            except (Conflict, Invalid, NotFound) as error:
                # As Docker has it: the request to start was right, what the container was made of is not.
                raise Failed(error.message, hint=error.hint) from error
            self.monitor.write_spec(container.id, written, runtime)

        bundle = self.monitor.make_bundle(container.id)
        self.runs[container.id] = self.runs.get(container.id, 0) + 1
        config, limits = container.config, log_limits(container.host_config.log_config)
        async with self.monitor.launched(
            container.id,
            runtime,
            terminal=config.tty,
            stdin=config.open_stdin,
            stdin_once=config.stdin_once,
            log_path=self.log_path(container),
            # With one file conmon itself begins it anew; what is kept beside it is put aside by us.
            log_size=0 if limits.rotated else limits.size,
            sources=[point.source for point in container.mounts if point.type == "bind"],
            propagates=any(map(propagates, container.mounts)),
        ) as launch:
            with stage("prepare"):
                await self.volume_mounts.hold(container)
                await core.on_host(make_ready)
                self.tell_volumes("mount", container)
            await pinned
            with stage("create", runtime=True):
                created = await self.monitor.create(launch, container.path, begun)
        self.rotation.begin(container, self.log_path(container), bundle / "ctl")
        return created.pid, created.monitor_pid

    def tell_volumes(self, action: str, container: Container) -> None:
        """Announce that the container's volumes are in use now, or no longer; the end of what was never announced is not."""
        if action == "mount":
            self.mounted.add(container.id)
        elif container.id not in self.mounted:
            return
        else:
            self.mounted.discard(container.id)
        for point in container.mounts:
            if point.type == "volume":
                place = {"destination": point.destination, "read/write": str(point.rw).lower(), "propagation": point.propagation}
                about = {"driver": point.driver, "container": container.id, **(place if action == "mount" else {})}
                self.core.events.tell("volume", action, point.name, about)

    def with_parts(self, container: Container) -> tuple[MountPoint, ...]:
        """The container's mounts, those of a part of a volume or an image from where that part is bound; blocking."""
        parts = self.core.container_dir(container.id) / PARTS
        placed = []
        for number, point in enumerate(container.mounts):
            if point.subpath:
                mount_part(Path(point.source), point.subpath, parts / str(number))
                point = msgspec.structs.replace(point, source=str(parts / str(number)))
            placed.append(point)
        return tuple(placed)

    def placement(self, container: Container, rootfs: Path, namespace: str, shared: Container | None, *, ipc: str, shm: str) -> Placement:
        """Where everything is; the container's mounts are ready. Blocking."""
        host = container.host_config
        folder = self.core.container_dir((shared or container).id)
        files = {inside: str(folder / name) for inside, name in FILES.items() if (folder / name).exists()}
        return Placement(
            rootfs=str(rootfs),
            # By way of this process: where the runtime is started, the pinned namespaces are not mounted.
            network=f"/proc/{os.getpid()}/root{namespace}" if namespace else None,
            own_network=bool(namespace) and shared is None,
            hostname=shared.config.hostname if shared else "",
            files=files,
            leaves=frozenset(p.source for p in container.mounts if p.type != "tmpfs" and not Path(p.source).is_dir()),
            user=find_user(rootfs, container.config.user, host.group_add or ()),
            ipc=ipc,
            pid=self.joined(host.pid_mode, "pid"),
            shm=shm,
            devices=devices_of(host),
            block_devices={path: block_numbers(path) for path in block_devices(host)},
            links=tuple(words_of(self.core, container)) if self.link_words else (),
        )

    def joined(self, mode: str, kind: str) -> str:
        """The namespace file of a container:X mode, "" for one's own."""
        if not mode.startswith("container:"):
            return ""
        ref = mode.partition(":")[2]
        other = self.core.find_container(ref)
        if not other.state.running:
            raise Conflict(f"cannot join {kind.upper()} namespace of a non running container: container {ref} is {other.state.status}")
        return f"/proc/{other.state.pid}/ns/{kind}"

    def shm(self, container: Container) -> str:
        """The directory that is /dev/shm where it is shared, "" for one's own."""
        mode = container.host_config.ipc_mode
        if mode == "shareable":
            return str(self.core.container_dir(container.id) / "shm")
        if not mode.startswith("container:"):
            return ""
        other = self.core.find_container(mode.partition(":")[2])
        if other.host_config.ipc_mode != "shareable":
            raise Conflict(f"container {other.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)")
        return str(self.core.container_dir(other.id) / "shm")

    def log_path(self, container: Container) -> Path | None:
        """Where conmon writes the container's output; None for --log-driver none."""
        if container.host_config.log_config.type == "none":
            return None
        return self.core.container_dir(container.id) / f"{container.id}.log"

    async def start(self, container: Container) -> None:
        """Let it run."""
        await self.monitor.start(container.id, self.runtime(container), container.path)

    def attach(self, container: Container, *, stdin: bool) -> Attachment:
        """A client for its streams; before the start it waits for them."""
        return self.monitor.attach(container.id, stdin=stdin)

    def release(self, container_id: str) -> None:
        """End the streams of those who wait for a container that will not start."""
        self.monitor.release(container_id)

    async def kill(self, container: Container, number: int) -> None:
        """A signal to its first process; gone already is not an error."""
        with contextlib.suppress(Conflict):
            await self.runtime(container).kill(container.id, number)

    async def pause(self, container: Container) -> None:
        """Freeze all its processes."""
        await self.runtime(container).pause(container.id)

    async def resume(self, container: Container) -> None:
        """Thaw them."""
        await self.runtime(container).resume(container.id)

    async def destroy(self, container: Container) -> None:
        """Take away the process if it still runs, the runtime's record, the bundle and the mount; gone already is success."""
        await self.delete(container)
        self.monitor.unfollow(container.id)
        await self.core.on_host(self.demolish, container)
        await self.leave(container)

    async def bury(self, container: Container, begun: asyncio.Event) -> None:
        """As `destroy`, of a process that has ended: what is mounted goes beside the runtime. `begun` is set when that works, or not at all."""

        async def delete() -> None:
            try:
                await self.delete(container, begun)
            finally:
                begun.set()

        async def dismantle() -> None:
            await begun.wait()
            await self.core.on_host(self.dismantle, container)

        await both(delete(), dismantle())
        await self.leave(container)

    async def delete(self, container: Container, begun: asyncio.Event | None = None) -> None:
        await self.rotation.end(container.id)
        with stage("delete", runtime=True):
            await self.runtime(container).delete(container.id, force=True, begun=begun)

    async def leave(self, container: Container) -> None:
        self.monitor.forget(container.id)
        await self.volume_mounts.release(container)
        self.tell_volumes("unmount", container)

    def demolish(self, container: Container) -> None:
        self.monitor.end(container.id)
        self.dismantle(container)

    def dismantle(self, container: Container) -> None:
        """Unmount what `create` mounted; blocking."""
        self.core.snapshots.unmount(container.id)
        unmount_parts(self.core.container_dir(container.id) / PARTS)
        if container.host_config.ipc_mode == "shareable":
            unmount(self.core.container_dir(container.id) / "shm", MNT_DETACH | UMOUNT_NOFOLLOW)

    async def find(self, container: Container) -> int | str:
        """Its status, "running" or "paused", where it is alive, else the exit code it left (255 where nothing tells)."""
        found = await self.monitor.find(container.id, self.runtime(container))
        if found.alive and found.status in ("running", "paused"):
            self.rotation.begin(container, self.log_path(container), self.monitor.bundle(container.id) / "ctl")
            return found.status
        return found.exit.exit_code if found.exit is not None else 255

    async def remove_strays(self, alive: set[str]) -> None:
        """What a crash left of containers that do not run: bundles and the runtimes' records."""
        for container_id in self.monitor.known():
            if container_id not in alive:
                for runtime in self.runtimes.by_name.values():
                    await runtime.delete(container_id, force=True)
                self.monitor.forget(container_id)
                await self.core.on_host(self.core.snapshots.unmount, container_id)

    async def pids(self, container: Container) -> tuple[int, ...]:
        """Its processes, as the host numbers them."""
        return await self.runtime(container).pids(container.id)

    async def close(self) -> None:
        """Stop listening; containers go on."""
        self.rotation.close()
        if self.listener is not None:
            self.listener.cancel()
        self.monitor.close()
        await asyncio.get_running_loop().run_in_executor(None, self.runtimes.close)


def devices_of(host: HostConfig) -> tuple[Device, ...]:
    """--device, or all of the host's where privileged."""
    if host.privileged:
        return every_device()
    return tuple(d for m in host.devices or () for d in host_device(m.path_on_host, m.path_in_container, m.cgroup_permissions))
