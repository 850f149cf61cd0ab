"""The tree of address blocks that are held: overlap and the lowest free block, at the cost of the address's length.

A node is (version, prefix length, prefix as a number of that many bits). True: wholly held, False: something below it is held, absent:
wholly free. Blocks of one tree do not overlap, so two equal sets of blocks have equal trees.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

import immutables

from .model import IPNetwork

Tree = immutables.Map[tuple[int, int, int], bool]


def node_of(block: IPNetwork) -> tuple[int, int, int]:
    """The node of a block."""
    return block.version, block.prefixlen, int(block.network_address) >> (block.max_prefixlen - block.prefixlen)


def with_block(tree: Tree, block: IPNetwork) -> Tree:
    """The tree with this block held."""
    version, length, prefix = node_of(block)
    tree = tree.set((version, length, prefix), True)
    while length:
        both = tree.get((version, length, prefix)) is True and tree.get((version, length, prefix ^ 1)) is True
        length, prefix = length - 1, prefix >> 1
        if tree.get((version, length, prefix)) == both and (version, length, prefix) in tree:
            break
        tree = tree.set((version, length, prefix), both)
    return tree


def without_block(tree: Tree, block: IPNetwork) -> Tree:
    """The tree with this block free again."""
    version, length, prefix = node_of(block)
    tree = tree.delete((version, length, prefix))
    while length:
        empty = (version, length, prefix) not in tree and (version, length, prefix ^ 1) not in tree
        length, prefix = length - 1, prefix >> 1
        if not empty and tree.get((version, length, prefix)) is False:
            break
        tree = tree.delete((version, length, prefix)) if empty else tree.set((version, length, prefix), False)
    return tree


def overlaps(tree: Tree, block: IPNetwork) -> bool:
    """Whether any block held shares an address with this one."""
    version, length, prefix = node_of(block)
    if (version, length, prefix) in tree:
        return True
    return any(tree.get((version, length - up, prefix >> up)) is True for up in range(1, length + 1))


def lowest_free(tree: Tree, base: IPNetwork, length: int, start: int = 0) -> IPNetwork | None:
    """The lowest free block of this prefix length in `base` whose first address is not below the number `start`."""
    if any(tree.get((base.version, base.prefixlen - up, node_of(base)[2] >> up)) is True for up in range(1, base.prefixlen + 1)):
        return None
    found = descend(tree, node_of(base), base.max_prefixlen, length, start)
    if found is None:
        return None
    return IPv4Network((found, length)) if base.version == 4 else IPv6Network((found, length))


def descend(tree: Tree, node: tuple[int, int, int], width: int, length: int, start: int) -> int | None:
    """The first address of the lowest such block under a node."""
    version, here, prefix = node
    first, last = prefix << (width - here), ((prefix + 1) << (width - here)) - 1
    state = tree.get(node)
    if last < start or state is True:
        return None
    if state is None:
        size = 1 << (width - length)
        candidate = max(first, -(-start // size) * size)
        return candidate if candidate + size - 1 <= last else None
    if here == length:
        return None
    for child in (prefix << 1, prefix << 1 | 1):
        found = descend(tree, (version, here + 1, child), width, length, start)
        if found is not None:
            return found
    return None
