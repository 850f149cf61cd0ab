"""What `POST /build/prune` asks for, and what of the builder's cache goes for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..records import dataclass


@dataclass(frozen=True, slots=True)
class CacheWish:
    """How much of the cache goes. Bytes, 0 for not said; `before` in nanoseconds of Unix time: what was made later stays."""

    before: int | None = None
    reserved: int = 0
    most: int = 0
    least_free: int = 0

    @property
    def bounded(self) -> bool:
        """Whether sizes say when it is enough."""
        return bool(self.reserved or self.most or self.least_free)

    @property
    def everything(self) -> bool:
        """Whether nothing is to stay."""
        return self.before is None and not self.bounded

    def keep(self, total: int, free: int) -> int:
        """The bytes that may stay of a cache of `total` where the disk has `free`: BuildKit's rule, which takes as little as it can."""
        if not self.bounded:
            return 0
        excess = self.least_free - free
        wanted = min(self.most, total - excess) if excess > 0 else self.most
        return max(wanted, self.reserved)


@dataclass(frozen=True, slots=True)
class Cached:
    """A step's image in the cache: its topmost layer ("" where it has none) and when it was made, in nanoseconds of Unix time."""

    id: str
    layer: str
    made: int


@dataclass(frozen=True, slots=True)
class Record:
    """A step's image as `system df` shows it: what it was built on ("" for nothing here), the bytes that it alone has, and the step's text."""

    image: Cached
    parent: str
    size: int
    step: str = ""
    used: bool = False  # by a build that goes on


def records(images: Sequence[Cached], parents: Mapping[str, str], sizes: Mapping[str, int]) -> list[Record]:
    """A record an image, the oldest first; `parents` and `sizes` (bytes) are those of layers. Together they have the size of all layers."""
    latest: dict[str, str] = {}  # by layer: the image that was made of it last so far
    owned: set[str] = set()
    found = []
    for image in sorted(images, key=lambda image: (image.made, image.id)):
        layer, size, parent = image.layer, 0, ""
        while layer:
            parent = parent or latest.get(layer, "")
            if layer not in owned:
                owned.add(layer)
                size += sizes.get(layer, 0)
            layer = parents.get(layer, "")
        latest[image.layer] = image.id
        found.append(Record(image, parent, size))
    return found


def next_to_go(images: Sequence[Cached], parents: Mapping[str, str], before: int | None, kept: Collection[str] = ()) -> Cached | None:
    """The oldest image that no other one is built on, of those made before a moment; `parents` are those of layers, `kept` are not asked again.

    A step that adds no layer has its parent's: of two images with the same one the later is built on the earlier.
    """
    beneath: set[str] = set()
    for image in images:
        layer = parents.get(image.layer, "")
        while layer and layer not in beneath:
            beneath.add(layer)
            layer = parents.get(layer, "")
    latest: dict[str, int] = {}
    for image in images:
        latest[image.layer] = max(latest.get(image.layer, 0), image.made)
    free = [
        image
        for image in images
        if image.id not in kept and image.layer not in beneath and image.made == latest[image.layer] and (before is None or image.made < before)
    ]
    return min(free, key=lambda image: (image.made, image.id), default=None)
