"""Kept answers as bytes: of one sandbox each, bounded, and gone when they are told to go."""

from __future__ import annotations

from sanbashi.resolver.prepared import LONGEST, Prepared, Scope


def test_scopes_are_apart() -> None:
    prepared = Prepared()
    one: Scope = {}
    other: Scope = {}
    prepared.put(one, b"who", b"me", 5.0)
    prepared.put(other, b"who", b"not me", 6.0)
    prepared.put(one, b"who", b"me again", 7.0)
    assert (one, other, len(prepared)) == ({b"who": (7.0, b"me again")}, {b"who": (6.0, b"not me")}, 2)
    prepared.drop(one)
    assert (one, len(prepared)) == ({}, 1)
    assert other
    prepared.clear()
    assert (other, len(prepared)) == ({}, 0)


def test_bounded_over_all_scopes() -> None:
    prepared = Prepared(capacity=4)
    scopes: list[Scope] = [{}, {}, {}]
    for number in range(100):
        prepared.put(scopes[number % 3], b"%d" % number, b"reply", 1.0)
        assert sum(map(len, scopes)) == len(prepared) <= 4
        assert b"%d" % number in scopes[number % 3]
        if number % 7 == 0:
            prepared.drop(scopes[number % 2])
    prepared.put(scopes[0], b"long", bytes(LONGEST + 1), 1.0)
    assert b"long" not in scopes[0]
