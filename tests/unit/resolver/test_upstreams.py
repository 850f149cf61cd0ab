"""Whom to ask first, and for how long to wait for him."""

from __future__ import annotations

from sanbashi.resolver.upstreams import (
    ANSWERS_FOR_EXTRA,
    EXTRA,
    HEDGE,
    LONGEST_PENALTY,
    MISSES,
    PENALTY,
    SHORTEST_HEDGE,
    UNKNOWN,
    Upstreams,
    Way,
    nameservers,
)


def test_all_are_asked_until_the_first_has_answered() -> None:
    upstreams = Upstreams(("a", "b", "a", "c", "d"))
    assert upstreams.way(0.0) == Way(("a", "b", "c"), ("a", "b", "c"), UNKNOWN)
    upstreams.answered("b", 0.001)
    assert upstreams.way(0.0).at_once == ("a", "b", "c")
    upstreams.answered("a", 0.02)
    assert upstreams.way(0.0) == Way(("a", "b", "c"), ("a",), 0.02 + 4 * 0.01)


def test_patience_follows_the_answers_within_bounds() -> None:
    upstreams = Upstreams(("a", "b"))
    for _ in range(50):
        upstreams.answered("a", 0.001)
    assert upstreams.way(0.0).patience == SHORTEST_HEDGE
    for _ in range(50):
        upstreams.answered("a", 0.1)
    assert 0.1 < upstreams.way(0.0).patience < 0.12
    upstreams.answered("a", 0.28)
    assert upstreams.way(0.0).patience > 0.2  # an uneven one is given more
    assert upstreams.answered("a", HEDGE)
    assert not upstreams.answered("a", HEDGE + 0.01)
    for _ in range(50):
        upstreams.answered("a", HEDGE)
    assert upstreams.way(0.0).patience == HEDGE


def test_one_that_let_us_wait_is_not_asked_alone_and_then_not_waited_for() -> None:
    upstreams = Upstreams(("a", "b"))
    upstreams.answered("a", 0.001)
    upstreams.waited("a")
    assert upstreams.way(0.0) == Way(("a", "b"), ("a", "b"), SHORTEST_HEDGE)
    upstreams.waited("a")
    assert upstreams.way(0.0) == Way(("a", "b"), ("a", "b"), 0.0)
    upstreams.answered("a", 0.01)
    assert upstreams.way(0.0).at_once == ("a",)
    assert upstreams.way(0.0).patience > 0


def test_one_that_misses_is_asked_last_and_tried_beside_the_others() -> None:
    upstreams = Upstreams(("a", "b"))
    upstreams.answered("b", 0.001)
    assert [upstreams.missed("a", 0.0) for _ in range(MISSES + 1)] == [False] * (MISSES - 1) + [True, False]
    assert upstreams.way(1.0) == Way(("b", "a"), ("b",), SHORTEST_HEDGE)
    assert upstreams.way(PENALTY) == Way(("b", "a"), ("b", "a"), SHORTEST_HEDGE)  # another chance, which nobody waits for
    assert upstreams.way(PENALTY).at_once == ("b",)
    assert not upstreams.unreachable("a", PENALTY + 1)
    assert upstreams.way(2.5 * PENALTY).at_once == ("b",)  # twice as long
    assert upstreams.way(3 * PENALTY).at_once == ("b", "a")
    upstreams.answered("a", 0.02)
    assert upstreams.way(3 * PENALTY).order == ("a", "b")


def test_trials_become_seldom() -> None:
    upstreams = Upstreams(("a", "b"))
    upstreams.answered("b", 0.001)
    upstreams.unreachable("a", 0.0)
    trials = [second for second in range(1000) if "a" in upstreams.way(float(second)).at_once]
    assert trials == [10, 30, 70, 150, 270, 390, 510, 630, 750, 870, 990]
    assert trials[-1] - trials[-2] == LONGEST_PENALTY


def test_all_down_are_still_asked() -> None:
    upstreams = Upstreams(("a", "b"))
    now = 0.0
    for _ in range(10):
        upstreams.unreachable("a", now)
        upstreams.unreachable("b", now)
        assert upstreams.way(now).order == ("a", "b")
        assert upstreams.way(now).at_once[0] == "a"
        now += LONGEST_PENALTY


def test_questions_in_addition_are_counted() -> None:
    upstreams = Upstreams(("a", "b", "c"))
    asked = [len(upstreams.way(0.0).at_once) for _ in range(100)]
    assert sum(asked) == 100 + EXTRA
    assert not upstreams.spend()
    for _ in range(2 * ANSWERS_FOR_EXTRA + 1):
        upstreams.answered("c", 0.001)
    assert [upstreams.spend() for _ in range(3)] == [True, True, False]


def test_where_nothing_may_be_asked_in_addition_one_that_is_late_is_passed_over() -> None:
    upstreams = Upstreams(("a", "b"))
    while upstreams.spend():
        pass
    assert upstreams.way(0.0).at_once == ("a",)
    upstreams.waited("a")
    upstreams.waited("a")
    assert upstreams.way(0.0) == Way(("a", "b"), ("b",), 0.0)


def test_a_single_server_is_asked_alone() -> None:
    assert Upstreams(("a",)).way(0.0) == Way(("a",), ("a",), UNKNOWN)
    assert Upstreams(()).way(0.0).order == ()


def test_nameservers() -> None:
    text = "# nameserver 1.1.1.1\nnameserver 192.0.2.53\nsearch x\n  nameserver\tfe80::1%eth0 # here\nnameserver\n; x\noptions ndots:2\n"
    assert nameservers(text) == ("192.0.2.53", "fe80::1%eth0")
