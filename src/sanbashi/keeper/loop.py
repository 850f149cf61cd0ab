"""One epoll loop with timers: who watches a descriptor gives a function that is called with the events; nothing here ever blocks."""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections.abc import Callable

READ, WRITE, HUNG = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP | select.EPOLLERR
ENDED = select.EPOLLRDHUP  # a stream's other end sends no more, though what it sent may still wait to be read

Handler = Callable[[int], None]


class Timer:
    """A call to come; `cancel` it when it is no longer wanted."""

    __slots__ = ("_loop", "call")

    def __init__(self, loop: Loop, call: Callable[[], None]) -> None:
        self._loop = loop
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        if self.call is not None:
            self.call = None
            self._loop.cancelled()


class Loop:
    """Level-triggered: a handler may take a part of what there is and is called again for the rest, after the others had their turn."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._masks: dict[int, int] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._cancelled = 0  # timers, at most, that wait in the heap for nothing
        self._forgotten: set[int] = set()
        self._running = True
        self.now = time.monotonic

    def watch(self, descriptor: int, mask: int, handler: Handler) -> None:
        """Call `handler` on the events in `mask`; with mask 0 not even on errors, which epoll would report for ever."""
        self._handlers[descriptor] = handler
        self._masks[descriptor] = 0
        self.want(descriptor, mask)

    def want(self, descriptor: int, mask: int) -> None:
        """Change which events are wanted."""
        before = self._masks[descriptor]
        if mask == before:
            return
        self._masks[descriptor] = mask
        if not before:
            self._epoll.register(descriptor, mask)
        elif mask:
            self._epoll.modify(descriptor, mask)
        else:
            self._epoll.unregister(descriptor)

    def forget(self, descriptor: int, *, closing: bool = False) -> None:
        """Stop watching; to be called before the descriptor is closed. Not watched is fine.

        `closing`: it is closed at once and has no duplicate, so that the kernel takes it off by itself.
        """
        if self._handlers.pop(descriptor, None) is not None:
            if self._masks.pop(descriptor) and not closing:
                self._epoll.unregister(descriptor)
            # Its number may be given to a new socket before the events already fetched are through.
            self._forgotten.add(descriptor)

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once after so many seconds."""
        timer = Timer(self, call)
        heapq.heappush(self._timers, (self.now() + seconds, next(self._numbers), timer))
        return timer

    def cancelled(self) -> None:
        """A timer is no longer wanted; the heap is cleared of such when they are the most of it, for a busy hour cancels millions."""
        self._cancelled += 1
        if self._cancelled > 256 and self._cancelled > len(self._timers) // 2:
            self._timers = [entry for entry in self._timers if entry[2].call is not None]
            heapq.heapify(self._timers)
            self._cancelled = 0

    def stop(self) -> None:
        self._running = False

    def run(self) -> None:
        """Until `stop`."""
        while self._running:
            self.turn()
        self._epoll.close()

    def turn(self, longest: float = -1) -> None:
        """Wait for events or the next timer (at most `longest` seconds, -1 for ever) and handle what came."""
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
            self._cancelled -= 1
        if self._timers:
            due = max(0.0, self._timers[0][0] - self.now())
            longest = due if longest < 0 else min(due, longest)
        handlers, forgotten = self._handlers, self._forgotten
        forgotten.clear()
        for descriptor, events in self._epoll.poll(longest):
            if descriptor not in forgotten:
                handlers[descriptor](events)
        if self._timers:
            now = self.now()
            while self._timers and self._timers[0][0] <= now:
                timer = heapq.heappop(self._timers)[2]
                call, timer.call = timer.call, None
                if call is not None:
                    call()
