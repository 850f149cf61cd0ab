"""Images as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from ..images.model import Image, ImageConfig
from .messages import Version
from .times import SECOND, ZERO, nanoseconds

# What images told of themselves before 1.50, though only containers have it.
OLD_CONFIG: dict[str, Any] = {
    "Hostname": "",
    "Domainname": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Image": "",
}


def image_json(image: Image, version: Version) -> dict[str, Any]:
    """An image as inspect shows it."""
    document: dict[str, Any] = {
        "Id": image.id,
        "RepoTags": list(image.repo_tags),
        "RepoDigests": list(image.repo_digests),
        "Comment": image.comment,
        "Created": image.created or ZERO,
        "Author": image.author,
        "Config": config_json(image.config, version),
        "Architecture": image.architecture,
        **({"Variant": image.variant} if image.variant else {}),
        "Os": image.os,
        "Size": image.size,
        "GraphDriver": {"Data": None, "Name": "overlayfs"},
        "RootFS": {"Type": "layers", "Layers": list(image.diff_ids)},
        "Metadata": {"LastTagTime": image.last_tagged},
    }
    if version < (1, 52):
        document |= {"Parent": image.parent, "DockerVersion": ""}
    elif image.parent:  # gone from Docker, and harmless: an image that was committed here tells from what
        document["Parent"] = image.parent
    # Gone from Docker at 1.45, and with it every docker-compose 1 that makes a container anew: it asks for the newest version and reads Volumes.
    document["ContainerConfig"] = document["Config"] if version < (1, 45) else {"Volumes": image.config.volumes or None}
    if version < (1, 44):
        document["VirtualSize"] = image.size
    return document


def config_json(config: ImageConfig, version: Version) -> dict[str, Any]:
    """An image's configuration; what is empty is left out."""
    document = {name: value for name, value in msgspec.to_builtins(config).items() if value}
    if version >= (1, 50):
        return document
    return {
        **OLD_CONFIG,
        "User": "",
        "Env": None,
        "Cmd": None,
        "Volumes": None,
        "WorkingDir": "",
        "Entrypoint": None,
        "OnBuild": None,
        "Labels": None,
        **document,
    }


def summary_json(image: Image, version: Version, shared: int = -1) -> dict[str, Any]:
    """An image as one of a list; -1 where nothing was counted."""
    return {
        "Id": image.id,
        "ParentId": image.parent,
        "RepoTags": list(image.repo_tags),
        "RepoDigests": list(image.repo_digests),
        "Created": nanoseconds(image.created) // SECOND,
        "Size": image.size,
        "SharedSize": shared,
        **({"VirtualSize": image.size} if version < (1, 44) else {}),
        "Labels": dict(image.config.labels) if image.config.labels else None,
        "Containers": -1,
    }
