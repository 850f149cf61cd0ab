"""A question and what a sandbox sees, to a reply; None where somebody else must be asked.

TTL of container names: 1 second. Docker says 600, and caches then go on sending to an address that has long been given to another container
(users ask for less since 2014). Zero would be right as well (aardvark-dns says 0), but some proxies take 0 for "no TTL" and fall back to
a default of their own; 1 lets a proxy answer a burst from one look-up and is over before an address can be reused.
"""

from __future__ import annotations

from collections.abc import Callable

from . import wire
from .names import Directory, View

NAME_TTL = 1  # seconds
MAX_VARIANTS = 8  # orders of one answer that are kept ready

Shuffle = Callable[[list[bytes]], None]

FAMILIES = {wire.A: 4, wire.AAAA: 16}  # record type -> bytes of an address


def answer(data: bytes, question: wire.Question, view: View, directory: Directory, *, size: int, shuffle: Shuffle) -> tuple[bytes, ...] | None:
    """Tails of the replies to a question about our own names, one an order of the addresses, to be used in turn; None: not our name.

    `size` is the most that the reply may measure. A name that exists only in the other family, or is asked for MX, gets an empty NOERROR.
    """
    if question.klass != wire.IN:
        return None
    if question.type in FAMILIES:
        addresses, exists = directory.find(view, question.name, FAMILIES[question.type])
        # Somebody who sets ndots wants a single label completed by the search list, so it goes out only as a whole name.
        if not exists and not (view.ndots_set and "." not in question.name):
            return None
        return tuple(
            wire.tail(data, question.end, [wire.record(question.type, NAME_TTL, a) for a in order], size=size) for order in orders(addresses, shuffle)
        )
    if question.type == wire.MX:
        exists = any(directory.find(view, question.name, length)[1] for length in FAMILIES.values())
        return (wire.tail(data, question.end, [], size=size),) if exists else None
    if question.type == wire.PTR:
        address = reverse_address(question.name)
        name = directory.name_of(view, address) if address else None
        target = wire.encode_name(name) if name else None
        return (wire.tail(data, question.end, [wire.record(wire.PTR, NAME_TTL, target)], size=size),) if target else None
    return None


def orders(addresses: list[bytes], shuffle: Shuffle) -> list[list[bytes]]:
    """Rotations of one random order, so that each address leads as often as the others (up to MAX_VARIANTS of them)."""
    shuffled = list(addresses)
    shuffle(shuffled)
    return [shuffled[i:] + shuffled[:i] for i in range(min(len(shuffled), MAX_VARIANTS))] or [[]]


def reverse_address(name: str) -> bytes | None:
    """The packed address that a name under in-addr.arpa or ip6.arpa stands for."""
    labels = name.split(".")
    if labels[-2:] == ["in-addr", "arpa"] and len(labels) == 6:
        if all(part.isascii() and part.isdecimal() and len(part) < 4 and int(part) < 256 for part in labels[:4]):
            return bytes(int(part) for part in reversed(labels[:4]))
    elif labels[-2:] == ["ip6", "arpa"] and len(labels) == 34 and all(len(part) == 1 and part in "0123456789abcdef" for part in labels[:32]):
        return bytes.fromhex("".join(reversed(labels[:32])))
    return None
