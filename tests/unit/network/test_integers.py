from hypothesis import given
from hypothesis import strategies as st

from sanbashi.network import integers

NEAR_WORDS = st.one_of(st.integers(0, 40), st.integers(1000, 1100), st.integers(2**20 - 40, 2**20 + 40), st.integers(0, 2**64))


@given(st.lists(st.tuples(st.booleans(), NEAR_WORDS), max_size=60), NEAR_WORDS)
def test_it_is_a_set(changes: list[tuple[bool, int]], start: int) -> None:
    words, model = integers.EMPTY, set()
    for put, n in changes:
        words = integers.insert(words, n) if put else integers.remove(words, n)
        (model.add if put else model.discard)(n)
    assert all(integers.contains(words, n) for n in model)
    lowest = start
    while lowest in model:
        lowest += 1
    assert integers.lowest_absent(words, start) == lowest
    fresh = integers.EMPTY
    for n in sorted(model):
        fresh = integers.insert(fresh, n)
    assert fresh == words


def test_full_words_are_stepped_over_at_every_level() -> None:
    words = integers.EMPTY
    for n in range(integers.WIDTH * 3):
        words = integers.insert(words, n)
    assert integers.lowest_absent(words, 0) == integers.WIDTH * 3
    words = integers.remove(words, 5)
    assert (integers.lowest_absent(words, 0), integers.lowest_absent(words, 6)) == (5, integers.WIDTH * 3)
    for n in range(integers.WIDTH * 3):
        words = integers.remove(words, n)
    assert words == integers.EMPTY
