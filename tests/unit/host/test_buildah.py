"""buildah's command line, and what it is fed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from sanbashi.errors import Unavailable
from sanbashi.host import buildah, descriptors
from sanbashi.host.buildah import Buildah, build_flags, size_of, write_directory
from sanbashi.host.buildlines import piece
from sanbashi.images.buildrequest import BuildRequest, Limit


def test_where_it_is_missing_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buildah, "search_path", lambda: str(tmp_path))
    with pytest.raises(Unavailable) as refused:
        asyncio.run(Buildah(tmp_path / "data", tmp_path / "run").prepare())
    assert refused.value.hint == "install it: apt-get install buildah"
    assert not (tmp_path / "data").exists()


def test_it_runs_under_the_limits_that_the_daemon_was_started_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What RUN instructions start goes by the soft limit; ours is raised."""
    program = tmp_path / "buildah"
    program.write_text("#!/bin/sh\nulimit -Sn\nulimit -Hn\n")
    program.chmod(0o755)
    monkeypatch.setattr(descriptors, "given", (200, 300))
    built = Buildah(tmp_path, tmp_path / "run", program=program)
    assert asyncio.run(built.run("any")) == "200\n300\n"


def test_flags() -> None:
    plain = build_flags(BuildRequest())
    assert {"--layers", "--pull-never", "--force-rm", "--format=docker"} <= set(plain)
    assert not any(flag.startswith(("--memory", "--no-cache", "--shm")) for flag in plain)
    request = BuildRequest(
        no_cache=True,
        arguments={"A": "1 2", "unset": None, "empty": ""},
        labels={"k": "v=w"},
        ulimits=(Limit(name="nofile", soft=1, hard=2),),
        memory=1024,
        memory_swap=-1,
        shm_size=4096,
    )
    more = [flag for flag in build_flags(request) if flag not in plain]
    assert more == [
        "--no-cache",
        "--build-arg=A=1 2",
        "--build-arg=empty=",
        "--label=k=v=w",
        "--ulimit=nofile=1:2",
        "--memory=1024",
        "--memory-swap=-1",
        "--shm-size=4096",
    ]


def test_an_image_in_dir_form(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(b"layer")
    config, digest = b"{}", "sha256:" + "a" * 64
    write_directory(tmp_path / "image", config, "sha256:" + "c" * 64, [(digest, 5, blob), (digest, 5, blob)])
    manifest = json.loads((tmp_path / "image/manifest.json").read_bytes())
    assert manifest["config"]["digest"] == "sha256:" + "c" * 64
    assert [layer["size"] for layer in manifest["layers"]] == [5, 5]
    assert (tmp_path / "image" / ("a" * 64)).read_bytes() == b"layer"
    assert (tmp_path / "image" / ("c" * 64)).read_bytes() == config


def test_size_counts_a_linked_file_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 100)
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    assert size_of(tmp_path) == 100


def test_lines_that_are_too_long_come_in_pieces() -> None:
    async def read() -> list[bytes]:
        reader = asyncio.StreamReader(limit=8)
        reader.feed_data(b"short\n" + b"x" * 20 + b"\nlast")
        reader.feed_eof()
        found = []
        while data := await piece(reader):
            found.append(data)
        return found

    found = asyncio.run(read())
    assert b"".join(found) == b"short\n" + b"x" * 20 + b"\nlast"
    assert found[0] == b"short\n"
