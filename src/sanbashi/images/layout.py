"""What an archive's list of contents says: docker-archive's manifest.json, an OCI layout's index.json."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from ..errors import Invalid, SanbashiError
from .manifest import Descriptor, Index, parse_manifest
from .reference import parse_reference

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
NAME = "io.containerd.image.name"
REF = "org.opencontainers.image.ref.name"
ATTESTATION = "vnd.docker.reference.type"


class Entry(msgspec.Struct, frozen=True):
    """An image of an archive: the files of its configuration and layers (lowest first), and its names as they stand there."""

    config: str = msgspec.field(name="Config")
    layers: tuple[str, ...] = msgspec.field(default=(), name="Layers")
    repo_tags: tuple[str, ...] | None = msgspec.field(default=None, name="RepoTags")

    @property
    def names(self) -> tuple[str, ...]:
        return self.repo_tags or ()


def entries_of_manifest(data: bytes) -> tuple[Entry, ...]:
    """The images of a docker-archive."""
    try:
        return msgspec.json.decode(data, type=tuple[Entry, ...])
    except msgspec.DecodeError as error:
        raise Invalid(f"invalid archive: manifest.json: {error}") from error


def entries_of_index(data: bytes, read: Callable[[str], bytes]) -> tuple[Entry, ...]:
    """The images of an OCI layout; `read` gives the layout's files. Names of one image are joined, attestations left out."""
    found: dict[str, Entry] = {}
    waiting: list[tuple[Descriptor, str]] = []
    index = parse_manifest(data)
    if not isinstance(index, Index):
        raise Invalid("invalid archive: index.json is no index")
    waiting = [(descriptor, name_of(descriptor)) for descriptor in index.manifests]
    while waiting:
        descriptor, name = waiting.pop(0)
        if ATTESTATION in (descriptor.annotations or {}):
            continue
        document = parse_manifest(read(blob_file(descriptor.digest)), descriptor.media_type)
        if isinstance(document, Index):
            waiting += [(inner, name_of(inner) or name) for inner in document.manifests]
            continue
        before = found.get(descriptor.digest)
        names = (*(before.names if before else ()), *((name,) if name else ()))
        layers = tuple(blob_file(layer.digest) for layer in document.layers)
        found[descriptor.digest] = Entry(config=blob_file(document.config.digest), layers=layers, repo_tags=names)
    return tuple(found.values())


def name_of(descriptor: Descriptor) -> str:
    """The full name that a layout gives an image; a bare tag is no name."""
    notes = descriptor.annotations or {}
    name = notes.get(NAME) or notes.get(REF) or ""
    return name if "/" in name or ":" in name else ""


def parse_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names as the store writes them; those that are no tags are left out."""
    keys: list[str] = []
    for name in names:
        try:
            reference = parse_reference(name).tagged()
        except SanbashiError as error:
            raise Invalid(f"invalid tag {name!r}: {error.message}") from error
        if not reference.digest:
            keys.append(reference.key)
    return tuple(dict.fromkeys(keys))


def blob_file(digest: str) -> str:
    """Where a layout keeps a blob."""
    return f"blobs/{digest.replace(':', '/')}"
