"""What an image is: its OCI configuration, its layers and its names; frozen, saved as they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The `config` object of an OCI image configuration, with its JSON names."""

    user: str = msgspec.field(default="", name="User")
    exposed_ports: Mapping[str, Any] | None = msgspec.field(default=None, name="ExposedPorts")
    env: tuple[str, ...] | None = msgspec.field(default=None, name="Env")
    entrypoint: tuple[str, ...] | None = msgspec.field(default=None, name="Entrypoint")
    cmd: tuple[str, ...] | None = msgspec.field(default=None, name="Cmd")
    volumes: Mapping[str, Any] | None = msgspec.field(default=None, name="Volumes")
    working_dir: str = msgspec.field(default="", name="WorkingDir")
    labels: Mapping[str, str] | None = msgspec.field(default=None, name="Labels")
    stop_signal: str = msgspec.field(default="", name="StopSignal")
    healthcheck: Mapping[str, Any] | None = msgspec.field(default=None, name="Healthcheck")
    on_build: tuple[str, ...] | None = msgspec.field(default=None, name="OnBuild")
    shell: tuple[str, ...] | None = msgspec.field(default=None, name="Shell")
    args_escaped: bool = msgspec.field(default=False, name="ArgsEscaped")


class History(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an image's history."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image in the store. `id` is the digest of its configuration blob ("sha256:..."); `diff_ids` are its layers, lowest first.

    `layer_blobs` are (diff id, blob digest, media type, compressed size) as they came; `sizes` the unpacked bytes a layer.
    `manifest` is the digest of the manifest that it was pulled with, "" where it was made here.
    `repo_tags` ("httpd:2.4") and `repo_digests` ("httpd@sha256:...") are the names that point here.
    """

    id: str
    created: str = ""
    architecture: str = "amd64"
    os: str = "linux"
    variant: str = ""
    author: str = ""
    comment: str = ""
    config: ImageConfig = ImageConfig()
    diff_ids: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    history: tuple[History, ...] = ()
    repo_tags: tuple[str, ...] = ()
    repo_digests: tuple[str, ...] = ()
    parent: str = ""
    manifest: str = ""
    last_tagged: str = "0001-01-01T00:00:00Z"

    @property
    def size(self) -> int:
        return sum(self.sizes)

    def __repr__(self) -> str:
        return f"<Image {self.id[7:19]} {' '.join(self.repo_tags)}>"
