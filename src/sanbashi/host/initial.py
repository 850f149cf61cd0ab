"""The layer between a container and its image: mount points and files that every container finds though its image may lack them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ..images.layers import chain_ids
from .layers import Layers
from .unpack import OPAQUE

# Mount points and the file that says "in a container". A link's target, or its kind.
INITIAL = {
    "proc": "dir",
    "sys": "dir",
    "dev/pts": "dir",
    "dev/shm": "dir",
    "dev/console": "file",
    "etc/hosts": "file",
    "etc/hostname": "file",
    "etc/resolv.conf": "file",
    "etc/mtab": "/proc/mounts",
    ".dockerenv": "file",
}


class InitialLayers:
    """DATA_ROOT/layers/i/<name of a chain>: one for all containers of an image, made when first wanted."""

    def __init__(self, layers: Layers) -> None:
        self.layers = layers
        self.root = layers.root / "i"
        self.root.mkdir(parents=True, exist_ok=True, mode=0o710)

    def of(self, layers: Sequence[str]) -> Path:
        """The one that stands on these layers (diff ids, lowest first)."""
        target = self.root / chain_name(layers)
        if target.exists():
            return target
        below = [self.layers.directory(diff_id) for diff_id in reversed(layers)]
        draft = self.root / f".new-{secrets.token_hex(8)}"
        with drafting(draft):
            draft.mkdir()
            for path, kind in INITIAL.items():
                place = draft / path
                place.parent.mkdir(parents=True, exist_ok=True)
                if kind == "dir":
                    place.mkdir(exist_ok=True)
                elif kind == "file":
                    place.touch(mode=0o755)
                else:
                    place.symlink_to(kind)
            for directory in (*(p for p in draft.rglob("*") if p.is_dir()), draft):
                name = directory.relative_to(draft)
                same = next((layer / name for layer in below if (layer / name).is_dir() and not (layer / name).is_symlink()), None)
                if same is not None:
                    copy_stat(same, directory)
            try:
                draft.rename(target)
            except OSError:
                if not target.exists():
                    raise
                shutil.rmtree(draft)
        return target

    def unused(self, used: Collection[Sequence[str]]) -> Iterator[Path]:
        """Those that stand on none of these chains, and what a death half way has left."""
        names = {chain_name(layers) for layers in used}
        return (first for first in self.root.iterdir() if first.name not in names)


@contextlib.contextmanager
def drafting(draft: Path) -> Iterator[None]:
    """What is made beside its place is gone where it does not get there."""
    try:
        yield
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def chain_name(layers: Sequence[str]) -> str:
    """A short name for what a chain of layers is."""
    return chain_ids(layers)[-1].removeprefix("sha256:")[:16] if layers else "scratch"


def copy_stat(source: Path, target: Path) -> None:
    """Give a directory another's owner, mode and times."""
    status = source.stat()
    os.chown(target, status.st_uid, status.st_gid)
    shutil.copystat(source, target)
    with contextlib.suppress(OSError):
        os.removexattr(target, OPAQUE)
