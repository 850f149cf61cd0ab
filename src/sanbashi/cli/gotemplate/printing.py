"""Go's fmt: Print, Println and the %v of every value a template can hold."""

from sanbashi.cli.gotemplate.numbers import show_float
from sanbashi.cli.gotemplate.text import quote
from sanbashi.cli.gotemplate.values import Boxed, Duration, Function, Instant, Map, Methods, Nil, Number, Slice, Struct, type_name, unbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def show(value: "Any", *, plus: bool = False, depth: int = 0) -> str:
    """%v (with `plus` %+v): nil is <nil>, [a b], map[k:v] by key, {a b}."""
    value = unbox(value)
    if value is None or isinstance(value, Nil):
        return "<nil>"
    if isinstance(value, Instant):
        from sanbashi.cli.times import show_instant

        return show_instant(value)
    if isinstance(value, Duration | str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return show_float(value)
    if isinstance(value, complex):
        return f"({show_float(value.real)}{'' if value.imag < 0 else '+'}{show_float(value.imag)}i)"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{show(value[key], plus=plus, depth=depth + 1)}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(show(each, plus=plus, depth=depth + 1) for each in value) + "]"
    if isinstance(value, Struct) and value.type == "container.Ulimit":
        return f"{value.fields['Name']}={value.fields['Soft']}:{value.fields['Hard']}"  # it has a String method
    if isinstance(value, Struct):
        parts = [f"{name}:{show(each, plus=plus)}" if plus else show(each, depth=depth + 1) for name, each in value.fields.items()]
        return "{" + " ".join(parts) + "}"
    if isinstance(value, Methods):
        return f"&{{{type_name(value)[1:]}}}"
    return str(value)


def show_syntax(value: "Any") -> str:
    """%#v: Go syntax."""
    value = unbox(value)
    if value is None:
        return "<nil>"
    if isinstance(value, Nil):
        return f"({value.type})(nil)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Number | str):
        return quote(value)
    if isinstance(value, float):
        return show_float(value)
    if isinstance(value, Slice) and value.nil:
        return f"{type_name(value)}(nil)"
    if isinstance(value, Map) and value.nil:
        return f"{type_name(value)}(nil)"
    if isinstance(value, dict):
        return type_name(value) + "{" + ", ".join(f"{quote(key)}:{show_syntax(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return type_name(value) + "{" + ", ".join(show_syntax(each) for each in value) + "}"
    if isinstance(value, Struct):
        return value.type.lstrip("*") + "{" + ", ".join(f"{name}:{show_syntax(each)}" for name, each in value.fields.items()) + "}"
    return show(value)


def sprint(values: "Sequence[Any]") -> str:
    """fmt.Sprint: a space between two operands when neither is a string."""
    out: list[str] = []
    for index, value in enumerate(values):
        if index and not is_string(value) and not is_string(values[index - 1]):
            out.append(" ")
        out.append(show(value))
    return "".join(out)


def is_string(value: "Any") -> bool:
    """Whether the kind is string."""
    value = unbox(value)
    return isinstance(value, str) and not isinstance(value, Instant)


def sprintln(values: "Sequence[Any]") -> str:
    """fmt.Sprintln."""
    return " ".join(show(value) for value in values) + "\n"


def printed(value: "Any") -> str | None:
    """What an action prints: `<no value>` for nothing; None for what cannot be printed (a function)."""
    value = value.value if isinstance(value, Boxed) else value
    if value is None:
        return "<no value>"
    return None if isinstance(value, Function) else show(value)
