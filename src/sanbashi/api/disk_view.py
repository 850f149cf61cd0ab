"""`system df`: what images, containers and volumes occupy, and how much of it could be won."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..daemon.state import State
from ..errors import Invalid
from ..images.buildcache import Record
from .container_rows import command_text, status_text
from .container_view import mount_json
from .image_view import summary_json
from .messages import Version
from .times import SECOND, nanoseconds, rfc3339
from .volume_view import volume_json

KINDS = ("container", "image", "volume", "build-cache")


def kinds_of(asked: Sequence[str]) -> frozenset[str]:
    """The kinds of objects that a request wants; all where it names none."""
    for kind in asked:
        if kind not in KINDS:
            raise Invalid(f"unknown object type: {kind}")
    return frozenset(asked or KINDS)


def usage_of(used: Mapping[str, Any], cache: Sequence[Record], state: State, version: Version, now: int, kinds: frozenset[str]) -> dict[str, Any]:
    """The lists of every kind. `used` has bytes: `layers` in all, `containers` and `volumes` by id and name."""
    document: dict[str, Any] = {}
    if "image" in kinds:
        document |= {"LayersSize": used["layers"], "Images": images(state, version)}
    if "container" in kinds:
        document["Containers"] = containers(used["containers"], state, now)
    if "volume" in kinds:
        document["Volumes"] = volumes(used["volumes"], state)
    if "build-cache" in kinds:
        document["BuildCache"] = [cache_json(record, version) for record in cache]
    return document


def images(state: State, version: Version) -> list[dict[str, Any]]:
    """Images with the bytes that they share with others, and how many containers are made of them."""
    layers = Counter(diff_id for image in state.images.values() for diff_id in set(image.diff_ids))
    users = Counter(container.image_id for container in state.containers.values())
    return [
        {
            **summary_json(image, version),
            "Containers": users[image.id],
            "SharedSize": sum(size for diff_id, size in zip(image.diff_ids, image.sizes, strict=False) if layers[diff_id] > 1),
        }
        for image in state.images.values()
    ]


def containers(used: Mapping[str, int], state: State, now: int) -> list[dict[str, Any]]:
    """Containers with the bytes that they have written."""
    return [
        {
            "Id": c.id,
            "Names": [f"/{c.name}"],
            "Image": c.config.image,
            "ImageID": c.image_id,
            "Command": command_text(c),
            "Created": nanoseconds(c.created) // SECOND,
            "Ports": [],
            "SizeRw": used.get(c.id, 0),
            "SizeRootFs": used.get(c.id, 0) + (state.images[c.image_id].size if c.image_id in state.images else 0),
            "Labels": dict(c.config.labels),
            "State": c.state.status,
            "Status": status_text(c.state, now),
            "HostConfig": {"NetworkMode": c.host_config.network_mode},
            "NetworkSettings": {"Networks": {}},
            "Mounts": [mount_json(m) for m in c.mounts],
        }
        for c in state.containers.values()
    ]


def volumes(used: Mapping[str, int], state: State) -> list[dict[str, Any]]:
    """Volumes with their bytes and how many containers mount them."""
    links = Counter(name for c in state.containers.values() for name in c.volume_names)
    return [{**volume_json(v), "UsageData": {"RefCount": links[v.name], "Size": used.get(v.name, 0)}} for v in state.volumes.values()]


def cache_json(record: Record, version: Version) -> dict[str, Any]:
    """A record of the builder's cache. buildah keeps no account of when and how often a step's image was used, so neither is told."""
    return {
        "ID": record.image.id,
        **({"Parent": record.parent} if version < (1, 42) else {"Parents": [record.parent] if record.parent else None}),
        "Type": "regular",
        "Description": record.step,
        "InUse": record.used,
        "Shared": False,
        "Size": record.size,
        "CreatedAt": rfc3339(record.image.made),
        "LastUsedAt": None,
        "UsageCount": 0,
    }


def totals(document: Mapping[str, Any], *, verbose: bool) -> dict[str, Any]:
    """The sums that clients since 1.52 read, of the kinds that the document has; with the lists where `verbose`."""
    found: dict[str, Any] = {}
    if "Images" in document:
        rows, size = document["Images"], document["LayersSize"]
        kept = sum(row["Size"] - row["SharedSize"] for row in rows if row["Containers"] > 0)
        found["ImageUsage"] = total(rows, sum(row["Containers"] > 0 for row in rows), size, size - kept)
    if "Containers" in document:
        rows = document["Containers"]
        active = [row for row in rows if row["State"] in ("running", "paused", "restarting")]
        size = sum(row["SizeRw"] for row in rows)
        found["ContainerUsage"] = total(rows, len(active), size, size - sum(row["SizeRw"] for row in active))
    if "Volumes" in document:
        rows = document["Volumes"]
        sizes = [(row["UsageData"]["RefCount"], row["UsageData"]["Size"]) for row in rows]
        found["VolumeUsage"] = total(rows, sum(links > 0 for links, _ in sizes), sum(s for _, s in sizes), sum(s for links, s in sizes if not links))
    if "BuildCache" in document:
        rows = document["BuildCache"]
        size = sum(row["Size"] for row in rows)
        found["BuildCacheUsage"] = total(rows, sum(row["InUse"] for row in rows), size, sum(row["Size"] for row in rows if not row["InUse"]))
    return {name: sums if verbose else {k: v for k, v in sums.items() if k != "Items"} for name, sums in found.items()}


def total(rows: Sequence[Any], active: int, size: int, free: int) -> dict[str, Any]:
    """One kind's sums; bytes."""
    return {"ActiveCount": active, "TotalCount": len(rows), "Reclaimable": free, "TotalSize": size, "Items": list(rows)}
