"""The files of a log: LOG, which is written, LOG.1, the newest of those put aside, and so on; a packed one is LOG.1.gz and knows what it was."""

from __future__ import annotations

import gzip
import os
import re
import stat
import threading
import zlib
from contextlib import suppress
from dataclasses import field
from pathlib import Path

from ..records import dataclass

BLOCK = 1 << 16
HEAD = 128  # bytes that hold the time of a file's first line, or a packed file's header
NAMED = 8  # RFC 1952: a gzip file that says its name
TIME = re.compile(rb"[0-9T:.+Z-]{1,64}")


@dataclass
class Part:
    """One file of a log, open. A packed one is read as what was packed."""

    descriptor: int
    packed: bool = False
    inner: gzip.GzipFile | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.packed:
            self.inner = gzip.GzipFile(fileobj=os.fdopen(self.descriptor, "rb", closefd=False))

    def read(self) -> bytes:
        """What comes next, b"" at the end; a packed file that a power loss has cut ends there."""
        if self.inner is None:
            return os.read(self.descriptor, BLOCK)
        try:
            return self.inner.read(BLOCK)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return b""

    @property
    def key(self) -> bytes:
        """The time of the first line, by which a file is known again after it was packed; b"" before there is one."""
        return self.note()[0] if self.packed else first_time(self.descriptor)

    @property
    def lines(self) -> int:
        """How many lines a packed file has."""
        return self.note()[1]

    def note(self) -> tuple[bytes, int]:
        """What `pack` wrote into the header."""
        head = os.pread(self.descriptor, HEAD, 0)
        name = head[10:].partition(b"\0")[0] if len(head) > 10 and head[3] & NAMED else b""
        key, _, lines = name.rpartition(b",")
        return key, int(lines) if lines.isdigit() else 0

    def is_same(self, other: Part) -> bool:
        """Whether both are one file, or one of them is what the other was packed into."""
        if os.path.sameopenfile(self.descriptor, other.descriptor):
            return True
        return (self.packed or other.packed) and self.key == other.key != b""

    def close(self) -> None:
        if self.inner is not None:
            self.inner.close()
        os.close(self.descriptor)


def first_time(descriptor: int) -> bytes:
    """The time at the beginning of a plain file; b"" where there is none: a power loss may leave NULs there, and one would end a header's name."""
    word = os.pread(descriptor, HEAD, 0).partition(b" ")[0]
    return word if TIME.fullmatch(word) else b""


def aside(path: Path, number: int, *, packed: bool = False) -> Path:
    """The name of an older part of a log."""
    return path.with_name(f"{path.name}.{number}{'.gz' if packed else ''}")


def open_part(path: Path, number: int) -> Part | None:
    """The part of that number, 0 the one that is written; None where there is none."""
    # A packed one is there before the plain one goes: asked for in this order, one of them is found.
    with suppress(FileNotFoundError):
        return Part(os.open(aside(path, number) if number else path, os.O_RDONLY | os.O_CLOEXEC))
    with suppress(FileNotFoundError):
        return Part(os.open(aside(path, number, packed=True), os.O_RDONLY | os.O_CLOEXEC), packed=True)
    return None


def parts(path: Path) -> list[Part]:
    """A log's files that are there, the oldest first, each once."""
    found: list[Part] = []
    number = missing = 0
    while missing < 2:  # one may be on its way to the next name
        part = open_part(path, number)
        number += 1
        if part is None:
            missing += 1
            continue
        missing = 0
        if any(part.is_same(other) for other in found):  # it was put aside, or packed, while we looked
            part.close()
        else:
            found.insert(0, part)
    return found


def pack(path: Path, files: int, stop: threading.Event) -> bool:
    """Pack what was put aside of a log of `files` files; False where conmon may still write to it, or `stop` was set. Nobody may rotate meanwhile."""
    if not path.exists():  # conmon has not begun the next file: the last one is not yet whole
        return False
    for number in range(1, files):
        plain, packed = aside(path, number), aside(path, number, packed=True)
        draft = packed.with_name(f"{packed.name}.new")
        try:
            if not plain.exists():
                continue
            if not write_packed(plain, draft, stop):
                return False
            draft.rename(packed)
            plain.unlink()
        finally:
            draft.unlink(missing_ok=True)
    return True


def write_packed(plain: Path, draft: Path, stop: threading.Event) -> bool:
    """Write a file packed, and to the disk: the plain one goes when it is there; False where it was told to stop."""
    with plain.open("rb") as source, draft.open("wb") as out:
        key = first_time(source.fileno()).decode("ascii")
        lines = 0
        while some := source.readlines(BLOCK):
            if stop.is_set():
                return False
            lines += sum(line.split(b" ", 3)[2:3] == [b"F"] for line in some)
        source.seek(0)
        with gzip.GzipFile(f"{key},{lines}", "wb", compresslevel=6, fileobj=out, mtime=0) as inner:
            while block := source.read(BLOCK):
                if stop.is_set():
                    return False
                inner.write(block)
        os.fchmod(out.fileno(), stat.S_IMODE(os.fstat(source.fileno()).st_mode))  # who may read it changes with nothing
        out.flush()
        os.fdatasync(out.fileno())
    return True
