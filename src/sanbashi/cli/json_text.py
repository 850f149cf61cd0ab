"""JSON to plain Python values by C's scanner alone: importing `json` costs more than a request."""

from _json import make_scanner

from sanbashi.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CONSTANTS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class _Context:
    """The settings that the scanner reads."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float: "Any" = float
    parse_int: "Any" = int
    parse_constant = _CONSTANTS.__getitem__
    memo: "dict[str, str]" = {}  # noqa: RUF012


def decode(text: str, *, numbers_as_text: bool = False) -> "Any":
    """The value; Failure where the text is no JSON."""
    return decode_next(text, 0, numbers_as_text=numbers_as_text)[0]


def decode_next(text: str, at: int, *, numbers_as_text: bool = False) -> "tuple[Any, int]":
    """The value that begins at `at` (white space skipped) and where it ends; Failure where there is none."""
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    context: Any = _Context()
    if numbers_as_text:  # as Go's UseNumber keeps them
        from sanbashi.cli.gotemplate.values import Number

        context.parse_float = context.parse_int = Number
    scan = make_scanner(context)
    try:
        value: Any
        value, end = scan(text, at)
    except StopIteration:
        raise Failure("the daemon's answer is not JSON: " + text[at : at + 200]) from None
    return value, int(end)
