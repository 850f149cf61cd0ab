"""Binds whose mounts are to propagate, and where a mount that does not stands in the way; what a daemon's death has left where monitors are."""

from __future__ import annotations

from pathlib import Path

import pytest

from sanbashi.containers.model import MountPoint
from sanbashi.errors import Failed
from sanbashi.host import propagation
from sanbashi.host.stranded import stranded

ROOT = "22 1 8:1 / / rw - ext4 /dev/sda1 rw"
SHARED = "23 22 0:30 / /shared rw shared:7 - tmpfs shared rw"
SLAVE = "24 22 0:31 / /slave rw master:7 - tmpfs shared rw"
PRIVATE = "25 23 0:32 / /shared/private rw - tmpfs private rw"
SPACE = "26 22 0:33 / /with\\040space rw shared:9 - tmpfs space rw"


def parsed(*lines: str) -> list[list[str]]:
    return [line.split(" ") for line in lines]


@pytest.mark.parametrize(
    ("source", "asked", "refused"),
    [
        ("/data", "rprivate", ""),
        ("/data", "rshared", "path /data is mounted on / but it is not a shared mount"),
        ("/", "rslave", "path / is mounted on / but it is not a shared or slave mount"),
        ("/shared/x", "shared", ""),
        ("/shared/x", "slave", ""),
        ("/sharedness", "shared", "path /sharedness is mounted on / but it is not a shared mount"),
        ("/shared/private/x", "rslave", "path /shared/private/x is mounted on /shared/private but it is not a shared or slave mount"),
        ("/slave/x", "rslave", ""),
        ("/slave/x", "rshared", "path /slave/x is mounted on /slave but it is not a shared mount"),
        ("/with space/x", "rshared", ""),
    ],
)
def test_what_cannot_propagate_is_refused(monkeypatch: pytest.MonkeyPatch, source: str, asked: str, refused: str) -> None:
    monkeypatch.setattr(propagation, "mount_lines", lambda: parsed(ROOT, SHARED, SLAVE, PRIVATE, SPACE))
    volume = MountPoint(type="volume", source="/data", destination="/v")
    points = [volume, MountPoint(type="bind", source=source, destination="/p", propagation=asked)]
    try:
        propagation.check_propagation(points)
        said = ""
    except Failed as error:
        said = error.message
    assert said == refused


SNAPSHOTS = "30 22 8:1 /data/snapshots /data/snapshots rw shared:3 - ext4 /dev/sda1 rw"
LEFT = "31 22 0:40 / /data/snapshots/a/merged rw shared:4 - overlay overlay rw"
IMAGE = "32 22 0:41 / /data/snapshots/a/images/0 rw - overlay overlay rw"
OTHER = "33 22 0:42 / /data/other rw - tmpfs other rw"


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ([ROOT, OTHER], []),
        ([ROOT, OTHER, LEFT, IMAGE], ["/data/snapshots/a/images/0", "/data/snapshots/a/merged"]),
        ([ROOT, SNAPSHOTS, LEFT.replace("31 22", "31 30")], []),
        ([ROOT.replace("rw -", "rw shared:1 -"), LEFT], []),
    ],
    ids=["nothing", "left", "of running containers", "below what others share"],
)
def test_what_a_death_has_left_is_told_from_what_is_used(lines: list[str], left: list[str]) -> None:
    assert stranded(parsed(*lines), Path("/data/snapshots")) == left
