"""Items that stand for ports that follow each other: a range of five hundred costs what one port does, until a part of it changes by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Protocol

from .kept import Forwarder, HeldPort
from .standing import Element


class Item(Protocol):
    """As `picture` has it."""

    @property
    def key(self) -> tuple[object, ...]: ...


Items = dict[tuple[object, ...], Any]


def singly(items: Iterable[Any]) -> Iterator[Any]:
    """Items, and those that stand for several ports as an item a port."""
    for item in items:
        if isinstance(item, Element | HeldPort | Forwarder) and item.count > 1:
            yield from item.each()
        else:
            yield item


def together(items: Iterable[Any]) -> Iterator[Any]:
    """Items of the keeper, and ports by themselves that follow each other as one."""
    found: list[tuple[Any, int]] = []
    last: dict[tuple[object, ...], int] = {}  # by what two must share: the place of the latest in `found`
    for item in items:
        if not isinstance(item, HeldPort | Forwarder):
            found.append((item, 1))
            continue
        target = (item.target, item.target_port - item.port) if isinstance(item, Forwarder) else ()
        way = (item.protocol, item.address.version, int(item.address), target)
        place = last.get(way)
        if place is not None and found[place][0].port + found[place][1] == item.port:
            found[place] = found[place][0], found[place][1] + item.count
        else:
            last[way] = len(found)
            found.append((item, item.count))
    return (replace(item, count=count) if count > 1 else item for item, count in found)


def take_out(items: Items, item: Item) -> None:
    """Take an item out of others by their keys, and of one that stands for more ports than this only these."""
    there = items.pop(item.key, None)
    if not isinstance(item, HeldPort | Forwarder) or (there is not None and there.count == item.count):
        return
    wider = [other for other in items.values() if isinstance(other, HeldPort | Forwarder) and overlap(other, item)]
    for run in (*wider, *filter(None, (there,))):
        items.pop(run.key, None)
        items.update((single.key, single) for single in run.each())
    for single in item.each():
        items.pop(single.key, None)


def overlap(one: HeldPort | Forwarder, other: HeldPort | Forwarder) -> bool:
    """Whether two have a port in common."""
    same = one.protocol == other.protocol and one.address == other.address
    return same and one.port < other.port + other.count and other.port < one.port + one.count
