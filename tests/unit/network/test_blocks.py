from ipaddress import IPv4Network, ip_network

import immutables
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.network import blocks

BASE = ip_network("10.0.0.0/24")
BLOCKS = st.builds(
    lambda length, n: IPv4Network((int(BASE.network_address) + (n >> (32 - length) << (32 - length)), length)),
    st.integers(24, 30),
    st.integers(0, 255),
)


def all_blocks(length: int) -> list[IPv4Network]:
    return list(BASE.subnets(new_prefix=length))


@given(st.lists(st.tuples(st.booleans(), BLOCKS), max_size=25), BLOCKS, st.integers(24, 30), st.integers(0, 255))
def test_it_knows_what_is_held(changes: list[tuple[bool, IPv4Network]], asked: IPv4Network, length: int, offset: int) -> None:
    tree: blocks.Tree = immutables.Map()
    held: list[IPv4Network] = []
    for put, block in changes:
        assert blocks.overlaps(tree, block) == any(block.overlaps(h) for h in held)
        if put and not blocks.overlaps(tree, block):
            tree = blocks.with_block(tree, block)
            held.append(block)
        elif not put and block in held:
            tree = blocks.without_block(tree, block)
            held.remove(block)
    assert blocks.overlaps(tree, asked) == any(asked.overlaps(h) for h in held)
    start = int(BASE.network_address) + offset
    free = [b for b in all_blocks(length) if int(b.network_address) >= start and not any(b.overlaps(h) for h in held)]
    assert blocks.lowest_free(tree, BASE, length, start) == (free[0] if free else None)
    fresh: blocks.Tree = immutables.Map()
    for block in sorted(held, key=str):
        fresh = blocks.with_block(fresh, block)
    assert fresh == tree


def test_a_base_within_something_held_has_nothing() -> None:
    tree = blocks.with_block(immutables.Map(), ip_network("10.0.0.0/8"))
    assert blocks.lowest_free(tree, BASE, 26) is None
    assert blocks.overlaps(tree, ip_network("10.3.0.0/16"))
    assert not blocks.overlaps(tree, ip_network("fd00::/8"))
