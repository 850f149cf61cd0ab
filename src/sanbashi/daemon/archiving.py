"""Images out of archives and into them: load, import, save."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from ..errors import Invalid, NotFound
from ..host.room import in_room
from ..images.changes import apply_changes
from ..images.manifest import Platform, config_of, parse_platform, suits
from ..images.model import History, Image, ImageConfig
from ..images.reference import image_id, parse_reference, parse_stored
from .archives import Archived, Loader, archive
from .feed import Feed
from .images import Images

Report = Callable[[dict[str, Any]], None]


class Archiving:
    """Archives as the API sends and asks for them. Called on the loop's thread; blocking work goes to worker threads."""

    def __init__(self, images: Images) -> None:
        self.images = images

    async def load(
        self, stream: AsyncIterable[bytes], *, quiet: bool = False, progress: Report = lambda message: None, platforms: Sequence[Platform] = ()
    ) -> tuple[Image, ...]:
        """Load the images of a docker-archive or an OCI layout, plain or compressed; of `platforms` alone where some are named, NotFound of none."""
        loop = asyncio.get_running_loop()
        stopped = threading.Event()

        def report(message: dict[str, Any]) -> None:
            if not quiet:
                loop.call_soon_threadsafe(progress, message)

        images = []
        async with self.images.lease() as lease:
            with Feed(stream, loop) as feed, Loader(self.images.content, lease, stopped) as loader:
                found: Sequence[Archived] = await self.images.work(stopped, lambda: loader.load(feed, report), feed.stop)
            chosen = [a for a in found if not platforms or any(suits(a.image, wanted) for wanted in platforms)]
            if not chosen and found:
                words = ", ".join(map(str, platforms))
                raise NotFound(f"no image of the archive provides the specified platform ({words})")
            for archived in chosen:
                for name in archived.names:
                    holder = self.images.state().image_names.get(name)
                    if holder is not None and holder != archived.image.id:
                        text = f"The image {name} already exists, renaming the old one with ID {holder} to empty string\n"
                        progress({"stream": text})
                images.append(await self.images.store(archived.image, archived.names))
                for line in [f"Loaded image: {name}\n" for name in archived.names] or [f"Loaded image ID: {archived.image.id}\n"]:
                    progress({"stream": line})
                self.images.tell("load", archived.image.id, archived.image.id, archived.image)
        await asyncio.to_thread(self.images.content.collect, [archived.image for archived in found if archived not in chosen])
        return tuple(images)

    async def import_(
        self,
        stream: AsyncIterable[bytes],
        *,
        reference: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        platform: str = "",
        source: str = "-",
        progress: Report = lambda message: None,
    ) -> Image:
        """Make an image of one tar of a root file system, named `reference` unless that is ""."""
        wish = parse_reference(reference).tagged() if reference else None
        if wish is not None and wish.digest:
            raise Invalid("cannot import digest reference")
        config = apply_changes(ImageConfig(), changes)
        target = parse_platform(platform, self.images.host)
        stopped = threading.Event()
        created = self.images.now()
        comment = message or f"Imported from {source}"
        async with self.images.lease() as lease:
            with Feed(stream, asyncio.get_running_loop()) as feed, Loader(self.images.content, lease, stopped) as loader:
                diff_id, size = await self.images.work(stopped, lambda: loader.import_layer(feed), feed.stop)
            image = Image(
                id="",
                created=created,
                architecture=target.architecture,
                variant=target.variant,
                os=target.os,
                comment=comment,
                config=config,
                diff_ids=(diff_id,),
                sizes=(size,),
                history=(History(created=created, comment=comment),),
            )
            document = config_of(image)
            id_ = await asyncio.to_thread(in_room, self.images.content.blobs.put, document)
            image = await self.images.store(msgspec.structs.replace(image, id=id_), [wish.key] if wish else [])
        progress({"status": image.id})
        self.images.tell("import", image.id, wish.familiar if wish else image.id, image)
        return image

    def save(self, references: Sequence[str]) -> AsyncIterator[bytes]:
        """An archive of images, a docker-archive and an OCI layout at once; NotFound at once, not in the middle of the answer."""
        chosen: dict[str, tuple[str, ...]] = {}
        for reference in references:
            for image, names in self.chosen(reference):
                chosen[image.id] = tuple(dict.fromkeys((*chosen.get(image.id, ()), *names)))
        images = self.images.state().images
        return self.saved([(images[id_], names) for id_, names in chosen.items()])

    async def saved(self, chosen: Sequence[tuple[Image, tuple[str, ...]]]) -> AsyncIterator[bytes]:
        with self.images.content.lease() as lease:
            lease.add([digest for image, _ in chosen for digest in (image.id, *image.diff_ids)])
            pieces = archive(self.images.content, chosen)
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                yield piece
        for image, _ in chosen:
            self.images.tell("save", image.id, image.id, image)

    def chosen(self, reference: str) -> Sequence[tuple[Image, tuple[str, ...]]]:
        """Images to save and the tags to save them under: the tag named, all of a repository named, none for an id."""
        images = self.images.state().images
        wish = None if image_id(reference) else parse_reference(reference)
        if wish is not None and not wish.suffix:
            tags = {i.id: tuple(t for t in i.repo_tags if parse_stored(t).familiar_name == wish.familiar_name) for i in images.values()}
            if any(tags.values()):
                return [(images[id_], names) for id_, names in tags.items() if names]
        image = self.images.find(reference)
        if image is None:
            raise NotFound("reference does not exist" if wish is not None and wish.suffix else f"No such image: {reference}")
        return [(image, tuple(t for t in image.repo_tags if wish is not None and t == wish.key))]
