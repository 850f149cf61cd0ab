"""Kernel network state as a value: a Picture is a set of Items, and it describes both what we want and what is there.

An Item is one thing that exists or not. `key` names it: two items of one key cannot exist together, so a changed value is a replacement.
`str(item)` is the line that the log, a dry run, an error and a golden file all print. `namespace` "" is the host, otherwise a sandbox id.
The kinds of items are in `standing` (the kernel's) and `kept` (the keeper's); whoever draws or reads a picture finds them all here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Protocol as TypingProtocol

from ..records import dataclass
from .kept import THE_HOST, Forwarder, HeldPort, HostResolver, Key, Leasing, Names, Resolver, Zone, twin_of
from .ranged import singly, take_out, together
from .standing import Address, Announce, Bridge, Element, Mtu, Namespace, Neighbour, Parent, Route, Sublink, Sysctl, Up, Veth


class Item(TypingProtocol):
    """One thing in the kernel or the keeper that exists or not."""

    @property
    def key(self) -> Key: ...


# The order in which things come into being; they go in the exact reverse, and a replacement adds before it removes where both can exist.
# Rules stand before an endpoint can talk and until it cannot; routes stand as long as a rule may translate to them.
ORDER: tuple[tuple[type, str], ...] = (
    (Namespace, "namespace"),
    (Bridge, "link"),
    (Parent, "link"),
    (Veth, "link"),
    (Sublink, "link"),
    (Sysctl, "sysctl"),
    (Mtu, "address"),
    (Address, "address"),
    (Up, "bridge up"),  # endpoint=False
    (Neighbour, "neighbour"),
    (Route, "route"),
    (HeldPort, "held port"),
    (Forwarder, "held port"),
    (Element, "rules"),
    (Up, "endpoint up"),  # endpoint=True
    (Zone, "names"),
    (Resolver, "names"),
    (Names, "names"),
    (HostResolver, "names"),
    (Leasing, "leases"),  # the server is asked when the endpoint can talk, and given back what it lent before it cannot
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A set of items, one of each key."""

    items: frozenset[Item] = field(default_factory=frozenset)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __or__(self, other: Picture) -> Picture:
        return Picture(self.items | other.items)

    def __sub__(self, other: Picture) -> Picture:
        return Picture(self.items - other.items)

    @property
    def ranged(self) -> bool:
        """Whether an item of it stands for several ports."""
        return any(getattr(item, "count", 1) > 1 for item in self.items)

    def each(self) -> Picture:
        """The same with every port by itself."""
        return Picture.of(singly(self.items)) if self.ranged else self

    @classmethod
    def of(cls, items: Iterable[Item]) -> Picture:
        return cls(frozenset(items))


__all__ = [
    "ORDER",
    "THE_HOST",
    "Address",
    "Announce",
    "Bridge",
    "Element",
    "Forwarder",
    "HeldPort",
    "HostResolver",
    "Item",
    "Key",
    "Leasing",
    "Mtu",
    "Names",
    "Namespace",
    "Neighbour",
    "Parent",
    "Picture",
    "Resolver",
    "Route",
    "Sublink",
    "Sysctl",
    "Up",
    "Veth",
    "Zone",
    "singly",
    "take_out",
    "together",
    "twin_of",
]
