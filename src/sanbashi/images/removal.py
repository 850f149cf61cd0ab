"""What `rmi` and `image prune` take away: which names, which images, which layers; refusals in Docker's sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Literal

import msgspec

from ..containers.model import Container
from ..errors import Conflict
from ..records import dataclass
from .layers import chain_ids
from .model import Image
from .reference import parse_stored

Line = tuple[Literal["Untagged", "Deleted"], str]


@dataclass
class Removal:
    """A removal being worked out: `images` as they will be, what Docker prints, and the ids of images that go."""

    images: dict[str, Image]
    containers: Sequence[Container]
    lines: list[Line] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)
    deleted: list[Image] = field(default_factory=list)

    def untag(self, image_id: str, name: str) -> None:
        """Take one name from an image."""
        image = self.images[image_id]
        self.images[image_id] = msgspec.structs.replace(
            image,
            repo_tags=tuple(t for t in image.repo_tags if t != name),
            repo_digests=tuple(d for d in image.repo_digests if d != name),
        )
        self.lines.append(("Untagged", name))
        self.touched.append(image_id)

    def delete(self, image_id: str) -> None:
        """Take an image away with all its names; layers that nobody needs any more are told by their chain ids."""
        for name in names_of(self.images[image_id]):
            self.untag(image_id, name)
        image = self.images.pop(image_id)
        self.deleted.append(image)
        self.lines.append(("Deleted", image.id))
        used = {chain for other in self.images.values() for chain in chain_ids(other.diff_ids)}
        used |= {chain for container in self.containers for _, layers in container.stands_on for chain in chain_ids(layers)}
        self.lines += [("Deleted", chain) for chain in reversed(chain_ids(image.diff_ids)) if chain not in used]


def names_of(image: Image) -> tuple[str, ...]:
    return (*image.repo_tags, *image.repo_digests)


def remove(
    images: Mapping[str, Image], containers: Iterable[Container], image: Image, name: str, *, given: str = "", force: bool = False, prune: bool = True
) -> Removal:
    """`rmi`: `name` is the stored name ("httpd:2.4"), `given` as it was typed; "" where an id was. Conflict in Docker's words (image_delete.go)."""
    removal = Removal(dict(images), list(containers))
    quiet = False
    if name:
        if not force and is_single(names_of(image)) and (user := first_user(removal.containers, image.id)) is not None:
            raise Conflict(
                f'conflict: unable to remove repository reference "{given or name}" (must force) - '
                f"container {user.id[:12]} is using its referenced image {short(image.id)}"
            )
        removal.untag(image.id, name)
        # Digests of a repository without a tag of it left are of no use to anybody.
        left = names_of(removal.images[image.id])
        repository = parse_stored(name).familiar_name
        of_repository = [n for n in left if parse_stored(n).familiar_name == repository]
        if "@" not in name and all("@" in n for n in of_repository):
            for digest in of_repository:
                removal.untag(image.id, digest)
        if names_of(removal.images[image.id]):
            return removal
        quiet = True
    elif is_single(names_of(image)):
        check(removal, image.id, stopped=not force, names=False)
        for each in names_of(image):
            removal.untag(image.id, each)
    try:
        check(removal, image.id, stopped=not force, names=not force)
    except InUse:
        if quiet:
            return removal
        raise
    parent = image.parent
    removal.delete(image.id)
    while prune and parent in removal.images:
        above = removal.images[parent]
        if names_of(above) or has_children(removal.images, parent) or first_user(removal.containers, parent):
            break
        removal.delete(parent)
        parent = above.parent
    return removal


class InUse(Conflict):
    """A container uses the image."""


def check(removal: Removal, image_id: str, *, stopped: bool, names: bool) -> None:
    """Refuse what must not be deleted, or (`stopped`, `names`) only when forced."""

    def refuse(kind: type[Conflict], forced: str, why: str) -> Conflict:
        return kind(f"conflict: unable to delete {short(image_id)} ({forced}) - {why}")

    if has_children(removal.images, image_id):
        raise refuse(Conflict, "cannot be forced", "image has dependent child images")
    if user := first_user(removal.containers, image_id, running=True):
        raise refuse(InUse, "cannot be forced", f"image is being used by running container {user.id[:12]}")
    if names and names_of(removal.images[image_id]):
        raise refuse(Conflict, "must be forced", "image is referenced in multiple repositories")
    if stopped and (user := first_user(removal.containers, image_id)):
        raise refuse(InUse, "must be forced", f"image is being used by stopped container {user.id[:12]}")


def is_single(names: Sequence[str]) -> bool:
    """Whether an image has one tag at most, and digests of that tag's repository alone."""
    tags = [n for n in names if "@" not in n]
    if len(names) <= 1:
        return True
    repositories = {parse_stored(n).familiar_name for n in names}
    return len(tags) <= 1 and len(repositories) == 1


def has_children(images: Mapping[str, Image], image_id: str) -> bool:
    return any(i.parent == image_id for i in images.values())


def first_user(containers: Iterable[Container], image_id: str, *, running: bool = False) -> Container | None:
    """A container that uses an image, as its own or mounted in it."""
    return next((c for c in containers if any(i == image_id for i, _ in c.stands_on) and (c.state.running or not running)), None)


def short(image_id: str) -> str:
    """Twelve digits of an image id."""
    return image_id.removeprefix("sha256:")[:12]
