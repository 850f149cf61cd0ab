"""How an address, and the namespace that a thing is in, stand in a line of text."""

from __future__ import annotations

import functools

from .model import IPAddress, IPInterface, IPNetwork


def where(namespace: str) -> str:
    """The part of an item's line that names its namespace."""
    return f" in {namespace[:12]}" if namespace else ""


def bracketed(address: IPAddress) -> str:
    """An address as it stands before a colon and a port."""
    return f"[{spelled(address)}]" if address.version == 6 else spelled(address)


def numbers(first: int, count: int) -> str:
    """Ports that follow each other, as people write them."""
    return str(first) if count == 1 else f"{first}-{first + count - 1}"


@functools.lru_cache(maxsize=4096, typed=True)
def spelled(value: IPAddress | IPInterface | IPNetwork) -> str:
    """An address as text, kept: hundreds of ports name the same few, and to spell one of IPv6 takes longer than all else of a port."""
    return str(value)
