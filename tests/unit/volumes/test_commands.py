"""Volumes made, found and removed."""

from __future__ import annotations

import immutables
import pytest

from sanbashi.errors import Conflict, Invalid, NotFound
from sanbashi.volumes.commands import create_volume, find_volume, remove_volume
from sanbashi.volumes.model import Volume
from sanbashi.volumes.options import check_options

Volumes = immutables.Map[str, Volume]


def make(volumes: Volumes, name: str, **more: object) -> tuple[Volumes, Volume]:
    return create_volume(volumes, name, created="now", mountpoint=lambda n: f"/data/volumes/{n}/_data", **more)  # type: ignore[arg-type]


def test_a_volume_is_made_once() -> None:
    volumes, volume = make(immutables.Map(), "data", labels={"a": "b"})
    assert (volume.mountpoint, volume.driver, volume.labels) == ("/data/volumes/data/_data", "local", {"a": "b"})
    assert make(volumes, "data") == (volumes, volume)
    assert make(volumes, "data", options={"type": "tmpfs", "device": "tmpfs"}) == (volumes, volume)


def test_names_and_drivers() -> None:
    with pytest.raises(Invalid, match='create a b: "a b" includes invalid characters for a local volume name'):
        make(immutables.Map(), "a b")
    with pytest.raises(Invalid, match="volume name is too short"):
        make(immutables.Map(), "a")
    with pytest.raises(NotFound, match='plugin "nfs" not found'):
        make(immutables.Map(), "data", driver="nfs")
    with pytest.raises(Invalid, match='invalid option: "colour"'):
        check_options({"colour": "red"})


def test_removing() -> None:
    volumes, _ = make(immutables.Map(), "data")
    with pytest.raises(Conflict, match=r"remove data: volume is in use - \[a, b\]"):
        remove_volume(volumes, "data", ["b", "a"])
    assert "data" not in remove_volume(volumes, "data", [])
    with pytest.raises(NotFound, match="get data: no such volume"):
        find_volume(immutables.Map(), "data")
    assert remove_volume(immutables.Map(), "data", [], force=True) == immutables.Map()
