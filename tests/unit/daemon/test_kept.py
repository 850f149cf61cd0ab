"""Answers are kept for as long as the state is the same, and never longer."""

from __future__ import annotations

from dataclasses import replace

from sanbashi.daemon.kept import MOST, Kept
from sanbashi.daemon.state import State


def test_an_answer_is_made_once_for_a_state() -> None:
    kept, state, made = Kept(), State(), list[str]()

    def make(text: str) -> bytes:
        made.append(text)
        return text.encode()

    assert [kept.answer(state, "a", lambda: make("one")) for _ in range(3)] == [b"one"] * 3
    assert kept.answer(state, "b", lambda: make("two")) == b"two"
    after = replace(state)
    assert after == state and after is not state
    assert kept.answer(after, "a", lambda: make("three")) == b"three"
    assert kept.answer(state, "a", lambda: make("four")) == b"four", "an older state's answers are not the newer one's"
    assert made == ["one", "two", "three", "four"]


def test_no_more_is_kept_than_meant() -> None:
    kept, state = Kept(), State()
    for number in range(MOST * 3):
        assert kept.answer(state, number, lambda n=number: str(n).encode()) == str(number).encode()  # type: ignore[misc]
        assert len(kept.answers) <= MOST
