"""The content store on a directory of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sanbashi.errors import Failed
from sanbashi.host.blobs import STALE, Blobs, DigestMismatch
from sanbashi.images.manifest import digest_of

DATA = b"some bytes"
DIGEST = digest_of(DATA)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def test_a_blob_is_there_only_when_it_is_whole(blobs: Blobs) -> None:
    with blobs.ingest(DIGEST) as ingest:
        ingest.write(DATA[:4])
        assert not blobs.has(DIGEST)
        ingest.write(DATA[4:])
    assert blobs.read(DIGEST) == DATA
    assert blobs.put(DATA) == DIGEST


def test_what_broke_off_is_resumed(blobs: Blobs) -> None:
    with pytest.raises(OSError, match="cut"), blobs.ingest(DIGEST) as ingest:
        ingest.write(DATA[:4])
        raise OSError("cut")
    with Blobs(blobs.root).ingest(DIGEST) as ingest:
        assert ingest.offset == 4
        ingest.write(DATA[4:])
    assert blobs.read(DIGEST) == DATA


def test_wrong_bytes_are_not_kept(blobs: Blobs) -> None:
    with pytest.raises(DigestMismatch, match=f"^filesystem layer verification failed for digest {DIGEST}$"), blobs.ingest(DIGEST) as ingest:
        ingest.write(b"other bytes")
    assert not list((blobs.root / "ingest").iterdir())
    with blobs.ingest(DIGEST) as ingest:
        ingest.write(b"oth")
        ingest.restart()
        ingest.write(DATA)
    assert blobs.has(DIGEST)


def test_put_does_not_trust_what_lies_half_written(blobs: Blobs) -> None:
    (blobs.root / "ingest" / DIGEST.removeprefix("sha256:")).write_bytes(b"garbage")
    assert blobs.read(blobs.put(DATA)) == DATA


def test_a_finished_file_is_adopted(blobs: Blobs, tmp_path: Path) -> None:
    for _ in range(2):
        file = tmp_path / "file"
        file.write_bytes(DATA)
        blobs.adopt(file, DIGEST)
        assert not file.exists()
    assert blobs.read(DIGEST) == DATA


def test_sweep(blobs: Blobs) -> None:
    kept, dropped = blobs.put(b"kept"), blobs.put(b"dropped")
    young, old, stray = (blobs.root / "ingest" / name for name in ("a" * 64, "b" * 64, "load-x"))
    for file in (young, old, stray):
        file.write_bytes(b"")
    os.utime(young, (1000, 1000))
    os.utime(old, (0, 0))
    blobs.sweep({kept}, now=STALE + 500)
    assert (blobs.has(kept), blobs.has(dropped)) == (True, False)
    assert [f.exists() for f in (young, old, stray)] == [True, False, False]


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../etc/passwd", f"md5:{'a' * 64}", f"sha256:{'G' * 64}"])
def test_a_digest_is_no_path(blobs: Blobs, digest: str) -> None:
    with pytest.raises(Failed, match="unsupported digest"):
        blobs.path(digest)


def test_a_missing_blob_is_named(blobs: Blobs) -> None:
    with pytest.raises(Failed, match=f"the content store lacks {DIGEST}"):
        blobs.read(DIGEST)
    blobs.remove(DIGEST)
