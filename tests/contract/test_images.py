"""The image service: names, removal, import, what is on the disk afterwards, and dying half way."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.contract.faulty_registry import Faulty, layer, serve
from tests.contract.image_service import Service

from sanbashi.containers.model import Config, Container, HostConfig
from sanbashi.errors import Conflict, Invalid, NotFound
from sanbashi.images.model import Image

pytestmark = pytest.mark.root


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


async def stream(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 700):
        yield data[at : at + 700]


def made(service: Service, name: str, *, content: bytes = b"x", changes: tuple[str, ...] = ()) -> Image:
    data = layer({"etc/file": content})
    return asyncio.run(service.archiving.import_(stream(data), reference=name, changes=changes, progress=service.hear))


def files(service: Service) -> set[str]:
    content = service.images.content
    layers = {p.name for p in content.layers.root.iterdir() if len(p.name) == 64}
    return layers | {p.name for p in (content.blobs.root / "sha256").iterdir()} | {p.name for p in (content.layers.root / "l").iterdir()}


def removed(service: Service, name: str, **more: bool) -> list[str]:
    lines = asyncio.run(service.images.remove(name, **more))
    return [f"{kind}: {text}" for line in lines for kind, text in line.items()]


def user(service: Service, image: Image) -> Container:
    container = Container(id="c" * 64, name="web", created="", config=Config(), host_config=HostConfig(), image_id=image.id, layers=image.diff_ids)
    service.state = service.state.with_container(container)
    return container


def test_import_find_and_remove_leave_nothing(service: Service) -> None:
    image = made(service, "web:1", changes=('CMD ["/run"]', "EXPOSE 80"))
    assert service.messages[-1] == {"status": image.id}
    assert image.comment == "Imported from -" and image.config.cmd == ("/run",)
    hexes = image.id.removeprefix("sha256:")
    for ref in ("web:1", "docker.io/library/web:1", image.id, hexes, hexes[:12], f"sha256:{hexes[:12]}"):
        assert service.images.resolve(ref).id == image.id
    assert [(line.id, line.size, line.tags) for line in service.images.history("web:1")] == [(image.id, 1, ("web:1",))]
    assert removed(service, "web:1") == ["Untagged: web:1", f"Deleted: {image.id}", f"Deleted: {image.diff_ids[0]}"]
    assert not files(service) and not service.state.images and not service.state.image_names
    with pytest.raises(NotFound, match=r"^No such image: web:1$"):
        service.images.resolve("web:1")


def test_a_plain_layer_is_given_back_bit_by_bit(service: Service) -> None:
    data = layer({"etc/file": os.urandom(5000)})
    image = asyncio.run(service.archiving.import_(stream(data), reference="web"))

    async def saved() -> bytes:
        return b"".join([piece async for piece in service.archiving.save(["web"])])

    with tarfile.open(fileobj=io.BytesIO(asyncio.run(saved()))) as tar:
        member = tar.extractfile(f"blobs/sha256/{image.diff_ids[0].removeprefix('sha256:')}")
        assert member is not None and member.read() == data
        assert sorted(tar.getnames())[-4:] == ["index.json", "manifest.json", "oci-layout", "repositories"]


def test_a_name_moves(service: Service) -> None:
    one, two = made(service, "web", content=b"1"), made(service, "web", content=b"2")
    assert service.images.resolve("web").id == two.id
    assert service.images.resolve(one.id).repo_tags == ()
    asyncio.run(service.images.tag(one.id, "web:old"))
    asyncio.run(service.images.tag("web:old", "other/web"))
    assert service.images.resolve("other/web:latest").repo_tags == ("web:old", "other/web:latest")
    assert [e.action for e in service.events.kept] == ["import", "import", "tag", "tag"]
    with pytest.raises(Invalid, match="refusing to create a tag with a digest reference"):
        asyncio.run(service.images.tag("web", f"x@{one.id}"))


def test_layers_of_other_images_and_of_containers_stay(service: Service) -> None:
    image = made(service, "web:1")
    other = made(service, "other", changes=("CMD x",))
    assert other.diff_ids == image.diff_ids
    removed(service, "other")
    assert service.images.content.is_whole(image)
    user(service, image)
    with pytest.raises(Conflict, match="is using its referenced image"):
        removed(service, "web:1")
    assert removed(service, "web:1", force=True) == ["Untagged: web:1", f"Deleted: {image.id}"]
    assert service.images.content.layers.has(image.diff_ids[0])
    service.state = service.state.without_container("c" * 64)
    asyncio.run(service.images.sweep())
    assert not files(service)


def test_prune(service: Service) -> None:
    loose, named, used = made(service, "", content=b"a" * 10), made(service, "web", content=b"b" * 20), made(service, "", content=b"c")
    user(service, used)
    lines, freed = asyncio.run(service.images.prune())
    assert [set(line) for line in lines] == [{"Deleted"}, {"Deleted"}] and freed == 10
    assert set(service.state.images) == {named.id, used.id} and loose.id not in service.state.images
    lines, freed = asyncio.run(service.images.prune({"dangling": ["false"]}))
    assert lines[0] == {"Untagged": "web:latest"} and freed == 20
    assert set(service.state.images) == {used.id}


def test_prune_takes_an_image_and_what_was_made_from_it(service: Service) -> None:
    """In whatever order they come: each generation is free when the one after it has gone."""
    ids = []
    for number in range(6):
        image = replace(made(service, f"generation:{number}", content=str(number).encode()), parent=ids[-1] if ids else "")
        service.state = service.state.with_image(image)
        ids.append(image.id)
    asyncio.run(service.images.prune())
    assert set(service.state.images) == set(ids)
    asyncio.run(service.images.prune({"dangling": ["false"]}))
    assert not service.state.images and not files(service)


def test_prune_comes_back_to_what_a_nameless_image_was_made_from(service: Service) -> None:
    """The nameless one goes with its last child; by then what it was made from may have been passed over: eight families, as the order is by hash."""
    for family in range(8):
        parent = ""
        for generation, name in enumerate((f"base:{family}", "", f"top:{family}")):
            image = replace(made(service, name, content=f"{family} {generation}".encode()), parent=parent)
            service.state = service.state.with_image(image)
            parent = image.id
    asyncio.run(service.images.prune({"dangling": ["false"]}))
    assert not service.state.images and not files(service)


def test_list(service: Service) -> None:
    made(service, "web:1", content=b"1")
    second = made(service, "team/web:2", content=b"2", changes=("LABEL a=b",))
    asyncio.run(service.images.tag("team/web:2", "web:2"))
    assert [i.repo_tags for i in service.images.list()] == [("team/web:2", "web:2"), ("web:1",)], "the newest first"
    assert [i.repo_tags for i in service.images.list({"reference": ["web"]})] == [("web:2",), ("web:1",)]
    assert [i.id for i in service.images.list({"label": ["a"]})] == [second.id]
    assert [i.id for i in service.images.list({"since": ["web:1"]})] == [second.id]
    with pytest.raises(NotFound, match=r"^No such image: nope:latest$"):
        service.images.list({"before": ["nope"]})


def test_sentences(service: Service) -> None:
    for call, sentence in (
        (lambda: service.archiving.save(["nope:1"]), "reference does not exist"),
        (lambda: service.archiving.save(["nope"]), "No such image: nope"),
        (lambda: asyncio.run(service.images.remove("nope")), "No such image: nope:latest"),
        (lambda: asyncio.run(service.archiving.load(stream(layer({"x": b""})))), "invalid archive: does not contain a manifest.json"),
        (lambda: asyncio.run(service.archiving.load(stream(b"no tar at all" * 100))), "invalid archive: "),
        (lambda: made(service, "x", changes=("FOO bar",)), "foo is not a valid change command"),
    ):
        with pytest.raises((NotFound, Invalid)) as caught:
            call()
        assert caught.value.message.startswith(sentence)
    assert not files(service)
    assert not list((service.images.content.layers.root / "tmp").iterdir())


def test_a_load_that_fails_half_way_leaves_nothing(service: Service, tmp_path: Path) -> None:
    other = Service(tmp_path / "other")
    made(other, "one", content=b"1"), made(other, "two", content=b"2")

    async def saved() -> bytes:
        return b"".join([piece async for piece in other.archiving.save(["one", "two"])])

    data = asyncio.run(saved()).replace(layer({"etc/file": b"2"}), layer({"etc/file": b"3"}))
    with pytest.raises(Invalid, match="invalid diffID for layer"):
        asyncio.run(service.archiving.load(stream(data)))
    assert not [f for f in files(service) if (service.images.content.layers.root / f).exists()]


def test_a_load_that_nobody_sends_any_more_ends(service: Service) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield layer({"x": b"y" * 5000})[:3000]
        await asyncio.sleep(3600)

    async def leave() -> None:
        task = asyncio.ensure_future(service.archiving.load(body()))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 60)

    asyncio.run(leave())
    assert not list((service.images.content.layers.root / "tmp").iterdir())


CHILD = """
import asyncio, sys
from pathlib import Path
from tests.contract.image_service import Service
asyncio.run(Service(Path(sys.argv[1])).registries.pull(sys.argv[2]))
print("done", flush=True)
"""


@pytest.mark.parametrize("after", [0.0, 0.02, 0.05, 0.1, 0.2, 0.3])
def test_a_pull_killed_at_any_moment_leaves_a_store_that_works(tmp_path: Path, after: float) -> None:
    """kill -9 some time after the first request has come; then a new daemon sweeps, pulls and has everything right."""
    faulty = Faulty()
    faulty.add("1", *(layer({f"dir{n}/file{m}": os.urandom(2000) for m in range(200)}) for n in range(4)))
    with serve(faulty) as host:
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), f"{host}/team/web:1"], cwd=Path(__file__).parents[2])
        deadline = time.monotonic() + 120
        while not faulty.requests and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(after)
        child.send_signal(signal.SIGKILL)
        child.wait()
        service = Service(tmp_path)
        asyncio.run(service.images.sweep())
        content = service.images.content
        assert not files(service), "no row names anything: nothing stays but what can be resumed"
        assert not list((content.layers.root / "tmp").iterdir())
        image = asyncio.run(service.registries.pull(f"{host}/team/web:1"))
    assert content.is_whole(image)
    for number, diff_id in enumerate(image.diff_ids):
        assert len(list((content.layers.directory(diff_id) / f"dir{number}").iterdir())) == 200
