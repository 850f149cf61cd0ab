"""The content store: files named by their sha256 digest; a blob is either whole and on the disk, or it is not there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import field
from pathlib import Path
from typing import BinaryIO

from ..errors import Failed
from ..records import dataclass
from .room import NO_ROOM

CHUNK = 1 << 18
STALE = 86400.0  # seconds after which a broken transfer is not resumed any more


class DigestMismatch(Failed):
    """What came is not what its digest says."""


class Ingest:
    """A blob on its way in. `offset` bytes are written and hashed; `restart` throws them away."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.offset = 0
        while chunk := file.read(CHUNK):
            self.digest.update(chunk)
            self.offset += len(chunk)

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self.digest.update(data)
        self.offset += len(data)

    def restart(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.digest = hashlib.sha256()
        self.offset = 0


@dataclass
class Blobs:
    """DATA_ROOT/blobs: sha256/<hex> are blobs, ingest/<hex> what is on its way. Safe to call from several threads."""

    root: Path
    locks: dict[str, threading.Lock] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for directory in (self.root / "sha256", self.root / "ingest"):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, digest: str) -> Path:
        """Where a blob lies or would lie."""
        algorithm, _, name = digest.partition(":")
        if algorithm != "sha256" or len(name) != 64 or not set(name) <= set("0123456789abcdef"):
            raise Failed(f"unsupported digest {digest!r}")
        return self.root / "sha256" / name

    def has(self, digest: str) -> bool:
        return self.path(digest).exists()

    def read(self, digest: str) -> bytes:
        """The bytes of a small blob; Failed where it is missing."""
        try:
            return self.path(digest).read_bytes()
        except FileNotFoundError as error:
            raise Failed(f"the content store lacks {digest}", hint="pull or load the image again") from error

    def put(self, data: bytes) -> str:
        """Store a small blob; its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if not self.has(digest):
            with self.ingest(digest) as ingest:
                ingest.restart()
                ingest.write(data)
        return digest

    @contextlib.contextmanager
    def ingest(self, digest: str) -> Iterator[Ingest]:
        """Write a blob; what an earlier attempt left is there already. The blob stands when the block ends and its digest is right.

        DigestMismatch in Docker's words where the digest is wrong (nothing is kept then, nor where the disk is full). Another error keeps what
        came, to be resumed.
        """
        target = self.path(digest)
        partial = self.root / "ingest" / target.name
        with without_room(partial), os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b") as file:
            ingest = Ingest(file)
            yield ingest
            if f"sha256:{ingest.digest.hexdigest()}" != digest:
                partial.unlink(missing_ok=True)
                raise DigestMismatch(f"filesystem layer verification failed for digest {digest}")
            file.flush()
            os.fsync(file.fileno())
        partial.rename(target)
        sync_directory(target.parent)

    def adopt(self, file: Path, digest: str) -> None:
        """Make a finished file (same file system, digest known to be right) a blob."""
        target = self.path(digest)
        if target.exists():
            file.unlink()
            return
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
        file.rename(target)
        sync_directory(target.parent)

    @contextlib.contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """One thread at a time for a digest: the second finds what the first has brought."""
        lock = self.locks.setdefault(key, threading.Lock())
        with lock:
            yield

    def remove(self, digest: str) -> None:
        """Remove a blob; gone already is well."""
        self.path(digest).unlink(missing_ok=True)

    def sweep(self, kept: Collection[str], now: float | None = None) -> None:
        """Remove every blob not named, and transfers that broke off more than a day ago. For the start, when nothing is pulled."""
        names = {digest.removeprefix("sha256:") for digest in kept}
        for blob in (self.root / "sha256").iterdir():
            if blob.name not in names:
                blob.unlink(missing_ok=True)
        old = (time.time() if now is None else now) - STALE
        for partial in (self.root / "ingest").iterdir():
            if len(partial.name) != 64 or partial.stat().st_mtime < old:
                partial.unlink(missing_ok=True)


@contextlib.contextmanager
def without_room(partial: Path) -> Iterator[None]:
    """What has filled the disk does not go on filling it."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            partial.unlink(missing_ok=True)
        raise


def sync_directory(directory: Path) -> None:
    """Bring a directory's entries to the disk, so that a rename survives a power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
