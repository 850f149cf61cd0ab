"""Manifests and configurations, OCI and Docker schema 2: bytes to values, and the manifest of a platform out of a list."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from ..errors import Failed, Invalid, NotFound
from .model import History, Image, ImageConfig

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
ACCEPTED = (DOCKER_MANIFEST, DOCKER_LIST, OCI_INDEX, OCI_MANIFEST)
# A manifest is small; a registry that answers more is broken or hostile.
MAX_MANIFEST = 8 << 20


class Platform(msgspec.Struct, frozen=True):
    """An operating system on a processor."""

    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(p for p in (self.os, self.architecture, self.variant) if p)


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A blob by its digest. `size` in bytes."""

    media_type: str = ""
    digest: str = ""
    size: int = 0
    platform: Platform | None = None
    annotations: Mapping[str, str] | None = None
    urls: tuple[str, ...] | None = None


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """An image's manifest: its configuration and its layers, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...] = ()
    media_type: str = ""
    schema_version: int = 2


class Index(msgspec.Struct, frozen=True, rename="camel"):
    """A manifest list."""

    manifests: tuple[Descriptor, ...] = ()
    media_type: str = ""
    schema_version: int = 2


class Shape(msgspec.Struct, frozen=True, rename="camel"):
    """Just enough of a document to know which one it is."""

    media_type: str = ""
    schema_version: int = 0
    manifests: msgspec.Raw = msgspec.Raw()


class RootFS(msgspec.Struct, frozen=True):
    """The `rootfs` of an image configuration."""

    type: Literal["layers"] = "layers"
    diff_ids: tuple[str, ...] = ()


class ConfigFile(msgspec.Struct, frozen=True):
    """An image configuration as the OCI specification writes it."""

    architecture: str = ""
    os: str = "linux"
    variant: str = ""
    created: str | None = None
    author: str = ""
    comment: str = ""
    config: ImageConfig | None = None
    rootfs: RootFS = RootFS()
    history: tuple[History, ...] | None = None


# Which variants of a processor run on which; the first is the best (containerd/platforms, compare.go).
ARM_VARIANTS = {"v8": ("v8", "v7", "v6", "v5"), "v7": ("v7", "v6", "v5"), "v6": ("v6", "v5"), "v5": ("v5",)}
ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm", "i386": "386", "i686": "386"}


def parse_platform(text: str, host: Platform) -> Platform:
    """`linux/arm64/v8`, `arm64` or "" (the host's)."""
    if not text:
        return host
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(parts):
        raise Invalid(
            f'"{text}" is an invalid OS component of "{text}": OSAndVersion specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument'
        )
    if len(parts) == 1:
        parts = ["linux", parts[0]] if parts[0] not in ("linux", "windows") else [parts[0], host.architecture]
    return Platform(parts[0], ARCHITECTURES.get(parts[1], parts[1]), parts[2] if len(parts) > 2 else "")


def parse_wanted(text: str) -> Platform:
    """A platform as the API's JSON has it; Invalid where it is none."""
    try:
        return msgspec.json.decode(text, type=Platform)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Invalid(f"failed to parse platform: {error}") from error


def platform_of(image: Image) -> Platform:
    """What the image runs on."""
    return Platform(image.os, image.architecture, image.variant)


def suits(image: Image, wanted: Platform) -> bool:
    """Whether it runs on that platform."""
    return rank(platform_of(image), wanted) is not None


def checked_platform(image: Image, wanted: Platform, name: str) -> Image:
    """The image; NotFound in Docker's words where it is for another platform than the one wanted."""
    if not suits(image, wanted):
        raise NotFound(f"image with reference {name} was found but does not provide the specified platform ({wanted})")
    return image


def digest_of(data: bytes) -> str:
    """The sha256 digest of bytes, "sha256:..."."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def parse_manifest(data: bytes, media_type: str = "") -> Manifest | Index:
    """A manifest or a list; Failed where it is neither, in Docker's words for schema 1."""
    try:
        data = without_nulls(data)
        shape = msgspec.json.decode(data, type=Shape)
        if shape.schema_version == 1:
            raise Failed(
                "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. "
                "Suggest the author of the image to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2."
            )
        listed = (shape.media_type or media_type) in (OCI_INDEX, DOCKER_LIST) or (not shape.media_type and bool(bytes(shape.manifests)))
        return msgspec.json.decode(data, type=Index) if listed else msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise Failed(f"the registry's manifest cannot be read: {error}") from error


def choose(index: Index, wanted: Platform) -> Descriptor:
    """The manifest of a list that suits a platform best; NotFound in Docker's words."""
    suiting = [d for d in index.manifests if d.platform and rank(d.platform, wanted) is not None]
    if not suiting:
        raise NotFound(f"no matching manifest for {wanted} in the manifest list entries")
    return min(suiting, key=lambda d: rank(d.platform or wanted, wanted) or 0)


def rank(offered: Platform, wanted: Platform) -> int | None:
    """How well an offer suits, 0 best; None where it does not run at all."""
    if (offered.os, offered.architecture) != (wanted.os, wanted.architecture):
        return None
    if wanted.architecture == "arm64":
        return 0 if offered.variant in ("", "v8", wanted.variant) else None
    if wanted.architecture == "arm":
        order = ARM_VARIANTS.get(wanted.variant or "v7", ())
        offered_variant = offered.variant or "v7"
        return order.index(offered_variant) if offered_variant in order else None
    if wanted.variant == offered.variant:
        return 0
    return None if offered.variant and not wanted.variant else 1


def image_of(config: bytes, sizes: Sequence[int] = ()) -> Image:
    """The image of a configuration; its id is the digest of these bytes. Invalid where they are no image configuration."""
    try:
        file = msgspec.json.decode(without_nulls(config), type=ConfigFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"invalid image configuration: {error}") from error
    return Image(
        id=digest_of(config),
        created=file.created or "",
        architecture=file.architecture,
        os=file.os or "linux",
        variant=file.variant,
        author=file.author,
        comment=file.comment,
        config=file.config or ImageConfig(),
        diff_ids=file.rootfs.diff_ids,
        sizes=tuple(sizes),
        history=file.history or (),
    )


def without_nulls(data: bytes) -> bytes:
    """JSON without its null members: Go's decoder ignores them, ours would refuse some."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if v is not None}
        return [strip(v) for v in value] if isinstance(value, list) else value

    return msgspec.json.encode(strip(msgspec.json.decode(data)))


def config_of(image: Image) -> bytes:
    """The configuration document of an image made here (import, commit)."""
    document: dict[str, Any] = {
        "architecture": image.architecture,
        "os": image.os,
        "created": image.created,
        "config": compact(msgspec.to_builtins(image.config)),
        "rootfs": {"type": "layers", "diff_ids": image.diff_ids},
        "history": [compact(msgspec.to_builtins(h)) for h in image.history],
    }
    document |= {k: v for k, v in (("variant", image.variant), ("author", image.author), ("comment", image.comment)) if v}
    return msgspec.json.encode(document)


def compact(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is empty, as Go's omitempty."""
    return {k: v for k, v in values.items() if v not in (None, "", False)}


def manifest_of(config: bytes, layers: Sequence[Descriptor]) -> bytes:
    """An OCI manifest for a configuration and its layers."""
    head = Descriptor(media_type=OCI_CONFIG, digest=digest_of(config), size=len(config))
    return msgspec.json.encode(Manifest(config=head, layers=tuple(layers), media_type=OCI_MANIFEST))
