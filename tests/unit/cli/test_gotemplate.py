"""The template engine beyond what is recorded: any text ends in output or in a TemplateError, values come out as Go prints them."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.cli.gotemplate.encode import compact, encode, indent
from sanbashi.cli.gotemplate.numbers import show_float
from sanbashi.cli.gotemplate.template import Template, TemplateError
from sanbashi.cli.gotemplate.text import quote, unquote

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
PIECES = ["{{", "}}", "{{-", "-}}", ".A", ".", "$x", ":=", "=", "|", "(", ")", '"s"', "`r`", "'c'", "1", "-2.5e3", " ", "\n", "text", ","]
WORDS = ["if", "else", "end", "range", "with", "define", "template", "block", "break", "continue", "nil", "true", "and", "eq", "len", "index"]


@given(st.lists(st.sampled_from(PIECES + WORDS), max_size=14).map(" ".join) | st.text(max_size=30).map(lambda text: "{{" + text + "}}"))
def test_any_text_ends_well(text: str) -> None:
    try:
        assert isinstance(Template(text).run({"A": [1, {"B": "x"}]}), str)
    except TemplateError as problem:
        assert str(problem).startswith("template: :")


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_actions_is_itself(text: str) -> None:
    assert Template(text).run(None) == text


@given(st.text())
def test_quoted_strings_are_read_back(text: str) -> None:
    assert unquote(quote(text)) == text


@given(JSON)
def test_json_says_the_same(value: object) -> None:
    assert json.loads(Template("{{json .}}").run(value)) == value


@given(JSON)
def test_indenting_and_compacting_keep_the_value(value: object) -> None:
    text = encode(value)
    assert compact(indent(text)) == text
    assert indent(text).count("\n") == json.dumps(json.loads(text), indent=4).count("\n")


@given(st.recursive(st.text('ab"\\{}[],: \n') | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text('k"\\{'), inner)))
def test_indenting_is_letter_by_letter_that_of_json(value: object) -> None:
    """Whatever white space the text had, and with quotes, backslashes and brackets inside strings."""
    wanted = json.dumps(value, indent=4)
    assert indent(json.dumps(value)) == indent(json.dumps(value, indent=1)) == wanted
    assert compact(wanted) == json.dumps(value, separators=(",", ":"))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_shortest(value: float) -> None:
    shown = show_float(value)
    assert float(shown) == value and math.copysign(1, float(shown)) == math.copysign(1, value)


def test_recursion_ends() -> None:
    with pytest.raises(TemplateError, match="exceeded maximum template depth"):
        Template('{{define "a"}}{{template "a"}}{{end}}{{template "a"}}').run(None)


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("{{range $i, $e := .}}{{if $i}}, {{end}}{{$e}}{{end}}", "a, b"),
        ("{{ . | len | printf `%03d` }}", "002"),
        ("a\n{{- /* gone */ -}}\nb", "ab"),
        ("{{define `row`}}<{{.}}>{{end}}{{range .}}{{template `row` .}}{{end}}", "<a><b>"),
    ],
)
def test_idioms(text: str, out: str) -> None:
    assert Template(text).run(["a", "b"]) == out


def test_errors_name_line_and_column() -> None:
    with pytest.raises(TemplateError) as problem:
        Template("é\n  {{upper .}}").run(3)
    assert str(problem.value) == 'template: :2:10: executing "" at <.>: wrong type for value; expected string; got int'
