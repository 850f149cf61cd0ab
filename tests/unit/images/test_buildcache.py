"""How much of the builder's cache goes."""

from __future__ import annotations

import pytest

from sanbashi.images.buildcache import Cached, CacheWish, next_to_go, records

# base <- one <- two (which adds no layer), base <- other
PARENTS = {"B": "", "1": "B", "O": "B"}
IMAGES = (Cached("base", "B", 10), Cached("one", "1", 20), Cached("two", "1", 30), Cached("other", "O", 25))


@pytest.mark.parametrize(
    ("wish", "total", "free", "kept"),
    [
        (CacheWish(), 100, 5, 0),
        (CacheWish(reserved=40), 100, 5, 40),
        (CacheWish(most=60), 100, 5, 60),
        (CacheWish(most=60, reserved=70), 100, 5, 70),
        (CacheWish(most=90, least_free=25), 100, 5, 80),
        (CacheWish(most=90, least_free=25, reserved=85), 100, 5, 85),
        (CacheWish(most=90, least_free=25), 100, 30, 90),
        (CacheWish(least_free=25), 100, 5, 0),
    ],
)
def test_what_stays(wish: CacheWish, total: int, free: int, kept: int) -> None:
    assert wish.keep(total, free) == kept


def test_the_oldest_goes_that_nothing_is_built_on() -> None:
    left, gone = list(IMAGES), []
    while image := next_to_go(left, PARENTS, None):
        gone.append(image.id)
        left.remove(image)
    assert gone == ["other", "two", "one", "base"]


def test_every_layer_is_one_records() -> None:
    found = {r.image.id: (r.parent, r.size) for r in records(IMAGES, {**PARENTS, "B": "b", "b": ""}, {"b": 1, "B": 10, "1": 100, "O": 1000})}
    assert found == {"base": ("", 11), "one": ("base", 100), "other": ("base", 1000), "two": ("one", 0)}
    assert records((), {}, {}) == []


def test_what_is_younger_stays_and_what_it_is_built_on() -> None:
    found = next_to_go(IMAGES, PARENTS, 30)
    assert found is not None and found.id == "other"
    assert next_to_go(IMAGES, PARENTS, 30, {"other"}) is None
    assert next_to_go(IMAGES, PARENTS, 0) is None
