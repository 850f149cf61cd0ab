"""The body of a request as JSON, by the short way and by Go's encoding: the same bytes."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from sanbashi.cli.client import json_of
from sanbashi.cli.gotemplate.encode import encode
from sanbashi.cli.gotemplate.values import Duration, Map, Number, Slice

TEXTS = st.one_of(st.text(), st.text(st.characters(max_codepoint=0x7F)))  # the short way is for ASCII, so there must be much of it
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
    st.builds(Duration, st.integers()),
    st.builds(Number, st.integers().map(str)),
)


def larger(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists, dicts = st.lists(parts, max_size=4), st.dictionaries(TEXTS, parts, max_size=4)
    return st.one_of(lists, lists.map(tuple), lists.map(lambda i: Slice("any", i)), dicts, dicts.map(lambda i: Map("any", str, i)))


@given(st.recursive(SCALARS, larger, max_leaves=12))
@example({"b": [True, False, None, 0, 1, -1, ()], "a": {}, "": "", 'quo"te': "back\\slash", "\x7f": "\u2028é\x00\ud800"})
def test_both_ways_write_the_same(body: Any) -> None:
    assert json_of(body) == encode(body)
