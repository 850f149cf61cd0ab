"""commit: a container's own changes become a layer, and with it an image."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from ..containers.committed import committed_config
from ..containers.model import Container
from ..errors import Conflict, Invalid
from ..host.inside import O_PATH_DIRECTORY
from ..host.packing import END, pack
from ..host.room import in_room
from ..images.changes import apply_changes
from ..images.manifest import config_of
from ..images.model import History, Image, ImageConfig
from ..images.reference import Reference, parse_reference
from ..records import dataclass
from .archives import Loader
from .content import Lease
from .core import Core
from .images import Images
from .lifecycle import Lifecycle


@dataclass
class Committing:
    """Makes images of containers."""

    core: Core
    images: Images
    lifecycle: Lifecycle

    async def commit(
        self,
        ref: str,
        *,
        reference: str = "",
        comment: str = "",
        author: str = "",
        pause: bool = True,
        changes: Sequence[str] = (),
        config: ImageConfig | None = None,
    ) -> str:
        """`POST /commit`: the image's id. `config` and `changes` go over the container's own configuration."""
        core, images = self.core, self.images
        container = core.find_container(ref)
        if container.state.status in ("removing", "dead"):
            raise Conflict(f"You cannot commit container {container.id} which is {container.state.status.capitalize()}")
        wish = parse_reference(reference).tagged() if reference else None
        if wish is not None and wish.digest:
            raise Invalid("cannot commit to digest reference")
        whole = committed_config(container.config, apply_changes(config or ImageConfig(), changes))
        async with images.lease() as lease:
            lease.add(container.layers)
            layer = await self.layer(container, lease, pause=pause)
            image = await asyncio.to_thread(in_room, self.image, container, layer, whole, comment, author)
            lease.add([image.id])
            image = await images.store(image, [wish.key] if wish else [])
        self.tell(container, image, wish, comment)
        return image.id

    async def layer(self, container: Container, lease: Lease, *, pause: bool) -> tuple[str, int] | None:
        """(diff id, bytes) of what the container has written; None where that is nothing. It stands still only while that is read."""
        stopped = threading.Event()
        frozen = pause and container.state.status == "running"
        with Loader(self.images.content, lease, stopped) as loader:
            file = loader.scratch / "layer"
            if frozen:
                frozen = await self.lifecycle.freezing.stand_still(container.id)
            try:
                upper = self.core.snapshots.directories(container.id).upper
                digest = await self.images.work(stopped, lambda: loader.write(Written(upper), file))
            finally:
                if frozen:
                    await self.lifecycle.freezing.move_on(container.id)
            if file.stat().st_size == len(END):
                return None
            return await self.images.work(stopped, lambda: loader.layer(file, digest, "", lambda message: None))

    def image(self, container: Container, layer: tuple[str, int] | None, config: ImageConfig, comment: str, author: str) -> Image:
        """The image, its configuration stored; blocking."""
        images = self.images
        base = self.core.state.images.get(container.image_id)
        created = images.now()
        own = History(created=created, created_by=" ".join(container.config.cmd or ()), author=author, comment=comment, empty_layer=layer is None)
        layers = images.content.layers
        image = Image(
            id="",
            created=created,
            architecture=base.architecture if base else images.host.architecture,
            variant=base.variant if base else images.host.variant,
            os=base.os if base else images.host.os,
            author=author,
            comment=comment,
            config=config,
            diff_ids=(*container.layers, *([layer[0]] if layer else [])),
            sizes=(*(layers.note(diff_id).size for diff_id in container.layers), *([layer[1]] if layer else [])),
            history=(*(base.history if base else [History(created=container.created)] * len(container.layers)), own),
            parent=base.id if base else "",
        )
        return msgspec.structs.replace(image, id=images.content.blobs.put(config_of(image)))

    def tell(self, container: Container, image: Image, wish: Reference | None, comment: str) -> None:
        """Docker's event."""
        self.core.tell_container("commit", container, comment=comment, imageID=image.id, imageRef=wish.familiar if wish else "")


class Written:
    """What a container has written, read as a layer's tar."""

    def __init__(self, upper: Path) -> None:
        self.pieces = packed(upper)
        self.waiting = b""

    def read(self, size: int = -1, /) -> bytes:
        while not self.waiting:
            piece = next(self.pieces, None)
            if piece is None:
                return b""
            self.waiting = piece
        end = size if size >= 0 else len(self.waiting)
        data, self.waiting = self.waiting[:end], self.waiting[end:]
        return data


def packed(upper: Path) -> Iterator[bytes]:
    """The layer's tar, in pieces."""
    directory = os.open(upper, O_PATH_DIRECTORY)
    try:
        yield from pack(directory, ".", "", layer=True, own=False)
    finally:
        os.close(directory)
