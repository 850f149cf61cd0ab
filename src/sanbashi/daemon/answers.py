"""Answers that hold until the state changes: made once, and given again as they are."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from .state import State

MOST = 64  # of one state; whoever asks for more at once has them made anew


class Answers:
    """Bytes by what was asked. They follow from the state alone: a state is never changed, so the same one has the same answers."""

    def __init__(self) -> None:
        self.state: State | None = None
        self.kept: dict[Hashable, bytes] = {}

    def answer(self, state: State, asked: Hashable, make: Callable[[], bytes]) -> bytes:
        """What `make` gave for this state before, or gives now."""
        if state is not self.state or len(self.kept) >= MOST:
            self.state, self.kept = state, {}
        if asked not in self.kept:
            self.kept[asked] = make()
        return self.kept[asked]
