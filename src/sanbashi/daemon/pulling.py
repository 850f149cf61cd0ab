"""One pull: manifest, configuration, layers side by side; blocking, in a worker thread, told of each step in Docker's progress messages."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import field
from typing import Any

import msgspec

from ..errors import Failed, NotFound
from ..host.blobs import DigestMismatch
from ..host.layers import Draft, Note
from ..host.registry import Answer, Registry, Session
from ..host.transfers import Credentials, Stopped
from ..images.manifest import Descriptor, Manifest, Platform, choose, image_of, parse_manifest
from ..images.model import Image
from ..images.reference import Reference
from ..records import dataclass
from .content import Content, Lease

Report = Callable[[dict[str, Any]], None]
NESTED = 4  # lists of lists; nobody has more than one
UNPACKING = 2  # layers at once, of all pulls; more only fight for the processor
EVERY = 0.1  # seconds between two progress messages of a layer


@dataclass(frozen=True, slots=True)
class Pulled:
    """An image that stands in the store, and the digest of the manifest (or list) that its name led to."""

    image: Image
    digest: str
    is_new: bool


@dataclass
class Puller:
    """Brings images from registries into the content store. `downloads` bounds the transfers of all pulls together."""

    registry: Registry
    content: Content
    host: Platform
    downloads: threading.Semaphore
    unpacking: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(UNPACKING))

    def pull(
        self, wish: Reference, platform: Platform | None, credentials: Credentials, report: Report, stopped: threading.Event, lease: Lease
    ) -> Pulled:
        """Bring what a reference names. Its layers are on the disk and held by the lease when this returns."""
        session = self.registry.session(wish, credentials, stopped)
        top = session.manifest(wish.digest or wish.tag)
        report({"status": f"Pulling from {wish.path}", "id": str(wish) if wish.digest else wish.tag})
        manifest, data = self.manifest_for(session, top, platform or self.host)
        known = self.content.state().images.get(manifest.config.digest)
        lease.add([manifest.config.digest, *(d.digest for d in manifest.layers)])
        if known is not None:
            lease.add(known.diff_ids)
            if self.content.is_whole(known):
                return Pulled(known, top.digest, False)
        image = image_of(self.config(session, manifest.config))
        check(image, manifest, wish, platform)
        lease.add(image.diff_ids)
        drafts = self.layers(session, manifest, image, report, stopped)
        try:
            self.content.layers.publish(drafts)
        except BaseException:
            discard(drafts)
            raise
        notes = [self.content.layers.note(diff_id) for diff_id in image.diff_ids]
        kept = self.content.blobs.put(data)  # for a push: the same bytes under another name
        lease.add([kept])
        return Pulled(msgspec.structs.replace(image, sizes=tuple(note.size for note in notes), manifest=kept), top.digest, True)

    def manifest_for(self, session: Session, answer: Answer, platform: Platform) -> tuple[Manifest, bytes]:
        """The manifest itself, through lists, and its bytes."""
        for _ in range(NESTED):
            document = parse_manifest(answer.data, answer.media_type)
            if isinstance(document, Manifest):
                return document, answer.data
            answer = session.manifest(choose(document, platform).digest)
        raise Failed("the registry's manifest lists are nested too deep")

    def config(self, session: Session, descriptor: Descriptor) -> bytes:
        """The image's configuration, from the store or the registry."""
        with self.content.blobs.alone(descriptor.digest):
            if not self.content.blobs.has(descriptor.digest):
                self.fetch(session, descriptor, lambda size: None)
        return self.content.blobs.read(descriptor.digest)

    def layers(self, session: Session, manifest: Manifest, image: Image, report: Report, stopped: threading.Event) -> list[tuple[Draft, Note]]:
        """The layers that the store lacks, fetched and unpacked side by side; all or none."""
        missing: dict[str, Descriptor] = {}
        for descriptor, diff_id in zip(manifest.layers, image.diff_ids, strict=True):
            here = self.content.layers.has(diff_id)
            report({"status": "Already exists" if here else "Pulling fs layer", "progressDetail": {}, "id": short(descriptor)})
            if not here:
                missing.setdefault(diff_id, descriptor)
        drafts: list[tuple[Draft, Note]] = []
        with ThreadPoolExecutor(max_workers=max(1, min(8, len(missing))), thread_name_prefix="layer") as pool:
            works = [pool.submit(self.layer, session, descriptor, diff_id, report, stopped) for diff_id, descriptor in missing.items()]
            failure: BaseException | None = None
            for work in as_completed(works):
                error = work.exception()
                if error is None:
                    drafts.append(work.result())
                elif failure is None or isinstance(failure, Stopped):
                    failure = error
                    stopped.set()  # the others' work is in vain
        if failure is not None:
            discard(drafts)
            raise failure
        return drafts

    def layer(self, session: Session, descriptor: Descriptor, diff_id: str, report: Report, stopped: threading.Event) -> tuple[Draft, Note]:
        """One layer: fetched into the blob store, unpacked beside the layer store."""
        id_ = short(descriptor)
        progress = Progress(report, id_, "Downloading", descriptor.size)
        if not self.downloads.acquire(blocking=False):
            report({"status": "Waiting", "progressDetail": {}, "id": id_})
            self.downloads.acquire()
        try:
            with self.content.blobs.alone(descriptor.digest):
                if not self.content.blobs.has(descriptor.digest):
                    self.fetch(session, descriptor, progress.at)
        finally:
            self.downloads.release()
        report({"status": "Verifying Checksum", "progressDetail": {}, "id": id_})
        report({"status": "Download complete", "progressDetail": {}, "id": id_})
        with self.unpacking, self.content.blobs.path(descriptor.digest).open("rb") as blob:
            progress = Progress(report, id_, "Extracting", descriptor.size)

            def consumed(size: int) -> None:
                if stopped.is_set():
                    raise Stopped
                progress.more(size)

            draft = self.content.layers.unpack(blob, consumed=consumed)
        if draft.unpacked.diff_id != diff_id:
            draft.discard()
            raise Failed(f"layers from manifest don't match image configuration: {descriptor.digest} unpacks to {draft.unpacked.diff_id}")
        report({"status": "Pull complete", "progressDetail": {}, "id": id_})
        size = self.content.blobs.path(descriptor.digest).stat().st_size
        return draft, Note(descriptor.digest, descriptor.media_type, size, draft.unpacked.tar_size, draft.unpacked.size)

    def fetch(self, session: Session, descriptor: Descriptor, progress: Callable[[int], None]) -> None:
        """A blob into the store; bytes that turn out wrong are fetched once more from the start, they may have rotted on the way."""
        with contextlib.suppress(DigestMismatch):
            return self.fetch_once(session, descriptor, progress)
        return self.fetch_once(session, descriptor, progress)

    def fetch_once(self, session: Session, descriptor: Descriptor, progress: Callable[[int], None]) -> None:
        with self.content.blobs.ingest(descriptor.digest) as ingest:
            session.blob(descriptor, ingest, progress)


class Progress:
    """Docker's progress messages of one layer, not more often than anyone can read."""

    def __init__(self, report: Report, id_: str, status: str, total: int) -> None:
        self.report = report
        self.message = {"status": status, "id": id_}
        self.total = total
        self.current = 0
        self.last = 0.0

    def at(self, current: int) -> None:
        """So many bytes are done."""
        self.current = current
        now = time.monotonic()
        if now - self.last >= EVERY or current >= self.total:
            self.last = now
            self.report({**self.message, "progressDetail": {"current": current, "total": self.total}})

    def more(self, size: int) -> None:
        """So many bytes more are done."""
        if size:
            self.at(self.current + size)


def check(image: Image, manifest: Manifest, wish: Reference, platform: Platform | None) -> None:
    """Refuse what cannot be run or is not what was asked for."""
    if len(image.diff_ids) != len(manifest.layers):
        raise Failed("invalid rootfs in image configuration")
    if image.os != "linux":
        raise Failed(f'image operating system "{image.os}" cannot be used on this platform: operating system is not supported')
    if platform is not None and platform.architecture != image.architecture:
        actual = Platform(image.os, image.architecture, image.variant)
        raise NotFound(
            f"image with reference {wish.familiar} was found but does not provide the specified platform: wanted {platform}, actual: {actual}"
        )


def discard(drafts: list[tuple[Draft, Note]]) -> None:
    """Throw drafts away."""
    for draft, _ in drafts:
        draft.discard()


def short(descriptor: Descriptor) -> str:
    return descriptor.digest.removeprefix("sha256:")[:12]
