"""A build's context as a tar archive, written piece by piece while it is sent."""

import io
import os
import tarfile

from sanbashi.cli.failure import Failure
from sanbashi.cli.ignored import Ignored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1 << 18
BLOCK = 512


def entries(root: str, ignored: Ignored, always: "frozenset[str]") -> "Iterator[str]":
    """The paths of a directory that go along, relative to it, each directory before what is in it, in order."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            names = sorted(os.listdir(os.path.join(root, folder)))  # noqa: PTH118, PTH208 - paths are text here, and there may be very many
        except OSError as problem:
            raise Failure(f"error checking context: {(problem.strerror or '').lower()}: '{problem.filename}'") from None
        below: list[str] = []
        for name in names:
            path = f"{folder}/{name}" if folder else name
            whole = f"{root}/{path}"
            directory = os.path.isdir(whole) and not os.path.islink(whole)  # noqa: PTH112, PTH114
            taken = path not in always and ignored.takes(path)
            if not taken:
                yield path
            if directory and (not taken or ignored.may_bring_back()):
                below.append(path)
        waiting += reversed(below)


def archive(root: str, ignored: Ignored, always: "frozenset[str]", extra: "dict[str, bytes]") -> "Iterator[bytes]":
    """The archive's bytes. Owners are root, as Docker's client has it; `always` are never left out, `extra` are files that are not there."""
    links: dict[tuple[int, int], str] = {}
    written: set[str] = set()
    for path in entries(root, ignored, always):
        whole = f"{root}/{path}"
        try:
            status = os.lstat(whole)
        except FileNotFoundError:
            continue  # gone since it was listed
        # A file that was brought back out of a directory that is left out needs that directory.
        yield from parents(path, written)
        entry = tarfile.TarInfo(path)
        entry.mode, entry.mtime = status.st_mode & 0o7777, int(status.st_mtime)
        if os.path.islink(whole):  # noqa: PTH114
            entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(whole)  # noqa: PTH115
            yield header(entry)
        elif os.path.isdir(whole):  # noqa: PTH112
            entry.type = tarfile.DIRTYPE
            written.add(path)
            yield header(entry)
        elif os.path.isfile(whole):  # noqa: PTH113
            key = (status.st_dev, status.st_ino)
            if status.st_nlink > 1 and key in links:
                entry.type, entry.linkname = tarfile.LNKTYPE, links[key]
                yield header(entry)
                continue
            links[key] = path
            yield from content(entry, whole, status.st_size)
    for name, data in extra.items():
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(data), 0o600
        yield header(entry) + data + bytes(-len(data) % BLOCK)
    yield bytes(2 * BLOCK)


def parents(path: str, written: set[str]) -> "Iterator[bytes]":
    """Entries of the directories above a path that have none yet."""
    parts = path.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        folder = "/".join(parts[:count])
        if folder not in written:
            written.add(folder)
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            yield header(entry)


def content(entry: tarfile.TarInfo, path: str, size: int) -> "Iterator[bytes]":
    """A file with its content; one that shrinks meanwhile is filled up, one that grows is cut."""
    try:
        file = open(path, "rb")  # noqa: PTH123, SIM115 - as above
    except OSError as problem:
        raise Failure(f"error checking context: can't stat '{path}': {(problem.strerror or '').lower()}") from None
    with file:
        entry.size = size
        yield header(entry)
        left = size
        while left and (data := file.read(min(CHUNK, left))):
            left -= len(data)
            yield data
        yield bytes(left + -size % BLOCK)


def header(entry: tarfile.TarInfo) -> bytes:
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def is_archive(data: bytes) -> bool:
    """Whether bytes begin a tar, plain or compressed."""
    if data.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")):
        return True
    try:
        tarfile.TarInfo.frombuf(data[:BLOCK].ljust(BLOCK, b"\0"), "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def file_alone(name: str, data: bytes) -> bytes:
    """An archive of one file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()
