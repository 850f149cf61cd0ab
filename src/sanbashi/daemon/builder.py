"""`docker build` of the classic kind: a context and a Dockerfile in, Docker's stream of steps out, the image in our store."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..containers.checks import check_extra_host
from ..errors import Failed, Invalid, SanbashiError
from ..host.buildah import Buildah
from ..host.unpack import unpack
from ..images.buildcache import CacheWish, Record
from ..images.buildrequest import KEPT, BuildRequest
from ..images.dockerfile import Dockerfile, Wanted, parse_dockerfile
from ..images.instructions import Instruction
from ..images.layout import Entry
from ..images.manifest import Platform, image_of, parse_platform, platform_of, suits
from ..images.model import Image
from ..images.reference import DEFAULT_DOMAIN, Reference, image_id, parse_reference
from ..images.steps import Steps
from ..records import dataclass
from .archives import Loader
from .buildnet import BuildNetworks
from .content import Lease
from .core import Core
from .feed import Feed
from .images import Images
from .networking import Networking

if TYPE_CHECKING:
    from .registries import Registries

Report = Callable[[dict[str, Any]], None]
HUB_ADDRESS = "https://index.docker.io/v1/"


@dataclass
class Output:
    """Where a build's messages go; a quiet one keeps them until it has failed."""

    report: Report
    quiet: bool
    kept: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        if self.quiet:
            self.kept.append(text)
        else:
            self.report({"stream": text})

    def progress(self, message: dict[str, Any]) -> None:
        """A message of a pull."""
        if not self.quiet:
            self.report(message)

    def fail(self, text: str, code: int = 0, hint: str = "") -> None:
        """The last message of a build that failed."""
        for line in self.kept:
            self.report({"stream": line})
        detail = {"code": code, "message": text} if code else {"message": text}
        self.report({"errorDetail": detail, "error": text, **({"hint": hint} if hint else {})})


class Builder:
    """Builds images by driving buildah."""

    def __init__(self, core: Core, networking: Networking, images: Images, registries: Callable[[], Registries]) -> None:
        # runc, where it is there: crun refuses the hybrid cgroups of some hosts, and buildah starts it by itself.
        runtime = core.runtimes.get("runc") or next(iter(core.runtimes.values()), None)
        self.buildah = Buildah(core.config.data_root / "build", core.config.exec_root / "build", runtime)
        self.networks = BuildNetworks(core, networking)
        self.images = images
        self.registries = registries

    async def build(self, request: BuildRequest, body: AsyncIterable[bytes], report: Report) -> None:
        """Build; `report` hears Docker's messages. What is wrong with the request is raised, what fails in a step is told."""
        names = [name_of(tag) for tag in request.tags]
        platform = self.platform(request.platform)
        for word in request.extra_hosts:
            check_extra_host(word)
        await self.buildah.prepare()
        scratch = await asyncio.to_thread(self.buildah.scratch)
        try:
            context = scratch / "context"
            context.mkdir()
            with Feed(body, asyncio.get_running_loop()) as feed:
                await self.images.work(threading.Event(), lambda: unpack_context(feed, context), feed.stop)
            text = await asyncio.to_thread(read_dockerfile, context, request.dockerfile)
            arguments = {k: v for k, v in request.arguments.items() if v is not None}
            file = parse_dockerfile(text, target=request.target, arguments=arguments, given=self.given(platform))
            output = Output(report, request.quiet)
            if request.keep_containers:
                output.say(KEPT)
            for name in request.unused:
                output.say(f"[Warning] {name} is not honoured: only BuildKit has a use for it\n")
            async with self.images.lease() as lease:
                image = await self.image(request, file, platform, scratch, lease, output)
                if image is None:
                    return
                image = await self.images.store(image, [name.key for name in names])
            self.conclude(image, names, output)
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, scratch, True))

    def conclude(self, image: Image, names: Sequence[Reference], output: Output) -> None:
        """The last messages, and the events of the names."""
        if output.quiet:
            output.report({"stream": f"{image.id}\n"})
        else:
            output.report({"aux": {"ID": image.id}})
            output.say(f"Successfully built {image.id.removeprefix('sha256:')[:12]}\n")
        for name in names:
            output.say(f"Successfully tagged {name.familiar}\n")
            self.images.tell("tag", image.id, name.familiar, image)

    async def image(self, request: BuildRequest, file: Dockerfile, platform: str, scratch: Path, lease: Lease, output: Output) -> Image | None:
        """The image that is built, its layers in the store; None where a step has failed, which has been told then."""
        for instruction in file.instructions:
            if option := instruction.undone:
                self.begin(request, file, instruction, output)
                output.fail(only_buildkit(option), hint=MOUNTS_DONE if option == "mount" else "")
                return None
        bases = await self.bases(request, file, lease, output)
        if bases is None:
            return None
        labels = "LABEL " + " ".join(f"{k}={v}" for k, v in request.labels.items()) if request.labels else ""
        ids = {name: image.id for name, image in bases.items()}
        shells = {wanted: image.config.shell or () for wanted, image in bases.items()}
        steps = Steps(file, ids, shells, labels, request.arguments, whole=self.buildah.whole_id)
        if len(file.stages) == 1 and len(file.stages[0].instructions) == 1 and not labels and file.stages[0].wanted in bases:
            for text in steps.step(0, 0, file.stages[0].instructions[0].text):
                output.say(text)
            return bases[file.stages[0].wanted]
        for image in bases.values():
            await self.bring(image)
        if request.cache_from and not any(self.found(name) for name in request.cache_from):
            request = msgspec.structs.replace(request, no_cache=True)
        written = scratch / "Dockerfile"
        written.write_text(
            file.with_images(
                {wanted: id_.removeprefix("sha256:") for wanted, id_ in ids.items()},
                {wanted: str(platform_of(image)) for wanted, image in bases.items()},
            )
        )
        status: list[int] = []
        async with self.networks.joined(request.network, request.extra_hosts) as joined:
            steps.container = joined.id[:12]
            last = bases.get(file.last_base)
            if last is not None:
                platform = self.foreign(platform_of(last))
            flags = [*joined.flags, *([f"--platform={platform}"] if platform else [])]
            async with contextlib.aclosing(self.buildah.build(request, written, scratch / "context", flags, status)) as lines:
                async for line in lines:
                    for text in steps.out(line.text) if line.stream == 1 else steps.err(line.text):
                        output.say(text)
        if status[0] or not steps.image:
            for text in steps.announced():
                output.say(text)
            output.fail(*steps.failure(status[0]))
            return None
        return await self.take(steps.image, scratch / "result", lease)

    async def bases(self, request: BuildRequest, file: Dockerfile, lease: Lease, output: Output) -> dict[Wanted, Image] | None:
        """The images that a Dockerfile names, pulled where they are missing or wanted anew; None where one cannot be had."""
        found: dict[Wanted, Image] = {}
        for name, own in file.images():
            wanted = parse_platform(own or request.platform, self.images.host) if own or request.platform else None
            try:
                image = None if request.pull and not image_id(name) else self.found(name)
                if image is not None and wanted is not None and not suits(image, wanted):
                    image = None
                if image is None:
                    auth = auth_for(parse_reference(name), request.auths)
                    image = await self.registries().pull(name, platform=str(wanted or ""), auth=auth, progress=output.progress)
                    if wanted is not None and not suits(image, wanted):
                        output.progress({"status": mismatch(wanted, image, name)})
            except SanbashiError as error:
                self.begin(request, file, next((i for i in file.instructions if i.name == "FROM" and name in i.text), file.instructions[0]), output)
                output.fail(error.message, hint=error.hint)
                return None
            lease.add([image.id, *image.diff_ids])
            found[name, own] = image
        return found

    @staticmethod
    def begin(request: BuildRequest, file: Dockerfile, instruction: Instruction, output: Output) -> None:
        """The line of a step that is told to fail."""
        output.say(f"Step {file.instructions.index(instruction) + 1}/{len(file.instructions) + bool(request.labels)} : {instruction.text}")
        output.say("\n")

    def found(self, name: str) -> Image | None:
        """An image of the store; None where there is none, or the name is none."""
        try:
            return self.images.find(name)
        except Invalid:
            return None

    async def bring(self, image: Image) -> None:
        """Copy a base image to buildah unless it has it."""
        content = self.images.content
        notes = [content.layers.note(diff_id) for diff_id in image.diff_ids]
        layers = [(note.blob, note.blob_size, content.blobs.path(note.blob)) for note in notes]
        await self.buildah.bring(content.blobs.read(image.id), image.id, layers)

    async def take(self, id_: str, target: Path, lease: Lease) -> Image:
        """Take a built image over; layers that the store has are not copied."""
        content, stopped = self.images.content, threading.Event()
        config = await asyncio.to_thread(self.buildah.config, id_)
        wanted = image_of(config).diff_ids
        lease.add([id_, *wanted])
        blobs = await self.buildah.export(id_, [d for d in wanted if content.layers.has(d)], target)
        (target / "config").write_bytes(config)

        def load() -> Image:
            with Loader(content, lease, stopped) as loader:
                loader.files["config"] = target / "config"
                for index, blob in enumerate(blobs):
                    loader.files[str(index)] = blob
                    loader.digests[str(index)] = f"sha256:{blob.name}"
                return loader.image(Entry(config="config", layers=tuple(map(str, range(len(blobs))))), lambda message: None).image

        return await self.images.work(stopped, load)

    def platform(self, text: str) -> str:
        """The platform to build for, "" for the host's; Invalid in Docker's words."""
        if not text:
            return ""
        wanted = parse_platform(text, self.images.host)
        if wanted.os != "linux" or wanted.architecture not in PROCESSORS:
            raise Invalid(f'"{text}": unknown operating system or architecture: invalid argument')
        return self.foreign(wanted)

    def foreign(self, platform: Platform) -> str:
        """A platform that is not the host's; "" for that."""
        return "" if platform.architecture == self.images.host.architecture else str(platform)

    def given(self, target: str) -> dict[str, str]:
        """What FROM knows of the platforms without being told, as buildah tells it to RUN."""
        host = self.images.host
        found: dict[str, str] = {}
        for name, platform in (("BUILD", host), ("TARGET", parse_platform(target, host))):
            parts = {"PLATFORM": str(platform), "OS": platform.os, "ARCH": platform.architecture, "VARIANT": platform.variant}
            found |= {name + part: value for part, value in parts.items()}
        return found

    async def cache(self) -> list[Record]:
        """What the builder keeps of steps, the oldest first."""
        return await asyncio.to_thread(self.buildah.records)

    async def prune(self, wish: CacheWish) -> tuple[list[str], int]:
        """Throw the builder's cache away, or as much of it as is wished: what went and the bytes that this frees."""
        if not (self.buildah.root / "store").exists():
            return [], 0
        await self.buildah.prepare()
        return await self.buildah.prune(wish)


MOUNTS_DONE = "of RUN --mount, this builder does bind, cache and tmpfs"


def only_buildkit(option: str) -> str:
    """Docker's sentence for what its classic builder does not do."""
    where = "Refer to https://docs.docker.com/go/buildkit/ to learn how to build images with BuildKit enabled"
    return f"the --{option} option requires BuildKit. {where}"


def mismatch(wanted: Platform, image: Image, name: str) -> str:
    """Docker's warning of a base that is for another platform than the registry was asked for."""
    return (
        f"\nWARNING: Pulled image with specified platform ({wanted}), but the resulting image's configured platform ({platform_of(image)}) does not"
        f" match.\nThis is most likely caused by a bug in the build system that created the fetched image ({name}).\n"
        "Please notify the image author to correct the configuration."
    )


PROCESSORS = frozenset(("amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "mips64le", "mips64", "loong64"))


def name_of(tag: str) -> Reference:
    """A name for the image to be; Invalid in Docker's words."""
    name = parse_reference(tag).tagged()
    if name.digest:
        raise Invalid("refusing to create a tag with a digest reference")
    return name


def auth_for(reference: Reference, auths: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """The credentials for a reference's registry out of all those that the client has."""
    for address, auth in auths.items():
        host = address.split("://")[-1].partition("/")[0]
        if host == reference.domain or (reference.domain == DEFAULT_DOMAIN and address.rstrip("/") in (HUB_ADDRESS.rstrip("/"), "index.docker.io")):
            return auth
    return {}


def unpack_context(feed: Feed, target: Path) -> None:
    """Unpack a context; Failed where it is no tar."""
    try:
        unpack(feed, target)
    except Failed as error:
        raise Failed(error.message.replace("failed to register layer", "Error processing tar file")) from error
    ignored = target / ".dockerignore"
    if ignored.is_file() and not ignored.is_symlink():
        # buildah keeps a space behind the "!" of an exception, which is then none; Docker takes it away.
        lines = ignored.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
        ignored.write_text("".join(f"{exception(line)}\n" for line in lines), encoding="utf-8", errors="surrogateescape")


def exception(line: str) -> str:
    """A line of .dockerignore without the spaces that mean nothing."""
    line = line if line.startswith("#") else line.strip()
    return "!" + line[1:].strip() if line.startswith("!") else line


def read_dockerfile(context: Path, name: str) -> str:
    """The Dockerfile of a context, which no link may lead out of; Invalid in Docker's words."""
    root = context.resolve()
    path = (root / name.lstrip("/")).resolve()
    if not path.is_relative_to(root):
        raise Invalid(f"Forbidden path outside the build context: {name} ()")
    if not path.is_file():
        alternative = root / "dockerfile"
        if name != "Dockerfile" or not alternative.is_file() or alternative.is_symlink():
            raise Invalid(f"Cannot locate specified Dockerfile: {name}")
        path = alternative
    text = path.read_text(encoding="utf-8", errors="replace")
    if not text:
        raise Invalid(f"the Dockerfile ({name}) cannot be empty")
    return text
