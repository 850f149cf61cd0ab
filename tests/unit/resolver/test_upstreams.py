"""Whom to ask first."""

from __future__ import annotations

from sanbashi.resolver.upstreams import LONGEST_PENALTY, MISSES, PENALTY, Upstreams, nameservers


def test_listed_order_until_one_fails() -> None:
    upstreams = Upstreams(("a", "b", "a", "c", "d"))
    assert upstreams.order(0.0) == ("a", "b", "c")
    assert [upstreams.silent("a", 0.0) for _ in range(MISSES)] == [False] * (MISSES - 1) + [True]
    assert upstreams.order(1.0) == ("b", "c", "a")
    assert upstreams.order(PENALTY) == ("a", "b", "c")  # it gets another chance
    assert upstreams.unreachable("a", PENALTY)
    assert not upstreams.unreachable("a", PENALTY + 1)
    assert upstreams.order(2.5 * PENALTY) == ("b", "c", "a")  # twice as long
    upstreams.answered("a")
    assert upstreams.order(PENALTY) == ("a", "b", "c")


def test_all_down_are_still_asked() -> None:
    upstreams = Upstreams(("a", "b"))
    now = 0.0
    for _ in range(10):
        upstreams.unreachable("a", now)
        upstreams.unreachable("b", now)
        assert upstreams.order(now) == ("a", "b")
        now += LONGEST_PENALTY


def test_nameservers() -> None:
    text = "# nameserver 1.1.1.1\nnameserver 192.0.2.53\nsearch x\n  nameserver\tfe80::1%eth0 # here\nnameserver\n; x\noptions ndots:2\n"
    assert nameservers(text) == ("192.0.2.53", "fe80::1%eth0")
