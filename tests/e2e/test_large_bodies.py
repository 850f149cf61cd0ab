"""Bodies of hundreds of megabytes pass through the daemon without ever being in its memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import tarfile
from collections.abc import Iterator

import pytest
from tests.harness import Engine, Unix

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

SIZE = 320 << 20
BLOCK = bytes(range(256)) * 4096  # a megabyte
ROOM = 64 << 20  # what the daemon's memory may grow by: buffers, a compressor's window, and never the body


def entry(name: str, size: int) -> bytes:
    """A tar's header of a file."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def large(name: str) -> Iterator[bytes]:
    """A tar's entry with a large file."""
    yield entry(name, SIZE)
    for _ in range(SIZE // len(BLOCK)):
        yield BLOCK


def small(name: str, data: bytes) -> bytes:
    return entry(name, len(data)) + data + bytes(-len(data) % 512)


def archive_of_an_image() -> Iterator[bytes]:
    """A docker-archive with one layer, which has one large file."""
    digest = hashlib.sha256()
    for piece in (*large("large"), bytes(1024)):
        digest.update(piece)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["x"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest.hexdigest()}"]},
    }
    yield small("config.json", json.dumps(config).encode())
    yield small("manifest.json", json.dumps([{"Config": "config.json", "RepoTags": ["large:1"], "Layers": ["layer.tar"]}]).encode())
    yield entry("layer.tar", 512 + SIZE + 1024)
    yield from large("large")
    yield bytes(1024)
    yield bytes(1024)


def context_of_a_build() -> Iterator[bytes]:
    yield small("Dockerfile", b"FROM busybox\nCMD true\n")
    yield from large("large")
    yield bytes(1024)


def files_of_a_copy() -> Iterator[bytes]:
    yield from large("large")
    yield bytes(1024)


def send(engine: Engine, method: str, path: str, body: Iterator[bytes]) -> tuple[int, str]:
    """A request whose body comes in chunks."""
    with contextlib.closing(Unix(str(engine.socket), 240)) as connection:
        connection.request(method, path, body, {"Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"}, encode_chunked=True)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@contextlib.contextmanager
def in_little_memory(engine: Engine) -> Iterator[None]:
    """The peak of the daemon's resident memory while the block lasts is not far above what it was."""
    process = engine.machine.path(f"/proc/{engine.pid}")

    def peak() -> int:
        found = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
        assert found
        return int(found[1]) << 10

    (process / "clear_refs").write_text("5")  # proc(5): the peak begins anew
    before = peak()
    yield
    grown = peak() - before
    assert grown < ROOM, f"the daemon grew by {grown >> 20} MiB, from {before >> 20} MiB"


def test_an_archive_of_images(clean: Engine) -> None:
    with in_little_memory(clean):
        status, said = send(clean, "POST", "/images/load", archive_of_an_image())
    assert (status, "Loaded image: large:1" in said) == (200, True), said
    assert clean.call("GET", "/images/large:1/json")[1]["Size"] == SIZE
    with in_little_memory(clean), contextlib.closing(Unix(str(clean.socket), 240)) as connection:  # and out again
        connection.request("GET", "/images/large:1/get")
        answer, size = connection.getresponse(), 0
        while block := answer.read(1 << 20):
            size += len(block)
    assert size > SIZE
    assert clean.call("DELETE", "/images/large:1")[0] == 200


def test_files_for_a_container(clean: Engine) -> None:
    clean.call("POST", "/containers/create?name=box", {"Image": "busybox"})
    with in_little_memory(clean):
        assert send(clean, "PUT", "/containers/box/archive?path=/tmp", files_of_a_copy()) == (200, "")
    with in_little_memory(clean), contextlib.closing(Unix(str(clean.socket), 240)) as connection:
        connection.request("GET", "/containers/box/archive?path=/tmp/large")
        with tarfile.open(fileobj=connection.getresponse(), mode="r|") as archive:
            assert [member.size for member in archive] == [SIZE]


@pytest.mark.skipif(shutil.which("buildah") is None, reason="there is no buildah")
def test_the_context_of_a_build(clean: Engine) -> None:
    with in_little_memory(clean):
        status, said = send(clean, "POST", "/build?t=large:2", context_of_a_build())
    assert (status, "Successfully tagged large:2" in said) == (200, True), said
    clean.call("DELETE", "/images/large:2")
