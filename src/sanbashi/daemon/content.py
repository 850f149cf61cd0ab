"""Blobs and layers together: who holds which, and what may go."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import field, replace
from pathlib import Path

import immutables

from ..containers.model import Container
from ..host.blobs import Blobs
from ..host.layers import Layers
from ..images.model import Image
from ..records import dataclass
from .state import State


class Lease:
    """Digests (of blobs and layers) that a pull or a load in progress needs: nothing may collect them."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.digests: list[str] = []

    def add(self, digests: Iterable[str]) -> None:
        """Hold more; waits while a collection runs, so what is found afterwards stays."""
        with self.content.lock:
            for digest in digests:
                self.digests.append(digest)
                self.content.held[digest] += 1


@dataclass
class Content:
    """What lies under the data root for images. Methods block and are safe to call from several threads."""

    data_root: Path
    state: Callable[[], State]
    lock: threading.Lock = field(default_factory=threading.Lock)
    held: Counter[str] = field(default_factory=Counter)
    making: immutables.Map[str, Container] = immutables.Map()  # containers that are being made, by id; replaced on the loop's thread only

    def __post_init__(self) -> None:
        self.blobs = Blobs(self.data_root / "blobs")
        self.layers = Layers(self.data_root / "layers")

    @contextlib.contextmanager
    def lease(self) -> Iterator[Lease]:
        """Hold digests until the block ends, which is after they are in the state or have failed to get there."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            with self.lock:
                self.held.subtract(lease.digests)
                self.held += Counter()

    @contextlib.contextmanager
    def standing(self, container: Container) -> Iterator[None]:
        """A container that is being made counts among those that use images, until it is in the state or has failed to get there."""
        self.making = self.making.set(container.id, container)
        try:
            yield
        finally:
            self.making = self.making.delete(container.id)

    def in_use(self) -> State:
        """The state with the containers that are being made."""
        while True:
            making, state = self.making, self.state()
            if self.making is making:  # none has gone from the one to the other between our looks
                new = {id_: container for id_, container in making.items() if id_ not in state.containers}
                return replace(state, containers=state.containers.update(new))

    def collect(self, doomed: Iterable[Image]) -> int:
        """Remove what images that have gone from the state leave behind; the bytes of files that this frees."""
        doomed = list(doomed)
        freed = self.drop(diff_id for image in doomed for diff_id in image.diff_ids)
        with self.lock:
            for image in doomed:
                for digest in filter(None, (image.id, image.manifest)):
                    if image.id not in self.state().images and not self.held[digest]:
                        self.blobs.remove(digest)
        return freed

    def drop(self, diff_ids: Iterable[str]) -> int:
        """Remove those of these layers that nobody needs, with the blobs that they came as; the bytes of files that this frees."""
        freed = 0
        with self.lock:
            kept = used_layers(self.in_use())
            for diff_id in diff_ids:
                if diff_id not in kept and not self.held[diff_id] and self.layers.has(diff_id):
                    note = self.layers.note(diff_id)
                    self.layers.remove(diff_id)
                    freed += note.size
                    if not self.held[note.blob]:
                        self.blobs.remove(note.blob)
        return freed

    def bereft(self, container: Container) -> list[str]:
        """The layers of a container's images that went before it, by force: to be dropped when it has gone."""
        images = self.state().images
        return [diff_id for image_id, layers in container.stands_on if image_id not in images for diff_id in layers]

    def forget(self, blob: str) -> None:
        """Remove a layer's blob that another one stands for now, unless somebody reads it."""
        with self.lock:
            if not self.held[blob]:
                self.blobs.remove(blob)

    def sweep(self) -> None:
        """Remove what no image or container of the state needs. For the start, when nothing is pulled."""
        state = self.state()
        kept = used_layers(state)
        self.layers.sweep(kept)
        notes = (self.layers.note(diff_id) for diff_id in kept if self.layers.has(diff_id))
        self.blobs.sweep({*state.images, *(i.manifest for i in state.images.values()), *(note.blob for note in notes)})

    def is_whole(self, image: Image) -> bool:
        """Whether everything of an image is there."""
        return self.blobs.has(image.id) and all(self.layers.has(diff_id) for diff_id in image.diff_ids)


def used_layers(state: State) -> Collection[str]:
    """The diff ids that images and containers of a state stand on."""
    standing = (layers for c in state.containers.values() for _, layers in c.stands_on)
    return {d for image in state.images.values() for d in image.diff_ids}.union(*standing)
