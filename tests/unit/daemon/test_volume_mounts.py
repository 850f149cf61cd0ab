"""Who uses a volume: an image's mount has a name too, the image's, and is no use of a volume that is named alike."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sanbashi.containers.model import Container, ContainerState, MountPoint
from sanbashi.daemon import volume_mounts
from sanbashi.daemon.removing import Removing
from sanbashi.daemon.volume_mounts import VolumeMounts
from sanbashi.daemon.volumes import Volumes

from .town import World, a_container, daemon

OPTIONS = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}


@pytest.mark.parametrize("kind", ["volume", "image"])
def test_an_image_named_as_a_volume_keeps_none(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unmounted: list[Path] = []
    monkeypatch.setattr(volume_mounts, "unmount_volume", unmounted.append)

    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            volume = await Volumes(town.core).create("alpine", options=OPTIONS)
            one = mounting("one", type="volume", name="alpine", destination="/data")
            other = msgspec.structs.replace(mounting("other", type=kind, name="alpine", destination="/x"), state=ContainerState(status="running"))
            town.core.state = town.core.state.with_container(one).with_container(other)
            await VolumeMounts(town.core).release(one)
            used = kind == "volume"
            assert unmounted == ([] if used else [Path(volume.mountpoint)])
            own = msgspec.structs.replace(one, anonymous_volumes=("alpine",))
            nothing: Any = None
            removing = Removing(town.core, nothing, nothing, nothing, nothing)
            assert removing.anonymous_volumes(own) == (() if used else ("alpine",))
            assert set(Volumes(town.core).users("alpine")) == ({one.id, other.id} if used else {one.id})
            town.core.state = town.core.state.without_container(one.id).without_container(other.id)

    asyncio.run(work())


def mounting(own: str, **mount: Any) -> Container:
    return msgspec.structs.replace(a_container(own, "bridge"), mounts=(MountPoint(**mount),))
