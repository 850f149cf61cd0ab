"""What cannot stand because a link of the host that is not ours has gone: an unplugged card must not keep everything else from coming up."""

from __future__ import annotations

from collections.abc import Collection

from .picture import Bridge, Item, Parent, Picture, Sublink
from .plan import hangs_on


def without_absent(wish: Picture, present: Collection[str]) -> tuple[Picture, tuple[str, ...]]:
    """The wish without what stands on links that are not there (`present`: the host's links), and a sentence for each thing left out."""
    lost: list[Item] = [i for i in wish if isinstance(i, Parent) and i.over and i.over not in present]
    there = {*present, *(i.name for i in wish if isinstance(i, Parent | Bridge) and i not in lost)}
    lost += [i for i in wish if isinstance(i, Sublink) and i.parent not in there]
    if not lost:
        return wish, ()
    links = {(i.namespace, i.name) if isinstance(i, Sublink) else ("", i.name) for i in lost if isinstance(i, Sublink | Parent)}
    hanging = [i for i in wish if hangs_on(i, links, set())]
    sentences = sorted(f"{i}: {i.parent if isinstance(i, Sublink) else i.over if isinstance(i, Parent) else ''} is not there" for i in lost)
    return wish - Picture.of([*lost, *hanging]), tuple(sentences)
