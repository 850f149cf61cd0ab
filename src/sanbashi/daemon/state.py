"""The whole state of the daemon as one frozen value; readers hold a snapshot, the writer replaces it."""

from __future__ import annotations

from dataclasses import field, replace

import immutables

from ..containers.model import Container
from ..images.model import Image
from ..network.model import NetworkState
from ..records import dataclass
from ..volumes.model import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that is saved. Indexes (`*_names`) can be computed from the rest."""

    network: NetworkState = field(default_factory=NetworkState)
    containers: immutables.Map[str, Container] = immutables.Map()  # by id
    images: immutables.Map[str, Image] = immutables.Map()  # by id "sha256:..."
    volumes: immutables.Map[str, Volume] = immutables.Map()  # by name
    container_names: immutables.Map[str, str] = immutables.Map()  # name without "/" -> container id
    image_names: immutables.Map[str, str] = immutables.Map()  # "httpd:2.4" or "httpd@sha256:..." -> image id

    def with_container(self, container: Container) -> State:
        """The state with this container in it, in place of the one of its id."""
        old = self.containers.get(container.id)
        names = self.container_names
        if old is not None and old.name != container.name:
            names = names.delete(old.name)
        return replace(self, containers=self.containers.set(container.id, container), container_names=names.set(container.name, container.id))

    def linked(self, ref: str) -> Container | None:
        """The container that a link on the default bridge leads to, by the name that the link gives it: CONTAINER/ALIAS."""
        name, _, alias = ref.removeprefix("/").rpartition("/")
        holder = self.containers.get(self.container_names.get(name, ""))
        return self.containers.get(dict(holder.linked).get(alias, "")) if holder is not None else None

    def without_container(self, container_id: str) -> State:
        """The state without this container."""
        old = self.containers.get(container_id)
        if old is None:
            return self
        return replace(self, containers=self.containers.delete(container_id), container_names=self.container_names.delete(old.name))

    def with_image(self, image: Image) -> State:
        """The state with this image; names that it takes are taken from the images that had them."""
        images = self.images
        for name in (*image.repo_tags, *image.repo_digests):
            holder = self.image_names.get(name)
            if holder is not None and holder != image.id and holder in images:
                other = images[holder]
                images = images.set(holder, without_name(other, name))
        names = self.image_names
        old = images.get(image.id)
        for name in (*old.repo_tags, *old.repo_digests) if old is not None else ():
            names = names.delete(name) if name in names else names
        for name in (*image.repo_tags, *image.repo_digests):
            names = names.set(name, image.id)
        return replace(self, images=images.set(image.id, image), image_names=names)

    def without_image(self, image_id: str) -> State:
        """The state without this image and its names."""
        old = self.images.get(image_id)
        if old is None:
            return self
        names = self.image_names
        for name in (*old.repo_tags, *old.repo_digests):
            if names.get(name) == image_id:
                names = names.delete(name)
        return replace(self, images=self.images.delete(image_id), image_names=names)

    def with_volume(self, volume: Volume) -> State:
        """The state with this volume."""
        return replace(self, volumes=self.volumes.set(volume.name, volume))

    def without_volume(self, name: str) -> State:
        """The state without this volume."""
        return replace(self, volumes=self.volumes.delete(name)) if name in self.volumes else self


def without_name(image: Image, name: str) -> Image:
    """The image without one of its names."""
    import msgspec

    return msgspec.structs.replace(
        image,
        repo_tags=tuple(t for t in image.repo_tags if t != name),
        repo_digests=tuple(d for d in image.repo_digests if d != name),
    )
