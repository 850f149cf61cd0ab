"""Pushing, logging in and asking: against Debian's docker-registry, and against one that misbehaves."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import urllib3
import zstandard
from tests import images
from tests.contract.faulty_registry import DOCKER, layer
from tests.contract.image_service import Service
from tests.contract.writable_registry import Writable, serve

from sanbashi.errors import Failed, NotFound, SanbashiError, Unauthorized

pytestmark = pytest.mark.root  # layers have owners, devices and trusted attributes

BIG = layer({"etc/big": bytes(range(256)) * 8192})
# htpasswd -nbB web secret
HTPASSWD = "web:$2b$05$bIc2zk/qQqq0XPoBiHeJfOkkhrJkUlilu0svgTunH4s1pe/JSaEhe\n"
GOOD = {"username": "web", "password": "secret"}


@pytest.fixture
def registry() -> Writable:
    return Writable()


@pytest.fixture
def host(registry: Writable) -> Iterator[str]:
    with serve(registry) as host:
        yield host


class Pushing(Service):
    """The image service, asked in short."""

    def pull(self, name: str) -> None:
        asyncio.run(self.registries.pull(name, progress=self.hear))

    def tag(self, source: str, target: str) -> None:
        asyncio.run(self.images.tag(source, target))

    def push(self, name: str, tag: str = "1", auth: dict[str, str] | None = None) -> list[str]:
        """What it told."""
        self.messages.clear()
        asyncio.run(self.registries.push(name, tag, auth=auth, progress=self.hear))
        return self.statuses()

    def refusal(self, work: Callable[[], object]) -> SanbashiError:
        with pytest.raises(SanbashiError) as caught:
            work()
        return caught.value


@pytest.fixture
def service(tmp_path: Path) -> Pushing:
    return Pushing(tmp_path / "data")


async def stream(data: bytes) -> AsyncIterator[bytes]:
    yield data


def test_pushed_as_it_was_pulled(service: Pushing) -> None:
    with images.serve() as url:
        host = url.removeprefix("http://")
        service.pull(f"{host}/library/httpd:2.4")
        image = service.images.resolve(f"{host}/library/httpd:2.4")
        before = image.repo_digests[0].partition("@")[2]
        service.tag(image.id, f"{host}/team/web:1")
        told = service.push(f"{host}/team/web")
        assert told[0] == f"The push refers to repository [{host}/team/web]"
        assert told.count("Preparing") == 2
        assert told.count("Mounted from library/httpd") == 2
        size = service.messages[-1]["aux"]["Size"]
        assert told[-1] == f"1: digest: {before} size: {size}"
        assert service.messages[-1] == {"progressDetail": {}, "aux": {"Tag": "1", "Digest": before, "Size": size}}
        assert f"{host}/team/web@{before}" in service.images.resolve(image.id).repo_digests
        assert service.push(f"{host}/team/web").count("Layer already exists") == 2
        served = urllib3.request("GET", f"{url}/v2/team/web/manifests/1", headers={"Accept": "application/vnd.oci.image.manifest.v1+json"}).data
        assert len(served) == size
        described, platforms = asyncio.run(service.registries.describe(f"{host}/team/web:1", None))
        assert (described.digest, described.size, platforms[0].os) == (before, size, "linux")
        missing = service.refusal(lambda: asyncio.run(service.registries.describe(f"{host}/team/none", None)))
        assert isinstance(missing, NotFound)


def test_made_here_pushed_and_pulled_elsewhere(service: Pushing, tmp_path: Path) -> None:
    asyncio.run(service.archiving.import_(stream(BIG), reference="made:1"))
    made = service.images.resolve("made:1")
    assert service.images.content.layers.note(made.diff_ids[0]).media_type.endswith("zstd")
    with images.serve(empty=True) as url:
        name = f"{url.removeprefix('http://')}/team/made"
        service.tag("made:1", f"{name}:1")
        told = service.push(name)
        assert told.count("Pushed") == 1
        other = Pushing(tmp_path / "other")
        other.pull(f"{name}:1")
        assert other.images.resolve(f"{name}:1").id == made.id
        note = service.images.content.layers.note(made.diff_ids[0])
        assert note.media_type.endswith("gzip"), "packed anew once, for clients of any age"
        assert [p.name for p in (service.images.content.blobs.root / "sha256").iterdir() if p.name == note.blob.removeprefix("sha256:")]
        assert service.push(name)[-1] == told[-1], "the same bytes again"
        archive = b"".join(asyncio.run(collected(service.archiving.save(["made:1"]))))
        assert made.diff_ids[0].removeprefix("sha256:").encode() in archive
    asyncio.run(service.images.remove(made.id, force=True))
    assert not list((service.images.content.blobs.root / "sha256").iterdir()), "nothing is left of it"


async def collected(pieces: AsyncIterator[bytes]) -> list[bytes]:
    return [piece async for piece in pieces]


def test_docker_registry_with_a_basic_login(service: Pushing, tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    with images.serve(empty=True, extra={"auth": {"htpasswd": {"realm": "tests", "path": str(tmp_path / "htpasswd")}}}) as url:
        host = url.removeprefix("http://")
        asyncio.run(service.archiving.import_(stream(BIG), reference=f"{host}/web:1"))
        assert service.refusal(lambda: service.push(f"{host}/web")).message == "no basic auth credentials"
        wrong = service.refusal(lambda: service.push(f"{host}/web", auth={"username": "web", "password": "no"}))
        assert wrong.message == "unauthorized: authentication required"
        assert service.push(f"{host}/web", auth=GOOD)[-1].startswith("1: digest: sha256:")
        assert asyncio.run(service.registries.login(host, GOOD)) == ""
        refused = service.refusal(lambda: asyncio.run(service.registries.login(f"https://{host}/v1/", {"username": "web", "password": "no"})))
        assert isinstance(refused, Unauthorized)
        assert refused.message == f"login attempt to {url}/v2/ failed with status: 401 Unauthorized"


def test_a_token_for_the_push_and_one_instead_of_the_password(service: Pushing, registry: Writable, host: str) -> None:
    registry.token, registry.login, registry.refresh = "t0ken", ("web", "secret"), "refreshed"
    asyncio.run(service.archiving.import_(stream(BIG), reference=f"{host}/team/web:1"))
    assert service.push(f"{host}/team/web", auth=GOOD)[-1].startswith("1: digest: ")
    assert asyncio.run(service.registries.login(host, GOOD)) == "refreshed"
    assert service.push(f"{host}/team/web", auth={"username": "web", "identitytoken": "refreshed"}).count("Layer already exists") == 1
    refused = service.refusal(lambda: asyncio.run(service.registries.login(host, {"username": "web", "password": "no"})))
    assert isinstance(refused, Unauthorized)
    assert refused.message == f'Get "http://{host}/v2/": unauthorized: incorrect username or password'


@pytest.mark.parametrize("resumable", [True, False])
def test_a_transfer_that_breaks_goes_on(service: Pushing, registry: Writable, host: str, resumable: bool) -> None:
    asyncio.run(service.archiving.load(stream(archive_of(BIG))))
    service.tag("loaded:1", f"{host}/web:1")
    registry.resumable = resumable
    registry.broken = [1000, 2000]
    assert service.push(f"{host}/web").count("Pushed") == 1
    assert registry.said.count("PATCH " + next(s for s in registry.said if s.startswith("PATCH")).partition(" ")[2]) == (3 if resumable else 1)


def archive_of(plain: bytes) -> bytes:
    """A docker-archive of one layer, gzip."""
    import tarfile

    from tests.contract.faulty_registry import sha

    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [sha(plain)]}}).encode()
    listing = json.dumps([{"Config": "c.json", "RepoTags": ["loaded:1"], "Layers": ["l.tar"]}]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in (("c.json", config), ("l.tar", gzip.compress(plain)), ("manifest.json", listing)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def test_mounts_that_are_refused_are_sent(service: Pushing, registry: Writable, host: str) -> None:
    registry.add("1", BIG, media_type=DOCKER)
    service.pull(f"{host}/old/web:1")
    service.tag(f"{host}/old/web:1", f"{host}/new/web:1")
    registry.blobs.clear()
    registry.mountable = False
    told = service.push(f"{host}/new/web")
    assert told.count("Pushed") == 1
    assert "DELETE" in [s.split()[0] for s in registry.said], "the upload that came of it is given up"
    assert registry.manifests["1"][0] == "application/vnd.docker.distribution.manifest.v2+json"


def test_zstd_that_was_pulled_stays_zstd(service: Pushing, registry: Writable, host: str) -> None:
    digest = registry.add("1", BIG, pack=lambda data: zstandard.ZstdCompressor().compress(data))
    service.pull(f"{host}/old/web:1")
    service.tag(f"{host}/old/web:1", f"{host}/new/web:1")
    assert digest in service.push(f"{host}/new/web")[-1]


def test_refusals_in_dockers_words(service: Pushing, registry: Writable, host: str) -> None:
    assert service.refusal(lambda: service.push(f"{host}/none")).message == f"An image does not exist locally with the tag: {host}/none"
    asyncio.run(service.archiving.import_(stream(BIG), reference=f"{host}/web:1"))
    assert service.refusal(lambda: service.push(f"{host}/web", "2")).message == f"tag does not exist: {host}/web:2"
    registry.token = "needed"
    registry.login = ("web", "secret")
    refused = service.refusal(lambda: service.push(f"{host}/web"))
    assert isinstance(refused, Failed)
    assert refused.message == "unauthorized: incorrect username or password"
    gone = service.refusal(lambda: service.push("127.0.0.1:1/web"))
    assert gone.message == "An image does not exist locally with the tag: 127.0.0.1:1/web"


def test_all_tags(service: Pushing, registry: Writable, host: str) -> None:
    asyncio.run(service.archiving.import_(stream(BIG), reference=f"{host}/web:1"))
    service.tag(f"{host}/web:1", f"{host}/web:2")
    told = service.push(f"{host}/web", "")
    assert [s.split(":")[0] for s in told if "digest:" in s] == ["1", "2"]


def test_search(service: Pushing, registry: Writable, host: str) -> None:
    registry.found = [
        {"name": "web", "description": None, "star_count": 5, "is_official": True},
        {"name": "team/web", "description": "x", "star_count": 1, "is_official": False},
    ]

    def search(limit: int | None = None, **filters: list[str]) -> list[str]:
        wanted = {k.replace("_", "-"): v for k, v in filters.items()}
        return [f.name for f in asyncio.run(service.registries.search(f"{host}/web", limit, wanted, None))]

    assert search() == ["web", "team/web"]
    assert search(is_official=["true"]) == ["web"]
    assert search(is_official=["false"]) == ["team/web"]
    assert search(stars=["2"]) == ["web"]
    assert search(is_automated=["true"]) == []
    assert search(limit=1) == ["web"]
    assert service.refusal(lambda: search(limit=101)).message == "limit 101 is outside the range of [1, 100]"
    assert service.refusal(lambda: search(colour=["red"])).message == "invalid filter 'colour'"
