"""The feed of events: what is kept, what a subscriber gets, and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from sanbashi.daemon.events import KEPT, QUEUE, Event, Events


class Clock:
    """A nanosecond passes at each look."""

    def __init__(self) -> None:
        self.time = 0

    def __call__(self) -> int:
        self.time += 1
        return self.time


def feed(*names: str) -> Events:
    events = Events(clock=Clock())
    for name in names:
        events.tell("container", name, "id", {"name": "web"})
    return events


def run(work: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 120))


async def actions(events: Events, **asked: object) -> list[str]:
    return [e.action async for e in events.subscribe(**asked)]  # type: ignore[arg-type]


def test_what_was_before_is_told_from_since_to_until() -> None:
    async def work() -> None:
        assert await actions(feed("a", "b", "c", "d"), since=2, until=3) == ["b", "c"]
        assert await actions(feed("a", "b"), until=2) == []

    run(work)


def test_the_oldest_are_forgotten() -> None:
    async def work() -> None:
        events = feed(*(str(n) for n in range(KEPT + 3)))
        assert (await actions(events, since=0, until=events.clock()))[0] == "3"

    run(work)


def test_what_comes_is_told_in_order_and_only_what_matches() -> None:
    async def work() -> None:
        events = feed("before")
        told = asyncio.create_task(actions(events, matches=lambda e: e.action != "b"))
        while not events.subscribers:
            await asyncio.sleep(0)
        for name in "abc":
            events.tell("network", name, "id", {})
        events.close()
        assert await told == ["a", "c"]
        assert not events.subscribers

    run(work)


def test_one_who_lags_is_cut_and_the_others_are_not() -> None:
    async def work() -> None:
        events = feed()
        slow = events.subscribe()
        first = asyncio.create_task(anext(slow))
        while not events.subscribers:
            await asyncio.sleep(0)
        events.tell("container", "first", "id", {})
        assert (await first).action == "first"
        for n in range(QUEUE + 1):
            events.tell("container", str(n), "id", {})
        assert not events.subscribers
        got = [e.action async for e in slow]
        assert got == [str(n) for n in range(1, QUEUE)]

    run(work)


def test_attributes_are_those_of_the_moment() -> None:
    events, attributes = Events(clock=lambda: 7), {"name": "web"}
    events.tell("container", "start", "id", attributes)
    attributes["name"] = "other"
    assert events.kept[0] == Event("container", "start", "id", {"name": "web"}, 7)
