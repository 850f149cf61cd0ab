"""Which mount on a path is ours to undo: the one that shows what the path showed before."""

from __future__ import annotations

from pathlib import Path

import pytest

from sanbashi.host.mounts import bound_on_itself

ROOT = "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw"
OWN_DISK = "40 22 8:16 / /var/lib/x rw shared:9 - ext4 /dev/sdb rw"


@pytest.mark.parametrize(
    ("lines", "ours"),
    [
        ([ROOT], False),
        ([ROOT, "41 22 8:1 /var/lib/x /var/lib/x rw shared:2 - ext4 /dev/sda1 rw"], True),
        ([ROOT, OWN_DISK], False),
        ([ROOT, OWN_DISK, "42 40 8:16 / /var/lib/x rw shared:3 - ext4 /dev/sdb rw"], True),
        ([ROOT, "43 22 8:1 /big/x /var/lib/x rw - ext4 /dev/sda1 rw"], False),
        ([ROOT, OWN_DISK, "44 40 0:50 / /var/lib/x/snapshots/1/merged rw - overlay overlay rw"], False),
        (["22 1 8:1 /old /var rw - ext4 /dev/sda1 rw", "45 22 8:1 /old/lib/x /var/lib/x rw - ext4 /dev/sda1 rw"], True),
    ],
    ids=["nothing", "ours", "a disk", "ours on a disk", "a bind of another place", "something below a disk", "ours on a bind"],
)
def test_what_is_ours(lines: list[str], ours: bool) -> None:
    assert bound_on_itself(Path("/var/lib/x"), [line.split(" ") for line in lines]) == ours
