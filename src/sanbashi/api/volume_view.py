"""Volumes as JSON."""

from __future__ import annotations

from typing import Any

from ..volumes.model import Volume
from .network_view import sorted_map


def volume_json(volume: Volume) -> dict[str, Any]:
    """A volume as inspect shows it. The time has whole seconds, as Docker's; an anonymous volume is told by its label."""
    labels = dict(volume.labels)
    if volume.anonymous:
        labels.setdefault("com.docker.volume.anonymous", "")
    return {
        "CreatedAt": volume.created.partition(".")[0].rstrip("Z") + "Z",
        "Driver": volume.driver,
        "Labels": sorted_map(labels) or None,
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": sorted_map(volume.options) or None,
        "Scope": "local",
    }
