"""Servers whose answer was not waited for: listened to for a moment more, to tell the slow from the dead."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from sanbashi.resolver import wire
from sanbashi.resolver.upstreams import Upstreams

from .loop import Loop
from .tries import Try

MOMENT = 1.0  # seconds
MOST = 64  # tries at a time; what would be one more counts as silent at once


class Latecomers:
    """Takes over tries of questions that are answered. What comes is for the servers' standing alone."""

    def __init__(self, loop: Loop, log: Callable[[str], None]) -> None:
        self._loop, self._log = loop, log
        self._listening: dict[Try, Hashable] = {}  # -> on behalf of whom

    def __len__(self) -> int:
        return len(self._listening)

    def take(self, tried: Try, upstreams: Upstreams, asker: Hashable) -> None:
        if len(self._listening) >= MOST:
            tried.close()
            self.miss(upstreams, tried.server)
            return

        def heard(tried: Try, reply: bytes | None) -> None:
            self._end(tried)
            timer.cancel()
            seconds = self._loop.now() - tried.since
            # How long a server takes to find that it cannot tell is up to the name: a failure that comes late is no silence.
            if reply is None or (not upstreams.answered(tried.server, seconds) and wire.tells(reply)):
                self.miss(upstreams, tried.server)

        def silent() -> None:
            if tried in self._listening:
                self._end(tried)
                self.miss(upstreams, tried.server)

        timer = self._loop.later(MOMENT, silent)
        tried.heard = heard
        self._listening[tried] = asker

    def miss(self, upstreams: Upstreams, server: str) -> None:
        """A server did not answer in time."""
        if upstreams.missed(server, self._loop.now()):
            self._log(f"name server {server} does not answer: it is asked last until it is well")

    def leave(self, asker: Hashable) -> None:
        """A sandbox is gone, and its namespace must not be held."""
        for tried in [tried for tried, whose in self._listening.items() if whose == asker]:
            self._end(tried)

    def _end(self, tried: Try) -> None:
        del self._listening[tried]
        tried.close()
