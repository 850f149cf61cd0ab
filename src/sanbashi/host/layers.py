"""The layers of images, each unpacked once, by the digest of its tar; a layer is there whole and on the disk, or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import msgspec

from ..errors import Failed
from ..records import dataclass
from .blobs import sync_directory
from .deleting import delete
from .unpack import Source, Unpacked, unpack

libc = ctypes.CDLL(None, use_errno=True)
LINK = 8  # hex digits of a short link: the options of an overlay mount must fit into a page


class Note(msgspec.Struct, frozen=True):
    """What is known of a layer: the blob that it came as, and sizes in bytes (of its plain tar, of its files)."""

    blob: str
    media_type: str
    blob_size: int
    tar_size: int
    size: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A layer that is unpacked and not yet in the store."""

    directory: Path
    unpacked: Unpacked

    def discard(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


@dataclass(frozen=True)
class Layers:
    """DATA_ROOT/layers: <hex of the diff id>/{diff/,note.json}, and l/<short> links to the diff directories."""

    root: Path

    def __post_init__(self) -> None:
        for directory in (self.root / "tmp", self.root / "l"):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, diff_id: str) -> Path:
        """A layer's own directory."""
        return self.root / diff_id.removeprefix("sha256:")

    def directory(self, diff_id: str) -> Path:
        """The files of a layer, whiteouts in overlayfs's form."""
        return self.path(diff_id) / "diff"

    def has(self, diff_id: str) -> bool:
        return (self.path(diff_id) / "note.json").exists()

    def check(self, diff_id: str) -> None:
        """Failed where a layer is missing."""
        if not self.has(diff_id):
            raise missing(diff_id)

    def note(self, diff_id: str) -> Note:
        """What is known of a layer; Failed where it is missing."""
        try:
            return msgspec.json.decode((self.path(diff_id) / "note.json").read_bytes(), type=Note)
        except FileNotFoundError as error:
            raise missing(diff_id) from error

    def unpack(self, source: Source, *, consumed: Callable[[int], None] = lambda size: None) -> Draft:
        """Unpack a blob beside the store; publish or discard the draft."""
        directory = self.root / "tmp" / secrets.token_hex(8)
        (directory / "diff").mkdir(parents=True, mode=0o755)
        try:
            return Draft(directory, unpack(source, directory / "diff", consumed=consumed))
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise

    def publish(self, drafts: Iterable[tuple[Draft, Note]]) -> None:
        """Put drafts into the store: all their files on the disk first, then one rename each. A layer that is there already stays."""
        drafts = list(drafts)
        for draft, note in drafts:
            (draft.directory / "note.json").write_bytes(msgspec.json.encode(note))
        if drafts:
            self.sync()
        for draft, _ in drafts:
            target = self.path(draft.unpacked.diff_id)
            try:
                draft.directory.rename(target)
            except OSError:
                if not self.has(draft.unpacked.diff_id):
                    raise
                draft.discard()
            self.link(draft.unpacked.diff_id)
        sync_directory(self.root)

    def renote(self, diff_id: str, note: Note) -> None:
        """Say anew what a layer came as, at once or not at all."""
        draft = self.root / "tmp" / secrets.token_hex(8)
        draft.write_bytes(msgspec.json.encode(note))
        draft.rename(self.path(diff_id) / "note.json")
        sync_directory(self.path(diff_id))

    def link(self, diff_id: str) -> str:
        """The short link of a layer, made where it is missing; relative to the root."""
        name = diff_id.removeprefix("sha256:")
        target = f"../{name}/diff"
        for length in range(LINK, len(name) + 1):
            link = self.root / "l" / name[:length]
            with contextlib.suppress(FileExistsError):
                link.symlink_to(target)
            if str(link.readlink()) == target:
                return f"l/{link.name}"
        raise AssertionError("the whole name is its own")

    def remove(self, diff_id: str) -> None:
        """Take a layer away; gone already is well."""
        doomed = self.root / "tmp" / f"removed-{secrets.token_hex(8)}"
        with contextlib.suppress(FileNotFoundError):
            self.path(diff_id).rename(doomed)  # at once invisible, however long the deletion takes
            (self.root / self.link(diff_id)).unlink(missing_ok=True)
            delete(doomed)

    def sweep(self, kept: Collection[str]) -> None:
        """Remove what a death half way has left and every layer not named. For the start, when nothing is pulled."""
        names = {diff_id.removeprefix("sha256:") for diff_id in kept}
        for draft in (self.root / "tmp").iterdir():
            if draft.is_dir():
                delete(draft)
            else:
                draft.unlink()
        for layer in self.root.iterdir():
            if len(layer.name) == 64 and (layer.name not in names or not (layer / "note.json").exists()):
                delete(layer)
        for link in (self.root / "l").iterdir():
            if not link.exists():
                link.unlink()

    def sync(self) -> None:
        """Bring the file system under the store to the disk: one call is far cheaper than one a file."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if libc.syncfs(descriptor) != 0:
                number = ctypes.get_errno()
                raise Failed(f"cannot bring layers to the disk: {os.strerror(number)}")
        finally:
            os.close(descriptor)


def missing(diff_id: str) -> Failed:
    """What is said of a layer that is not there."""
    return Failed(f"the layer {diff_id} is missing", hint="remove the image and pull it again")
