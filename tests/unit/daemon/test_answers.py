"""Answers are kept for as long as the state is the same, and never longer."""

from __future__ import annotations

from dataclasses import replace

from sanbashi.daemon.answers import MOST, Answers
from sanbashi.daemon.state import State


def test_an_answer_is_made_once_for_a_state() -> None:
    answers, state, made = Answers(), State(), list[str]()

    def make(text: str) -> bytes:
        made.append(text)
        return text.encode()

    assert [answers.answer(state, "a", lambda: make("one")) for _ in range(3)] == [b"one"] * 3
    assert answers.answer(state, "b", lambda: make("two")) == b"two"
    after = replace(state)
    assert after == state and after is not state
    assert answers.answer(after, "a", lambda: make("three")) == b"three"
    assert answers.answer(state, "a", lambda: make("four")) == b"four", "an older state's answers are not the newer one's"
    assert made == ["one", "two", "three", "four"]


def test_no_more_is_kept_than_meant() -> None:
    answers, state = Answers(), State()
    for number in range(MOST * 3):
        assert answers.answer(state, number, lambda n=number: str(n).encode()) == str(number).encode()  # type: ignore[misc]
        assert len(answers.kept) <= MOST
