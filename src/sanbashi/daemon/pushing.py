"""One push: layers side by side, then the configuration and the manifest; blocking, told of each step in Docker's progress messages."""

from __future__ import annotations

import gzip
import hashlib
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import field
from pathlib import Path
from typing import Any

import msgspec

from ..host.layers import Note
from ..host.registry import Registry
from ..host.transfers import Credentials, Stopped
from ..host.unpack import CHUNK, Plain
from ..host.upload import Uploader
from ..images.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    digest_of,
    parse_manifest,
)
from ..images.model import Image
from ..images.reference import Reference, parse_stored
from ..records import dataclass
from .content import Content, Lease
from .pulling import Progress

Report = Callable[[dict[str, Any]], None]
UPLOADS = 5  # at once, of one push
MOUNTS = 4  # repositories that are tried for a layer


@dataclass(frozen=True, slots=True)
class Part:
    """A layer to push: its diff id, its blob in the manifest, and the blob's file where the store has it."""

    diff_id: str
    descriptor: Descriptor
    file: Path | None

    @property
    def id(self) -> str:
        return self.diff_id.removeprefix("sha256:")[:12]


@dataclass
class Pusher:
    """Brings images of the content store to registries. `packing` lets one layer at a time be compressed anew."""

    registry: Registry
    content: Content
    packing: threading.Lock = field(default_factory=threading.Lock)

    def push(
        self, wish: Reference, image: Image, credentials: Credentials, report: Report, stopped: threading.Event, lease: Lease
    ) -> tuple[str, int]:
        """Push an image under a tag; the digest and the size of its manifest. The image's layers are held by the lease."""
        uploader = Uploader(self.registry.writer(wish, credentials, stopped))
        for diff_id in image.diff_ids:
            report({"status": "Preparing", "progressDetail": {}, "id": diff_id.removeprefix("sha256:")[:12]})
        uploader.open_()
        config = self.content.blobs.read(image.id)
        data, parts = self.kept(image) or self.made(image, config, lease, stopped)
        present = {p.descriptor.digest for p in parts if p.file is None and not p.descriptor.urls and self.is_there(uploader, p, wish)}
        if any(p.file is None and not p.descriptor.urls and p.descriptor.digest not in present for p in parts):
            data, parts = self.made(image, config, lease, stopped)
        self.layers(uploader, parts, present, wish, report, stopped)
        if not uploader.has(image.id):
            uploader.put(image.id, config)
        media_type = msgspec.json.decode(data, type=Manifest).media_type or OCI_MANIFEST
        uploader.manifest(wish.tag or digest_of(data), data, media_type)
        return digest_of(data), len(data)

    def kept(self, image: Image) -> tuple[bytes, list[Part]] | None:
        """The manifest that the image was pulled with, byte for byte, and its layers; None where there is none."""
        if not image.manifest or not self.content.blobs.has(image.manifest):
            return None
        data = self.content.blobs.read(image.manifest)
        manifest = parse_manifest(data)
        assert isinstance(manifest, Manifest)
        parts = []
        for diff_id, layer in zip(image.diff_ids, manifest.layers, strict=True):
            path = self.content.blobs.path(layer.digest)
            parts.append(Part(diff_id, layer, path if path.exists() else None))
        return data, parts

    def made(self, image: Image, config: bytes, lease: Lease, stopped: threading.Event) -> tuple[bytes, list[Part]]:
        """A manifest made of the layers as they are stored: Docker's own kind, which every registry and client takes; OCI's where a layer is zstd."""
        notes = [self.portable(diff_id, lease, stopped) for diff_id in image.diff_ids]
        zstd = any(note.media_type.endswith("zstd") for note in notes)
        kinds = (OCI_MANIFEST, OCI_CONFIG, f"{OCI_LAYER}+gzip") if zstd else (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER)
        layers = [
            Descriptor(media_type=f"{OCI_LAYER}+zstd" if note.media_type.endswith("zstd") else kinds[2], digest=note.blob, size=note.blob_size)
            for note in notes
        ]
        head = Descriptor(media_type=kinds[1], digest=image.id, size=len(config))
        data = msgspec.json.encode(Manifest(config=head, layers=tuple(layers), media_type=kinds[0]))
        parts = [Part(d, layer, self.content.blobs.path(layer.digest)) for d, layer in zip(image.diff_ids, layers, strict=True)]
        return data, parts

    def portable(self, diff_id: str, lease: Lease, stopped: threading.Event) -> Note:
        """A layer in a form that clients of any age read: what came from a registry as it came, what was made here as gzip, made so once."""
        with self.packing:
            note = self.content.layers.note(diff_id)
            with self.content.blobs.path(note.blob).open("rb") as blob:
                compression = Plain(blob).compression
            if compression == "gzip" or (compression == "zstd" and note.blob in self.pulled_blobs(diff_id)):
                return note
            scratch = self.content.layers.root / "tmp" / f"{secrets.token_hex(8)}.gz"
            try:
                digest = pack(self.content.blobs.path(note.blob), scratch, stopped)
                lease.add([digest])
                packed = Note(digest, f"{OCI_LAYER}+gzip", scratch.stat().st_size, note.tar_size, note.size)
                self.content.blobs.adopt(scratch, digest)
            finally:
                scratch.unlink(missing_ok=True)
            self.content.layers.renote(diff_id, packed)
            self.content.forget(note.blob)
            return packed

    def pulled_blobs(self, diff_id: str) -> set[str]:
        """The blobs that the manifests of pulled images name for a layer."""
        found: set[str] = set()
        for image in self.content.state().images.values():
            if image.manifest and diff_id in image.diff_ids and (kept := self.kept(image)) is not None:
                found |= {part.descriptor.digest for part in kept[1] if part.diff_id == diff_id}
        return found

    def is_there(self, uploader: Uploader, part: Part, wish: Reference) -> bool:
        """Whether the repository has a layer, or could take it over from another one."""
        return uploader.has(part.descriptor.digest) or bool(self.mounted(uploader, part, wish))

    def mounted(self, uploader: Uploader, part: Part, wish: Reference) -> str:
        """Take a layer over from a repository of the same registry that it came from or went to; its name, "" where that does not work."""
        for source in self.repositories(part.diff_id, wish)[:MOUNTS]:
            if uploader.mount(part.descriptor.digest, source):
                return source
        return ""

    def repositories(self, diff_id: str, wish: Reference) -> list[str]:
        """The other repositories of the registry in which images with this layer were seen, the likeliest first."""
        found: dict[str, None] = {}
        for image in self.content.state().images.values():
            if diff_id in image.diff_ids:
                for name in image.repo_digests:
                    reference = parse_stored(name)
                    if reference.domain == wish.domain and reference.path != wish.path:
                        found[reference.path] = None
        return list(found)

    def layers(self, uploader: Uploader, parts: list[Part], present: set[str], wish: Reference, report: Report, stopped: threading.Event) -> None:
        """Bring the layers to the registry side by side; the first failure ends them all."""
        unique = {part.descriptor.digest: part for part in parts}
        with ThreadPoolExecutor(max_workers=max(1, min(UPLOADS, len(unique))), thread_name_prefix="push") as pool:
            works = [pool.submit(self.layer, uploader, part, part.descriptor.digest in present, wish, report) for part in unique.values()]
            if len(works) > UPLOADS:
                for part in list(unique.values())[UPLOADS:]:
                    report({"status": "Waiting", "progressDetail": {}, "id": part.id})
            failure: BaseException | None = None
            for work in as_completed(works):
                error = work.exception()
                if error is not None and (failure is None or isinstance(failure, Stopped)):
                    failure = error
                    stopped.set()
        if failure is not None:
            raise failure

    def layer(self, uploader: Uploader, part: Part, present: bool, wish: Reference, report: Report) -> None:
        """One layer: known to be there, found there, mounted, or sent."""

        def tell(status: str) -> None:
            report({"status": status, "progressDetail": {}, "id": part.id})

        if part.descriptor.urls and part.file is None:
            tell("Skipped foreign layer")
        elif present or uploader.has(part.descriptor.digest):
            tell("Layer already exists")
        elif source := self.mounted(uploader, part, wish):
            tell(f"Mounted from {parse_stored(f'{wish.domain}/{source}').familiar_name.removeprefix(f'{wish.domain}/')}")
        else:
            assert part.file is not None
            uploader.send(part.descriptor.digest, part.file, Progress(report, part.id, "Pushing", part.descriptor.size).at)
            tell("Pushed")


def pack(blob: Path, target: Path, stopped: threading.Event) -> str:
    """Write a layer as gzip, the same bytes whenever it is done; the digest."""
    digest = hashlib.sha256()
    with blob.open("rb") as source, target.open("xb") as out:

        class Hashed:
            def write(self, data: bytes) -> int:
                digest.update(data)
                return out.write(data)

            def flush(self) -> None:
                out.flush()

        plain = Plain(source)
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=Hashed(), mtime=0) as packed:
            while chunk := plain.read(CHUNK):
                if stopped.is_set():
                    raise Stopped
                packed.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    return f"sha256:{digest.hexdigest()}"
