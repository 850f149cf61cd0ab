"""Timers and interest; the clock is ours and the descriptors are pipes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sanbashi.keeper.loop import READ, Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    made.now = lambda: 0.0
    yield made
    made.stop()
    made.run()


def test_timers_run_in_order_and_once(loop: Loop) -> None:
    ran: list[str] = []
    loop.later(2, lambda: ran.append("second"))
    loop.later(1, lambda: ran.append("first"))
    cancelled = loop.later(1, lambda: ran.append("never"))
    cancelled.cancel()
    cancelled.cancel()
    loop.later(9, lambda: ran.append("later"))
    loop.now = lambda: 5.0
    loop.turn(0)
    loop.turn(0)
    assert ran == ["first", "second"]


def test_a_busy_hour_leaves_no_heap(loop: Loop) -> None:
    ran: list[int] = []
    for number in range(10_000):
        timer = loop.later(5, lambda number=number: ran.append(number))  # type: ignore[misc]
        if number % 100:
            timer.cancel()
    assert len(loop._timers) < 500
    loop.now = lambda: 6.0
    loop.turn(0)
    assert ran == list(range(0, 10_000, 100))


def test_a_descriptor_forgotten_in_a_turn_is_not_called_in_it(loop: Loop) -> None:
    """Its number may belong to somebody else by then."""
    pairs = [os.pipe() for _ in range(2)]
    called: list[int] = []

    def take(mine: int, other: int) -> None:
        called.append(mine)
        loop.want(mine, 0)
        loop.forget(other)
        loop.watch(other, READ, lambda events: called.append(-1))

    for (mine, writer), (other, _) in zip(pairs, reversed(pairs), strict=True):
        os.write(writer, b"x")
        loop.watch(mine, READ, lambda events, mine=mine, other=other: take(mine, other))  # type: ignore[misc]
    loop.turn(0)
    assert len(called) == 1
    loop.turn(0)
    assert called[1:] == [-1]
    for reader, writer in pairs:
        loop.forget(reader)
        os.close(reader)
        os.close(writer)


def test_no_interest_means_not_even_errors(loop: Loop) -> None:
    reader, writer = os.pipe()
    called: list[int] = []
    loop.watch(reader, 0, called.append)
    os.close(writer)
    loop.turn(0)
    assert called == []
    loop.want(reader, READ)
    loop.turn(0)
    assert len(called) == 1
    loop.forget(reader)
    loop.forget(reader)
    os.close(reader)
