"""Images over the wire: against Debian's docker-registry, and against one that misbehaves."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import zstandard
from tests import images
from tests.contract.faulty_registry import DOCKER, DOCKER_LIST, Faulty, layer, serve, sha
from tests.contract.image_service import Service

from sanbashi.errors import Failed, NotFound, SanbashiError
from sanbashi.host.registry import Answer, Credentials, Registry, Session
from sanbashi.host.registry_endpoints import Endpoint
from sanbashi.images.reference import parse_reference

pytestmark = pytest.mark.root  # layers have owners, devices and trusted attributes

BIG = layer({"etc/big": bytes(range(256)) * 4096, "etc/small": b"small"})


@pytest.fixture
def faulty() -> Faulty:
    return Faulty()


@pytest.fixture
def host(faulty: Faulty) -> Iterator[str]:
    with serve(faulty) as host:
        yield host


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path / "data")


def pull(service: Service, reference: str, **more: object) -> object:
    return asyncio.run(service.registries.pull(reference, progress=service.hear, **more))  # type: ignore[arg-type]


def partials(service: Service) -> list[Path]:
    return list((service.images.content.blobs.root / "ingest").iterdir())


def refusal(service: Service, reference: str, **more: object) -> SanbashiError:
    with pytest.raises(SanbashiError) as caught:
        pull(service, reference, **more)
    return caught.value


# Debian's docker-registry


def test_pull_through_a_mirror_then_by_digest_then_save_and_load(tmp_path: Path) -> None:
    with images.serve() as url:
        service = Service(tmp_path / "one", mirrors=[url])
        for name in ("busybox", "httpd:2.4", "ubuntu"):
            pull(service, name)
        web = service.images.resolve("httpd:2.4")
        assert web.config.cmd == ("apachectl", "-D", "FOREGROUND")
        assert dict(web.config.exposed_ports or {}) == {"80/tcp": {}}
        assert (service.images.content.layers.directory(web.diff_ids[1]) / "var/www/html/index.html").read_text() == images_page()
        assert service.statuses()[-1] == "Status: Downloaded newer image for ubuntu:latest"
        assert "Already exists" in service.statuses(), "httpd and ubuntu share their base"
        again = pull(service, service.images.resolve("busybox").repo_digests[0])
        assert again.id == service.images.resolve("busybox").id  # type: ignore[attr-defined]
        assert service.statuses()[-1] == f"Status: Image is up to date for {service.images.resolve('busybox').repo_digests[0]}"
        missing = refusal(service, f"{url.removeprefix('http://')}/library/busybox:nope")
        assert isinstance(missing, NotFound)
        assert missing.message == f"manifest for {url.removeprefix('http://')}/library/busybox:nope not found: manifest unknown: manifest unknown"
    archive = tmp_path / "archive.tar"
    saved = asyncio.run(written(service.archiving.save(["httpd:2.4", "ubuntu"]), archive))
    other = Service(tmp_path / "two")
    asyncio.run(other.archiving.load(pieces(archive), progress=other.hear))
    assert [m["stream"] for m in other.messages if "stream" in m] == ["Loaded image: httpd:2.4\n", "Loaded image: ubuntu:latest\n"]
    assert other.images.resolve("httpd:2.4").id == web.id
    again_saved = asyncio.run(written(other.archiving.save(["httpd:2.4", "ubuntu"]), tmp_path / "again.tar"))
    assert again_saved == saved, "what is saved does not depend on how it came"


def images_page() -> str:
    return "<html><body><h1>It works!</h1></body></html>\n"


async def written(stream: AsyncIterator[bytes], file: Path) -> str:
    """Write a stream to a file; its digest."""
    digest = hashlib.sha256()
    with file.open("wb") as out:
        async for piece in stream:
            digest.update(piece)
            out.write(piece)
    return digest.hexdigest()


async def pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as source:
        while piece := source.read(100_000):
            yield piece


def test_load_what_the_test_images_are(tmp_path: Path) -> None:
    service = Service(tmp_path)
    loaded = asyncio.run(service.archiving.load(pieces(images.build("busybox")), progress=service.hear))
    assert [i.repo_tags for i in loaded] == [("busybox:latest",)]
    directory = service.images.content.layers.directory(loaded[0].diff_ids[0])
    assert (directory / "bin/sh").stat().st_nlink > 100, "busybox's applets are hard links"
    assert (directory / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_certificates(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {key} -out {certificate} -days 2 -subj /CN=tests"
    subprocess.run([*command.split(), "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    port = images.free_port()
    http = {"addr": f"127.0.0.1:{port}", "tls": {"certificate": str(certificate), "key": str(key)}}
    with images.serve(port=port, extra={"http": http}) as url:
        host = url.removeprefix("https://")
        service = Service(tmp_path / "careless")
        assert pull(service, f"{host}/library/busybox").repo_tags == (f"{host}/library/busybox:latest",)  # type: ignore[attr-defined]
        certs = tmp_path / "certs.d"
        reference = parse_reference(f"{host}/library/busybox:latest")

        def asked() -> Answer:
            registry = Registry(certificates=(certs,))
            return Session(registry, reference, Credentials(), threading.Event(), [Endpoint(url)]).manifest("latest")

        with pytest.raises(Failed) as caught:
            asked()
        assert caught.value.message.startswith(f'Get "{url}/v2/": tls: failed to verify certificate: x509: self-signed certificate')
        assert "insecure-registries" in caught.value.hint
        (certs / host).mkdir(parents=True)
        (certs / host / "ca.crt").write_bytes(certificate.read_bytes())
        assert asked().media_type == "application/vnd.oci.image.manifest.v1+json"


# A registry that misbehaves


def test_a_transfer_that_breaks_is_resumed_where_it_broke(service: Service, faulty: Faulty, host: str) -> None:
    faulty.add("1", BIG)
    blob = next(d for d, data in faulty.blobs.items() if data[:2] == b"\x1f\x8b")
    faulty.cut[blob] = [100, 100, 0, 100, 1, 1]
    pull(service, f"{host}/team/web:1")
    ranges = [headers.get("Range", "") for path, headers in faulty.requests if path.endswith(blob)]
    assert ranges == ["", "bytes=100-", "bytes=200-", "bytes=200-", "bytes=300-", "bytes=301-", "bytes=302-"]
    assert not partials(service)


def test_a_server_without_ranges_is_asked_for_all_of_it_again(service: Service, faulty: Faulty, host: str) -> None:
    faulty.ranges = False
    faulty.add("1", BIG)
    blob = next(d for d, data in faulty.blobs.items() if data[:2] == b"\x1f\x8b")
    faulty.cut[blob] = [100]
    pull(service, f"{host}/team/web:1")
    assert len([1 for path, _ in faulty.requests if path.endswith(blob)]) == 2


def test_a_transfer_broken_for_good_is_resumed_by_the_next_pull(service: Service, faulty: Faulty, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sanbashi.host.registry.PAUSES", (0.001,))
    faulty.add("1", BIG)
    blob = next(d for d, data in faulty.blobs.items() if data[:2] == b"\x1f\x8b")
    faulty.cut[blob] = [500, *[0] * 6]
    assert refusal(service, f"{host}/team/web:1").message.endswith("unexpected EOF")
    assert not service.state.images
    assert [p.stat().st_size for p in partials(service)] == [500]
    pull(service, f"{host}/team/web:1")
    assert faulty.requests[-1][1]["Range"] == "bytes=500-"


def test_wrong_bytes_are_fetched_again_and_never_kept(service: Service, faulty: Faulty, host: str) -> None:
    faulty.add("1", BIG)
    blob = next(d for d, data in faulty.blobs.items() if data[:2] == b"\x1f\x8b")
    faulty.rotten[blob] = 2
    assert refusal(service, f"{host}/team/web:1").message == f"filesystem layer verification failed for digest {blob}"
    assert not service.images.content.blobs.has(blob)
    faulty.rotten[blob] = 1
    pull(service, f"{host}/team/web:1")


def test_a_layer_that_is_not_what_the_configuration_says_is_refused(service: Service, faulty: Faulty, host: str) -> None:
    faulty.add("1", BIG, rootfs={"type": "layers", "diff_ids": [sha(b"something else")]})
    assert "layers from manifest don't match image configuration" in refusal(service, f"{host}/team/web:1").message
    assert not list((service.images.content.layers.root / "tmp").iterdir())


def test_a_manifest_that_is_not_its_digest_is_refused(service: Service, faulty: Faulty, host: str) -> None:
    faulty.add("1", BIG)
    digest = sha(b"asked for")
    faulty.manifests[digest] = faulty.manifests["1"]
    assert refusal(service, f"{host}/team/web@{digest}").message == f"manifest verification failed for digest {digest}"


def test_a_busy_registry_is_asked_again(service: Service, faulty: Faulty, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sanbashi.host.registry.PAUSES", (0.001,))
    faulty.add("1", BIG)
    faulty.busy = 2
    pull(service, f"{host}/team/web:1")


@pytest.mark.parametrize("pack", [zstandard.ZstdCompressor().compress, lambda data: data])
def test_other_compressions(service: Service, faulty: Faulty, host: str, pack: object) -> None:
    faulty.add("1", BIG, layer({"x": b"y"}), media_type=DOCKER, pack=pack)
    image = pull(service, f"{host}/team/web:1")
    assert (service.images.content.layers.directory(image.diff_ids[1]) / "x").read_bytes() == b"y"  # type: ignore[attr-defined]


def test_a_list_is_searched_for_the_platform(service: Service, faulty: Faulty, host: str) -> None:
    arm, mine = faulty.add("arm", BIG, architecture="arm64"), faulty.add("mine", BIG)
    entries = [(arm, {"os": "linux", "architecture": "arm64", "variant": "v8"}), (mine, {"os": "linux", "architecture": "amd64"})]
    data = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER_LIST,
            "manifests": [{"digest": d, "mediaType": DOCKER, "size": 1, "platform": p} for d, p in entries],
        }
    ).encode()
    faulty.manifests["1"] = (DOCKER_LIST, data)
    service.images.host = service.registries.puller.host = type(service.images.host)("linux", "amd64")
    image = pull(service, f"{host}/team/web:1")
    assert image.architecture == "amd64"  # type: ignore[attr-defined]
    assert image.repo_digests == (f"{host}/team/web@{sha(data)}",), "the name's digest is the list's"  # type: ignore[attr-defined]
    assert pull(service, f"{host}/team/web:1", platform="linux/arm64").architecture == "arm64"  # type: ignore[attr-defined]
    assert (
        refusal(service, f"{host}/team/web:1", platform="linux/s390x").message == "no matching manifest for linux/s390x in the manifest list entries"
    )


def test_bearer_tokens(service: Service, faulty: Faulty, host: str) -> None:
    faulty.add("1", BIG)
    faulty.token, faulty.login = "secret-token", ("me", "right")
    pull(service, f"{host}/team/web:1", auth={"username": "me", "password": "right", "serveraddress": host})
    asked = next(path for path, _ in faulty.requests if path.startswith("/token"))
    assert "service=registry+of+tests" in asked and "scope=repository%3Ateam%2Fweb%3Apull" in asked and "account=me" in asked
    wrong = refusal(service, f"{host}/team/web:2", auth={"username": "me", "password": "wrong"})
    assert wrong.message == "unauthorized: incorrect username or password"


def test_basic_login(service: Service, faulty: Faulty, host: str) -> None:
    faulty.add("1", BIG)
    faulty.login = ("me", "right")
    assert refusal(service, f"{host}/team/web:1").message == "unauthorized: authentication required"
    assert refusal(service, f"{host}/team/web:1", auth={"username": "me", "password": "wrong"}).message == "unauthorized: authentication required"
    pull(service, f"{host}/team/web:1", auth={"username": "me", "password": "right"})


def test_nobody_there(service: Service) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
        failure = refusal(service, f"{host}/web:1")
    assert isinstance(failure, Failed)
    assert failure.message == f'Get "http://{host}/v2/": dial tcp {host}: connect: connection refused'


def test_a_dead_mirror_is_passed_over(tmp_path: Path, faulty: Faulty, host: str) -> None:
    faulty.add("latest", BIG)
    service = Service(tmp_path, mirrors=["http://127.0.0.1:1", f"http://{host}"])
    assert pull(service, "web").repo_tags == ("web:latest",)  # type: ignore[attr-defined]


def test_the_second_mirror_goes_on_where_the_first_broke(tmp_path: Path, faulty: Faulty, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sanbashi.host.registry.PAUSES", (0.001,))
    faulty.add("latest", BIG)
    blob = next(d for d, data in faulty.blobs.items() if data[:2] == b"\x1f\x8b")
    broken = Faulty(faulty.blobs, faulty.manifests, cut={blob: [700, *[0] * 9]})
    with serve(broken) as first:
        service = Service(tmp_path, mirrors=[f"http://{first}", f"http://{host}"])
        pull(service, "web")
    assert [headers["Range"] for path, headers in faulty.requests if path.endswith(blob)] == ["bytes=700-"]


def test_two_pulls_of_the_same_image_fetch_it_once(service: Service, faulty: Faulty, host: str) -> None:
    faulty.add("1", BIG)

    async def both() -> None:
        await asyncio.gather(*(service.registries.pull(f"{host}/team/web:1", progress=service.hear) for _ in range(2)))

    asyncio.run(both())
    assert len([1 for path, _ in faulty.requests if "/blobs/" in path]) == 2, "a configuration and a layer"


def test_all_tags(service: Service, faulty: Faulty, host: str) -> None:
    faulty.add("1", BIG)
    faulty.add("2", BIG, layer({"x": b"2"}))
    pull(service, f"{host}/team/web", all_tags=True)
    assert sorted(t for i in service.state.images.values() for t in i.repo_tags) == [f"{host}/team/web:1", f"{host}/team/web:2"]


def test_a_pull_that_nobody_waits_for_stops(service: Service, faulty: Faulty, host: str) -> None:
    faulty.add("1", BIG)
    faulty.busy = 10**6

    async def leave() -> None:
        task = asyncio.create_task(service.registries.pull(f"{host}/team/web:1", progress=service.hear))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 60)

    asyncio.run(leave())


def test_a_hostile_layer_changes_nothing_outside(service: Service, faulty: Faulty, host: str, tmp_path: Path) -> None:
    faulty.add("1", layer({"../../../../escaped": b"x"}))
    assert "outside of it" in refusal(service, f"{host}/team/web:1").message
    assert not list(tmp_path.rglob("escaped"))
    assert not list((service.images.content.layers.root / "tmp").iterdir())
