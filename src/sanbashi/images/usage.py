"""How images share their layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from .layers import chain_ids
from .model import Image


def shared_sizes(images: Iterable[Image]) -> dict[str, int]:
    """Of each image, the bytes of its layers that other images stand on too."""
    images = list(images)
    chains = {image.id: chain_ids(image.diff_ids) for image in images}
    users = Counter(chain for found in chains.values() for chain in found)
    return {i.id: sum(size for chain, size in zip(chains[i.id], i.sizes, strict=False) if users[chain] > 1) for i in images}
