"""Images to archives and back: docker-archive and OCI layout in one tar, as `docker save` has written since 25.0; blocking, for worker threads."""

from __future__ import annotations

import hashlib
import os
import posixpath
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from ..errors import Failed, Invalid
from ..host.layers import Note
from ..host.transfers import Stopped
from ..host.unpack import CHUNK, Plain, Source
from ..images.layout import LAYOUT, Entry, entries_of_index, entries_of_manifest, parse_names
from ..images.manifest import OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Descriptor, Index, digest_of, image_of, manifest_of
from ..images.model import Image
from ..images.reference import parse_stored
from ..records import dataclass
from .content import Content, Lease

Report = Callable[[dict[str, Any]], None]
BLOCK = 512


@dataclass(frozen=True, slots=True)
class Archived:
    """An image that came out of an archive, and the names that it had there."""

    image: Image
    names: tuple[str, ...]


@dataclass
class Loader:
    """Brings archives into the content store; used with `with`, which takes its scratch directory away."""

    content: Content
    lease: Lease
    stopped: threading.Event
    files: dict[str, Path] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Loader:
        self.scratch = Path(tempfile.mkdtemp(prefix="load-", dir=self.content.layers.root / "tmp"))
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)

    def load(self, source: Source, report: Report) -> list[Archived]:
        """All images of an archive; Invalid where it is none. Their layers are held by the lease."""
        self.spool(source)
        if "manifest.json" in self.files:
            entries = entries_of_manifest(self.files["manifest.json"].read_bytes())
        elif "index.json" in self.files:
            entries = entries_of_index(self.files["index.json"].read_bytes(), lambda name: self.file(name).read_bytes())
        else:
            raise Invalid("invalid archive: does not contain a manifest.json")
        return [self.image(entry, report) for entry in entries]

    def spool(self, source: Source) -> None:
        """Write the archive's files out, for the list of contents may come last."""
        links: dict[str, str] = {}
        try:
            with tarfile.open(fileobj=Plain(source), mode="r|", bufsize=CHUNK) as tar:  # type: ignore[call-overload]
                for entry in tar:
                    name = posixpath.normpath(entry.name).lstrip("/")
                    if entry.issym() or entry.islnk():  # archives of old store equal layers once
                        base = posixpath.dirname(name) if entry.issym() else ""
                        links[name] = posixpath.normpath(posixpath.join(base, entry.linkname)).lstrip("/")
                    elif entry.isreg() and (content := tar.extractfile(entry)) is not None:
                        self.files[name] = self.scratch / str(len(self.files))
                        self.digests[name] = self.write(content, self.files[name])
        except tarfile.TarError as error:
            raise Invalid(f"invalid archive: {error}") from error
        for name, target in links.items():
            if target in self.files:
                self.files[name], self.digests[name] = self.files[target], self.digests[target]

    def write(self, content: Source, target: Path) -> str:
        """Write a file; the digest of its bytes."""
        digest = hashlib.sha256()
        with target.open("wb") as out:
            while chunk := content.read(CHUNK):
                self.check()
                digest.update(chunk)
                out.write(chunk)
        return f"sha256:{digest.hexdigest()}"

    def file(self, name: str) -> Path:
        """A file of the archive; Invalid where it lacks it."""
        found = self.files.get(posixpath.normpath(name))
        if found is None:
            raise Invalid(f"invalid archive: does not contain {name}")
        return found

    def image(self, entry: Entry, report: Report) -> Archived:
        """One image: its layers unpacked where the store lacks them, its configuration stored."""
        config = self.file(entry.config).read_bytes()
        image = image_of(config)
        if image.os != "linux":
            raise Failed(f"cannot load {image.os} image on linux")
        if len(image.diff_ids) != len(entry.layers):
            raise Invalid(f"invalid manifest, layers length mismatch: expected {len(image.diff_ids)}, got {len(entry.layers)}")
        self.lease.add([image.id, *image.diff_ids])
        for name, diff_id in zip(entry.layers, image.diff_ids, strict=True):
            if not self.content.layers.has(diff_id):
                self.layer(self.file(name), self.digests[posixpath.normpath(name)], diff_id, report)
        self.content.blobs.put(config)
        sizes = tuple(self.content.layers.note(diff_id).size for diff_id in image.diff_ids)
        return Archived(msgspec.structs.replace(image, sizes=sizes), parse_names(entry.names))

    def layer(self, file: Path, digest: str, wanted: str, report: Report) -> tuple[str, int]:
        """Unpack and store one layer's tar; its diff id and the bytes of its files. `wanted` "" takes any."""
        total, done = file.stat().st_size, 0

        def consumed(size: int) -> None:
            nonlocal done
            self.check()
            done += size
            report({"status": "Loading layer", "progressDetail": {"current": done, "total": total}, "id": wanted.removeprefix("sha256:")[:12]})

        with file.open("rb") as source:
            draft = self.content.layers.unpack(source, consumed=consumed)
        diff_id = draft.unpacked.diff_id
        if wanted and diff_id != wanted:
            draft.discard()
            raise Invalid(f"invalid diffID for layer {file.name}: expected {wanted!r}, got {diff_id!r}")
        self.lease.add([diff_id])
        if digest == diff_id:  # plain tar: kept compressed, to be given away again bit by bit
            digest = self.compress(file)
            media_type = f"{OCI_LAYER}+zstd"
        else:
            with file.open("rb") as source:
                media_type = f"{OCI_LAYER}+{Plain(source).compression}"
        self.lease.add([digest])
        size = file.stat().st_size
        # The archive may name a file twice: it is copied by link, so that it can be adopted twice.
        twin = file.with_suffix(".blob")
        twin.unlink(missing_ok=True)
        os.link(file, twin)
        self.content.blobs.adopt(twin, digest)
        self.content.layers.publish([(draft, Note(digest, media_type, size, draft.unpacked.tar_size, draft.unpacked.size))])
        return diff_id, draft.unpacked.size

    def compress(self, file: Path) -> str:
        """Compress a file in its place; the digest of what it is then."""
        digest = hashlib.sha256()
        packed = file.with_suffix(".zst")
        compressor = zstandard.ZstdCompressor(level=1).compressobj()
        with file.open("rb") as source, packed.open("wb") as out:
            while chunk := source.read(CHUNK):
                self.check()
                piece = compressor.compress(chunk)
                digest.update(piece)
                out.write(piece)
            piece = compressor.flush()
            digest.update(piece)
            out.write(piece)
        packed.rename(file)
        return f"sha256:{digest.hexdigest()}"

    def import_layer(self, source: Source) -> tuple[str, int]:
        """A tar of a root file system as a layer; its diff id and the bytes of its files."""
        file = self.scratch / "import"
        return self.layer(file, self.write(source, file), "", lambda message: None)

    def check(self) -> None:
        if self.stopped.is_set():
            raise Stopped


def archive(content: Content, chosen: Sequence[tuple[Image, tuple[str, ...]]]) -> Iterator[bytes]:
    """The bytes of an archive of images with their tags; layers are plain tars under their diff ids, as Docker writes them."""
    manifests: list[tuple[Image, tuple[str, ...], bytes]] = []
    for image, names in chosen:
        notes = {diff_id: content.layers.note(diff_id) for diff_id in image.diff_ids}
        layers = [Descriptor(media_type=OCI_LAYER, digest=diff_id, size=notes[diff_id].tar_size) for diff_id in image.diff_ids]
        manifests.append((image, names, manifest_of(content.blobs.read(image.id), layers)))
    written: set[str] = set()
    for image, _, manifest in manifests:
        for diff_id in image.diff_ids:
            if diff_id not in written:
                written.add(diff_id)
                yield from layer_entry(content, diff_id)
        for data in (content.blobs.read(image.id), manifest):
            if digest_of(data) not in written:
                written.add(digest_of(data))
                yield from small_entry(blob_name(digest_of(data)), data)
    yield from small_entry("index.json", msgspec.json.encode(Index(manifests=tuple(descriptors(manifests)), media_type=OCI_INDEX)))
    listing = [
        {"Config": blob_name(image.id), "RepoTags": list(names) or None, "Layers": [blob_name(d) for d in image.diff_ids]}
        for image, names, _ in manifests
    ]
    yield from small_entry("manifest.json", msgspec.json.encode(listing))
    yield from small_entry("oci-layout", LAYOUT)
    yield from small_entry("repositories", msgspec.json.encode(repositories(manifests)))
    yield bytes(2 * BLOCK)


def descriptors(manifests: Sequence[tuple[Image, tuple[str, ...], bytes]]) -> Iterator[Descriptor]:
    """The index's entries: one a name, one for an image without."""
    for _, names, manifest in manifests:
        for name in names or ("",):
            annotations: Mapping[str, str] | None = None
            if name:
                reference = parse_stored(name)
                annotations = {"io.containerd.image.name": str(reference), "org.opencontainers.image.ref.name": reference.tag}
            yield Descriptor(media_type=OCI_MANIFEST, digest=digest_of(manifest), size=len(manifest), annotations=annotations)


def repositories(manifests: Sequence[tuple[Image, tuple[str, ...], bytes]]) -> dict[str, dict[str, str]]:
    """The list of names that readers of before 2016 want."""
    found: dict[str, dict[str, str]] = {}
    for image, names, _ in manifests:
        for name in names:
            reference = parse_stored(name)
            found.setdefault(reference.familiar_name, {})[reference.tag] = image.diff_ids[-1].removeprefix("sha256:") if image.diff_ids else ""
    return found


def layer_entry(content: Content, diff_id: str) -> Iterator[bytes]:
    """A layer as a plain tar; Failed where the stored blob does not give the tar that it gave once."""
    note = content.layers.note(diff_id)
    yield header(blob_name(diff_id), note.tar_size)
    with content.blobs.path(note.blob).open("rb") as blob:
        plain = Plain(blob)
        while chunk := plain.read(CHUNK):
            yield chunk
    if f"sha256:{plain.digest.hexdigest()}" != diff_id:
        raise Failed(f"the blob of layer {diff_id} is damaged", hint="remove the image and pull it again")
    yield padding(note.tar_size)


def small_entry(name: str, data: bytes) -> Iterator[bytes]:
    yield header(name, len(data)) + data + padding(len(data))


def header(name: str, size: int) -> bytes:
    """A tar header of a file; times are zero, so that equal images give equal archives."""
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf(tarfile.GNU_FORMAT)


def padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


def blob_name(digest: str) -> str:
    """Where a blob lies in an OCI layout."""
    return f"blobs/{digest.replace(':', '/')}"
