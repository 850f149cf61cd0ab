"""What happened, as Docker tells it: the last events are kept, subscribers get the rest as it comes."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import field

from ..records import dataclass

KEPT = 256  # Docker keeps as many
QUEUE = 4096  # a subscriber that lags further behind is cut


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `time` in nanoseconds since the epoch. `type` is container, network, image, volume or daemon."""

    type: str
    action: str
    id: str
    attributes: Mapping[str, str]
    time: int


@dataclass
class Events:
    """The feed. Called on the loop's thread only."""

    clock: Callable[[], int] = time.time_ns
    kept: deque[Event] = field(default_factory=lambda: deque(maxlen=KEPT))
    subscribers: set[asyncio.Queue[Event | None]] = field(default_factory=set)

    def tell(self, type: str, action: str, id: str, attributes: Mapping[str, str]) -> None:
        """Announce an event to everyone who listens."""
        event = Event(type, action, id, dict(attributes), self.clock())
        self.kept.append(event)
        for queue in list(self.subscribers):
            if queue.full():
                self.subscribers.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)

    async def subscribe(
        self, *, since: int | None = None, until: int | None = None, matches: Callable[[Event], bool] = lambda event: True
    ) -> AsyncIterator[Event]:
        """Events from `since` (nanoseconds; None: from now) to `until` (None: for ever)."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(QUEUE)
        self.subscribers.add(queue)
        try:
            for event in [e for e in self.kept if since is not None and e.time >= since and (until is None or e.time <= until)]:
                if matches(event):
                    yield event
            while until is None or self.clock() < until:
                wait = None if until is None else max(0.0, (until - self.clock()) / 1e9)
                try:
                    # Not wait_for: one of 3.11 goes on when it is cancelled in the moment in which an event comes.
                    async with asyncio.timeout(wait):
                        following = await queue.get()
                except TimeoutError:
                    return
                if following is None or (until is not None and following.time > until):
                    return
                if matches(following):
                    yield following
        finally:
            self.subscribers.discard(queue)

    def close(self) -> None:
        """End every subscription."""
        for queue in list(self.subscribers):
            if not queue.full():
                queue.put_nowait(None)
