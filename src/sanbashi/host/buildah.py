"""buildah, driven: its own image store under our roots, base images fed from our blobs, the result taken out layer by layer."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

import msgspec

from ..errors import Failed, Unavailable
from ..images.buildcache import Cached, CacheWish, Record, next_to_go, records
from ..images.buildrequest import BuildRequest
from ..images.manifest import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, Descriptor, Manifest
from ..records import dataclass
from .buildlines import LONGEST, Line, merged
from .descriptors import as_given
from .runtime import search_path
from .trees import walk

log = logging.getLogger("sanbashi.build")
SETTINGS = {
    "containers.conf": '[containers]\nbase_hosts_file = "none"\nhost_containers_internal_ip = "none"\n'
    '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n[network]\nnetwork_config_dir = "{root}/networks"\n',
    "storage.conf": '[storage]\ndriver = "{driver}"\n',
    "registries.conf": "unqualified-search-registries = []\n",
    "policy.json": '{{"default": [{{"type": "insecureAcceptAnything"}}]}}\n',
}
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@dataclass
class Buildah:
    """DATA_ROOT/build: settings, buildah's store, scratch directories; `runtime` is the program for RUN. Used on the loop's thread."""

    root: Path
    run_root: Path
    runtime: Path | None = None
    driver: str = "overlay"
    program: Path | None = None
    builds: int = 0
    prepared: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def prepare(self) -> None:
        """See that buildah is there and write its settings; what an earlier daemon's death left goes. Unavailable where it is not installed."""
        async with self.lock:
            if self.prepared:
                return
            found = shutil.which("buildah", path=search_path())
            if found is None:
                raise Unavailable("building images needs buildah, which is not installed", hint="install it: apt-get install buildah")
            self.program = Path(found)
            await asyncio.to_thread(self.write_settings)
            await self.remove_containers()
            self.prepared = True

    def write_settings(self) -> None:
        for directory in (self.root / "networks", self.root / "store", self.run_root / "store", self.run_root / "runtime"):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.rmtree(self.root / "tmp", ignore_errors=True)
        (self.root / "tmp").mkdir(mode=0o700)
        for name, text in SETTINGS.items():
            (self.root / name).write_text(text.format(root=self.root, driver=self.driver))

    def scratch(self) -> Path:
        """A directory for one build or copy; the caller removes it."""
        return Path(tempfile.mkdtemp(dir=self.root / "tmp"))

    # -- commands

    def command(self, *words: str) -> list[str]:
        """buildah with its store and these words. It is told to end when our thread does: no build outlives the daemon."""
        store = ["--root", f"{self.root}/store", "--runroot", f"{self.run_root}/store", "--storage-driver", self.driver]
        return ["setpriv", "--pdeathsig", "TERM", "--", str(self.program), *store, "--registries-conf", f"{self.root}/registries.conf", *words]

    def environment(self) -> dict[str, str]:
        settings = {
            "CONTAINERS_CONF": f"{self.root}/containers.conf",
            "CONTAINERS_STORAGE_CONF": f"{self.root}/storage.conf",
            "CONTAINERS_REGISTRIES_CONF": f"{self.root}/registries.conf",
            "HOME": str(self.root),
            "TMPDIR": f"{self.root}/tmp",
            "PATH": search_path(),
        }
        return settings | {name: os.environ[name] for name in PROXIES if name in os.environ}

    @contextlib.asynccontextmanager
    async def process(self, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A running buildah, ended (it tidies up then) and waited for when the block is left."""
        process = await asyncio.create_subprocess_exec(
            *as_given(self.command(*words)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment(),
            cwd=self.root,
            limit=LONGEST,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await asyncio.shield(ended(process))

    async def run(self, *words: str) -> str:
        """A short command; what it printed. Failed with what it said."""
        async with self.process(*words) as process:
            out, err = await process.communicate()
        if process.returncode:
            raise Failed(f"buildah {words[0]}: {err.decode(errors='replace').strip()}")
        return out.decode(errors="replace")

    # -- images of its store

    def folder(self, image_id: str) -> Path:
        """What its store keeps of an image."""
        return self.root / "store" / f"{self.driver}-images" / image_id.removeprefix("sha256:")

    def whole_id(self, beginning: str) -> str:
        """The id of an image of its store, of which `beginning` are the first digits; those alone where there is none."""
        return next((folder.name for folder in self.folder("").glob(f"{beginning}*")), beginning)

    async def bring(self, config: bytes, image_id: str, layers: Sequence[tuple[str, int, Path]]) -> None:
        """Copy an image into its store unless it is there: its configuration and its layers' blobs (digest, size, file), lowest first.

        As a Docker manifest: an OCI one would lose health check, shell and ONBUILD. The media type's gzip stands for any compression.
        """
        async with self.lock:
            if self.folder(image_id).exists():
                return
            scratch = self.scratch()
            try:
                await asyncio.to_thread(write_directory, scratch / "image", config, image_id, layers)
                await self.run("pull", "--quiet", "--signature-policy", f"{self.root}/policy.json", f"dir:{scratch}/image")
            finally:
                await asyncio.to_thread(shutil.rmtree, scratch, True)

    def config(self, image_id: str) -> bytes:
        """An image's configuration, found by its digest."""
        for file in self.folder(image_id).iterdir():
            data = file.read_bytes()
            if f"sha256:{hashlib.sha256(data).hexdigest()}" == image_id:
                return data
        raise Failed(f"buildah's store lacks the configuration of {image_id}")

    async def export(self, image_id: str, known: Sequence[str], target: Path) -> list[Path]:
        """Write an image's layers as compressed blobs below `target`; the files, lowest first. Those of `known` diff ids are empty."""
        blobs = target / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        # A layer whose blob the layout has already is not copied; that of a known one need not be more than its name.
        for diff_id in known:
            (blobs / diff_id.removeprefix("sha256:")).touch()
        await self.run("push", "--quiet", "--signature-policy", f"{self.root}/policy.json", image_id.removeprefix("sha256:"), f"oci:{target}:image")
        index = json.loads((target / "index.json").read_bytes())
        manifest = msgspec.json.decode((blobs / index["manifests"][0]["digest"].removeprefix("sha256:")).read_bytes(), type=Manifest)
        return [blobs / layer.digest.removeprefix("sha256:") for layer in manifest.layers]

    # -- building

    async def build(self, request: BuildRequest, file: Path, context: Path, flags: Sequence[str], status: list[int]) -> AsyncGenerator[Line, None]:
        """Run a build; its lines as they come, its exit status put into `status`."""
        words = ["build", *build_flags(request), *flags]
        if self.runtime is not None:
            words += ["--runtime", str(self.runtime), "--runtime-flag", f"root={self.run_root}/runtime"]
        words += ["--signature-policy", f"{self.root}/policy.json", "--file", str(file), str(context)]
        self.builds += 1
        failed = True
        try:
            async with self.process(*words) as process:
                assert process.stdout is not None and process.stderr is not None
                async for line in merged(process.stdout, process.stderr):
                    yield line
                status.append(await process.wait())
            failed = bool(status[0])
        finally:
            self.builds -= 1
            if failed and not self.builds:
                await asyncio.shield(self.remove_containers())

    async def remove_containers(self) -> None:
        """Remove the working containers that broken builds left; only while none is being built."""
        if self.folder("").parent.with_name(f"{self.driver}-containers").exists():
            await self.run("rm", "--all")

    async def prune(self, wish: CacheWish) -> tuple[list[str], int]:
        """Throw the cache away, or as much of it as is wished; the ids of the images that went and the bytes that this frees."""
        async with self.lock:
            if self.builds:
                return [], 0
            size = before = await asyncio.to_thread(size_of, self.root / "store")
            ids = [image.id for image in self.cached()]
            if ids and wish.everything:
                await self.run("rmi", "--all", "--force")
            elif ids:
                keep = wish.keep(before, shutil.disk_usage(self.root).free)
                held: set[str] = set()
                while size > keep and (image := next_to_go(self.cached(), self.parents(), wish.before, held)):
                    # Whatever keeps one image from going keeps no other: a broken build's container is swept when the next one is begun.
                    try:
                        await self.run("rmi", image.id)
                    except Failed as error:
                        log.warning("pruning the cache of builds: %s", error.message)
                    held.add(image.id)
                    size = await asyncio.to_thread(size_of, self.root / "store")
            left = {image.id for image in self.cached()}
            after = await asyncio.to_thread(size_of, self.root / "store")
        return [i for i in ids if i not in left], max(0, before - after)

    def records(self) -> list[Record]:
        """What its store holds, for `system df`; blocking."""
        sizes = {layer["id"]: int(layer.get("diff-size") or 0) for layer in self.listed("layers")}
        used = bool(self.builds)
        return [replace(record, step=self.step(record.image.id), used=used) for record in records(self.cached(), self.parents(), sizes)]

    def step(self, image_id: str) -> str:
        """The step that an image of its store was made by, in the words of its history; "" where it says nothing, or has gone meanwhile."""
        try:
            history = json.loads(self.config(f"sha256:{image_id}")).get("history") or [{}]
        except (Failed, FileNotFoundError):
            return ""
        return str(history[-1].get("created_by") or "")

    def cached(self) -> list[Cached]:
        """The images of its store. What was brought here says of itself when it was made elsewhere, so the folder tells."""
        listed = self.listed("images")
        return [Cached(i["id"], i.get("layer", ""), self.folder(i["id"]).stat().st_mtime_ns) for i in listed if self.folder(i["id"]).exists()]

    def parents(self) -> dict[str, str]:
        """The layer below each layer of its store."""
        return {layer["id"]: layer.get("parent", "") for layer in self.listed("layers")}

    def listed(self, kind: str) -> list[dict[str, Any]]:
        """What the store's own list has of a kind; containers/storage writes one when there is the first to write."""
        try:
            found: list[dict[str, Any]] = json.loads((self.root / "store" / f"{self.driver}-{kind}" / f"{kind}.json").read_bytes())
        except FileNotFoundError:
            return []
        return found


async def ended(process: asyncio.subprocess.Process) -> None:
    """Wait for a process that was told to end; one that does not is killed."""
    try:
        await asyncio.wait_for(process.communicate(), 15)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


def build_flags(request: BuildRequest) -> list[str]:
    """The flags of a request."""
    flags = ["--layers", "--format=docker", "--pull-never", "--force-rm", "--identity-label=false", "--skip-unused-stages=false"]
    flags += ["--isolation=oci", "--http-proxy=false", "--jobs=1"]
    if request.no_cache:
        flags.append("--no-cache")
    for name, value in request.arguments.items():
        if value is not None:
            flags.append(f"--build-arg={name}={value}")
    flags += [f"--label={name}={value}" for name, value in request.labels.items()]
    flags += [f"--ulimit={u.name}={u.soft}:{u.hard}" for u in request.ulimits]
    flags += [f"--security-opt={option}" for option in request.security]
    for flag, text in (("cgroup-parent", request.cgroup_parent), ("cpuset-cpus", request.cpuset_cpus), ("cpuset-mems", request.cpuset_mems)):
        flags += [f"--{flag}={text}"] if text else []
    numbers = (
        ("cpu-shares", request.cpu_shares),
        ("cpu-period", request.cpu_period),
        ("cpu-quota", request.cpu_quota),
        ("memory", request.memory),
        ("memory-swap", request.memory_swap),
        ("shm-size", request.shm_size),
    )
    return flags + [f"--{flag}={number}" for flag, number in numbers if number]


def write_directory(target: Path, config: bytes, image_id: str, layers: Sequence[tuple[str, int, Path]]) -> None:
    """An image in containers/image's `dir` form, its layers as links to our blobs."""
    target.mkdir()
    described = tuple(Descriptor(media_type=DOCKER_LAYER, digest=digest, size=size) for digest, size, _ in layers)
    manifest = Manifest(config=Descriptor(media_type=DOCKER_CONFIG, digest=image_id, size=len(config)), layers=described, media_type=DOCKER_MANIFEST)
    (target / "version").write_text("Directory Transport Version: 1.1\n")
    (target / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    (target / image_id.removeprefix("sha256:")).write_bytes(config)
    for digest, _, file in layers:
        link = target / digest.removeprefix("sha256:")
        if not link.exists():
            link.symlink_to(file)


def size_of(directory: Path) -> int:
    """Bytes of the files below a directory, each once; what goes meanwhile is not counted."""
    sizes: dict[int, int] = {}
    for entry in walk(directory):
        if not entry.is_dir(follow_symlinks=False):
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                sizes[status.st_ino] = status.st_size
    return sum(sizes.values())
