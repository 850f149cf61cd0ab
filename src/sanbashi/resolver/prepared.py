"""Kept answers of others as bytes, by the bytes of their question, for as long as not one of their TTLs would be another number.

What is prepared is the reply that the cache has just made, so it says the same, and for less than a second: TTLs count whole seconds. Whoever
learns something that could change an answer (a name of ours, whom to ask, who asks) clears it; the cache makes it anew from what it keeps.
"""

from __future__ import annotations

CAPACITY = 2048  # replies of all sandboxes together
LONGEST = 2048  # bytes of a reply; a longer one is made each time

Scope = dict[bytes, tuple[float, bytes]]  # question without its id -> until when, reply without its id


class Prepared:
    """Prepared replies, a scope for each sandbox as it is now; all are dropped when there are too many."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._count = 0
        self._filled: list[Scope] = []

    def __len__(self) -> int:
        return sum(map(len, self._filled))

    def put(self, scope: Scope, question: bytes, reply: bytes, until: float) -> None:
        """Keep a reply; of both, what follows the id."""
        if len(reply) > LONGEST:
            return
        if question not in scope:
            if self._count >= self._capacity:
                self.clear()
            if not scope:
                self._filled.append(scope)
            self._count += 1
        scope[question] = (until, reply)

    def drop(self, scope: Scope) -> None:
        """A sandbox's answers are to be looked up anew."""
        if scope:
            self._filled = [filled for filled in self._filled if filled is not scope]
            self._count -= len(scope)
            scope.clear()

    def clear(self) -> None:
        for scope in self._filled:
            scope.clear()
        self._filled.clear()
        self._count = 0
