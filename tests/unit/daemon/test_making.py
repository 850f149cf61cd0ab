"""The images of a container that is being made are in use from when they were found, though no state knows it yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from sanbashi.containers.facts import ContainerFacts
from sanbashi.containers.model import Config, HostConfig, Mount
from sanbashi.daemon.creating import Creating
from sanbashi.daemon.images import Images
from sanbashi.daemon.volumes import Volumes
from sanbashi.errors import Conflict, Failed
from sanbashi.host.layers import Note
from sanbashi.images.model import Image

from .town import Daemon, World, daemon, number

BODY = Config(image="own", cmd=("true",))
HOST = HostConfig(mounts=(Mount(type="image", source="mounted", target="/image"), Mount(type="volume", target="/data")))


def images_in(town: Daemon) -> Images:
    """Two images of a layer each."""
    core = town.core
    images = Images(core.config.data_root, state=lambda: core.state, commit=core.commit_changes, events=core.events)
    for name in ("own", "mounted"):
        digest = "sha256:" + number(name)
        (images.content.layers.path(digest) / "diff").mkdir(parents=True)
        (images.content.layers.path(digest) / "note.json").write_bytes(msgspec.json.encode(Note("sha256:" + "0" * 64, "", 0, 0, 0)))
        core.state = core.state.with_image(Image(id=digest, diff_ids=(digest,), repo_tags=(f"{name}:latest",)))
    return images


async def made(town: Daemon, images: Images, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], Any]) -> str:
    """The id of a container; `meanwhile` happens when its layer is made."""
    loop = asyncio.get_running_loop()

    def create(*_: object) -> None:
        asyncio.run_coroutine_threadsafe(meanwhile(), loop).result()

    snapshots = SimpleNamespace(create=create, remove=lambda _: None, set_aside=lambda _: None, image_place=lambda *_: Path("/images/0"))
    monkeypatch.setattr(town.core, "snapshots", snapshots)
    creating = Creating(town.core, town.networking, Volumes(town.core), images, ContainerFacts())
    return (await creating.create(BODY, HOST, ()))[0]


def there(images: Images) -> list[str]:
    return [name for name in ("own", "mounted") if images.find(name) and images.content.layers.has("sha256:" + number(name))]


def test_none_of_its_images_goes_while_a_container_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            images = images_in(town)

            async def prune() -> None:
                assert await images.prune({"dangling": ["false"]}) == ((), 0)
                for name in ("own", "mounted"):
                    with pytest.raises(Conflict, match="is using its referenced image"):
                        await images.remove(name)

            id_ = await made(town, images, monkeypatch, prune)
            assert there(images) == ["own", "mounted"]
            town.core.state = town.core.state.without_container(id_)
            await images.prune({"dangling": ["false"]})
            assert there(images) == [], "it holds them no longer than it is there"

    asyncio.run(work())


def test_by_force_an_image_goes_and_its_layers_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            images = images_in(town)
            gone: list[dict[str, str]] = []

            async def force() -> None:
                gone.extend(await images.remove("mounted", force=True))

            await made(town, images, monkeypatch, force)
            assert gone == [{"Untagged": "mounted:latest"}, {"Deleted": "sha256:" + number("mounted")}]
            assert images.find("mounted") is None and images.content.layers.has("sha256:" + number("mounted"))

    asyncio.run(work())


def test_one_that_fails_lets_go_of_its_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            images = images_in(town)

            async def fail() -> None:
                raise Failed("no layer")

            with pytest.raises(Failed, match="no layer"):
                await made(town, images, monkeypatch, fail)
            await images.prune({"dangling": ["false"]})
            assert there(images) == []

    asyncio.run(work())


@pytest.mark.parametrize("end", ["fails", "is removed"])
def test_the_layers_of_an_image_that_went_by_force_go_with_their_last_container(end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with daemon(World(tmp_path / "data"), monkeypatch) as town:
            images = images_in(town)
            layers = images.content.layers

            async def force() -> None:
                await images.remove("mounted", force=True)
                await images.remove("own", force=True)
                if end == "fails":
                    raise Failed("no layer")

            if end == "fails":
                with pytest.raises(Failed, match="no layer"):
                    await made(town, images, monkeypatch, force)
            else:
                id_ = await made(town, images, monkeypatch, force)
                assert all(layers.has("sha256:" + number(name)) for name in ("own", "mounted"))
                town.lifecycle.removing.content = images.content
                monkeypatch.setattr(town.core.snapshots, "unmount", lambda _: None, raising=False)
                await town.lifecycle.remove(id_, force=False, volumes=True)
            assert not any(layers.has("sha256:" + number(name)) for name in ("own", "mounted"))

    asyncio.run(work())
