"""A sparse, persistent set of integers that finds its lowest absent member without a scan.

Words of 1,024 bits by (level, index): level 0 holds the members, a bit of level n+1 says that the word below is full. Every operation costs
the number of levels (two for a /16, seven for a /64), whatever the set holds, and two equal sets have equal words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import immutables

from .model import Integers

BITS = 10
WIDTH = 1 << BITS
FULL = (1 << WIDTH) - 1
LOW = WIDTH - 1
EMPTY: Integers = immutables.Map()


def contains(words: Integers, n: int) -> bool:
    """Whether n is a member."""
    return bool(words.get((0, n >> BITS), 0) >> (n & LOW) & 1)


def insert(words: Integers, n: int) -> Integers:
    """The set with n in it."""
    level = 0
    while True:
        key = (level, n >> BITS)
        word = words.get(key, 0) | 1 << (n & LOW)
        words = words.set(key, word)
        if word != FULL:
            return words
        level, n = level + 1, n >> BITS


def remove(words: Integers, n: int) -> Integers:
    """The set without n, which may be absent."""
    level = 0
    while True:
        key = (level, n >> BITS)
        word = words.get(key, 0)
        left = word & ~(1 << (n & LOW))
        if left != word:
            words = words.set(key, left) if left else words.delete(key)
        if word != FULL:
            return words
        level, n = level + 1, n >> BITS


def lowest_absent(words: Integers, start: int) -> int:
    """The lowest integer from `start` on that is no member."""
    level, n = 0, start
    while True:
        free = (FULL ^ words.get((level, n >> BITS), 0)) >> (n & LOW) << (n & LOW)
        if free:
            break
        level, n = level + 1, (n >> BITS) + 1
    n = n & ~LOW | lowest_bit(free)
    while level:
        level -= 1
        n = n << BITS | lowest_bit(FULL ^ words.get((level, n), 0))
    return n


def lowest_bit(word: int) -> int:
    """The place of the lowest bit that is set; word > 0."""
    return (word & -word).bit_length() - 1


def as_bits(numbers: Iterable[int]) -> int:
    """One number with these bits set, each below 65,536; to set them one by one would copy thousands of bytes for each."""
    field = bytearray(1 << 13)
    for n in numbers:
        field[n >> 3] |= 1 << (n & 7)
    return int.from_bytes(field, "little")


def members(bits: int) -> Iterator[int]:
    """The numbers whose bits are set, below 65,536."""
    for place, byte in enumerate(bits.to_bytes(1 << 13, "little")):
        while byte:
            yield place << 3 | (byte & -byte).bit_length() - 1
            byte &= byte - 1
