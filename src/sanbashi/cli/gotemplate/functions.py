"""The functions of a template: Go's builtins and docker's own."""

from sanbashi.cli.gotemplate.encode import encode
from sanbashi.cli.gotemplate.printf import empty_of, sprintf
from sanbashi.cli.gotemplate.printing import show, sprint, sprintln
from sanbashi.cli.gotemplate.values import Boxed, Function, Instant, Map, Methods, Nil, Slice, Struct, is_nil, kind, truth, type_name, unbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class CallError(Exception):
    """A function refused its arguments; the evaluator adds the place."""


def index(item: "Any", *indexes: "Any") -> "Any":
    """item[i][j]..."""
    item = unbox(item)
    if item is None:
        raise CallError("index of untyped nil")
    for each in indexes:
        each, item = unbox(each), unbox(item)
        if item is None or isinstance(item, Nil):
            raise CallError("index of nil pointer")
        if isinstance(item, dict):
            item = map_entry(item, each)
        elif isinstance(item, list) or kind(item) == "string":
            sequence = item if isinstance(item, list) else item.encode()
            position = int_index(each, len(sequence))
            if position == len(sequence):
                raise CallError(f"reflect: {'slice' if isinstance(item, list) else 'string'} index out of range")
            item = sequence[position] if isinstance(item, Slice | str) else Boxed(item[position])
        else:
            raise CallError(f"can't index item of type {type_name(item)}")
    return item


def map_entry(item: "Any", key: "Any") -> "Any":
    """The value at a key; the zero value of the element type where there is none."""
    if key is None:
        raise CallError("value is nil; should be of type string")
    if type(key) is not str:
        raise CallError(f"value has type {type_name(key)}; should be string")
    if isinstance(item, Map) and item.key != "string":
        raise CallError(f"value has type string; should be {item.key}")
    if isinstance(item, Map):
        return item[key] if key in item else item.zero()
    return Boxed(item.get(key))


def int_index(value: "Any", limit: int) -> int:
    """An index between 0 and `limit`, both included."""
    if value is None:
        raise CallError("cannot index slice/array with nil")
    if isinstance(value, bool) or not isinstance(value, int):
        raise CallError(f"cannot index slice/array with type {type_name(value)}")
    if not 0 <= value <= limit:
        raise CallError(f"index out of range: {int(value)}")
    return int(value)


def slice_(item: "Any", *indexes: "Any") -> "Any":
    """item[i:j:k]."""
    item = unbox(item)
    if item is None:
        raise CallError("slice of untyped nil")
    if len(indexes) > 3:
        raise CallError(f"too many slice indexes: {len(indexes)}")
    string = kind(item) == "string"
    if not string and not isinstance(item, list):
        raise CallError(f"can't slice item of type {type_name(item)}")
    if string and len(indexes) == 3:
        raise CallError("cannot 3-index slice a string")
    sequence = item.encode("utf-8", "surrogateescape") if string else item
    bounds = [int_index(unbox(each), len(sequence)) for each in indexes]
    low = bounds[0] if bounds else 0
    high = bounds[1] if len(bounds) > 1 else len(sequence)
    if low > high:
        raise CallError(f"invalid slice index: {low} > {high}")
    if len(bounds) == 3 and high > bounds[2]:
        raise CallError(f"invalid slice index: {high} > {bounds[2]}")
    part = sequence[low:high]
    if string:
        return part.decode("utf-8", "surrogateescape")
    return Slice(item.element, part) if isinstance(item, Slice) else part


def length(item: "Any") -> int:
    """len."""
    item = unbox(item)
    if item is None:
        raise CallError("reflect: call of reflect.Value.Type on zero Value")
    if isinstance(item, Nil):
        raise CallError("len of nil pointer")
    if isinstance(item, list | dict):
        return len(item)
    if kind(item) == "string":
        return len(item.encode("utf-8", "surrogateescape"))
    raise CallError(f"len of type {type_name(item)}")


def basic(value: "Any") -> str:
    """The kind comparisons know: bool, int, float, string or empty."""
    known = kind(value)
    return known if known in ("bool", "int", "float", "string") else ""


def eq(first: "Any", *others: "Any") -> bool:
    """Whether the first equals any of the others."""
    first = unbox(first)
    if not others:
        raise CallError("missing argument for comparison")
    return any(equal(first, unbox(other)) for other in others)


def equal(first: "Any", other: "Any") -> bool:
    """Go's == of two values; CallError where their types cannot be compared."""
    kinds = basic(first), basic(other)
    if kinds[0] != kinds[1]:
        if first is not None and other is not None:
            raise CallError("incompatible types for comparison")
        return False
    if kinds[0]:
        return bool(first == other)
    for each in (first, other):
        if isinstance(each, list | dict | Function) and not (is_nil(first) or is_nil(other)):
            raise CallError(f"non-comparable type {show(each)}: {type_name(each)}")
    if is_nil(first) or is_nil(other):
        return is_nil(first) and is_nil(other)
    if isinstance(first, Struct) and isinstance(other, Struct):
        return first.type == other.type and first.fields == other.fields
    return bool(first == other) if isinstance(first, Instant) else first is other


def ne(first: "Any", second: "Any") -> bool:
    """!=."""
    return not eq(first, second)


def lt(first: "Any", second: "Any") -> bool:
    """<."""
    first, second = unbox(first), unbox(second)
    kinds = basic(first), basic(second)
    if not all(kinds):
        raise CallError("invalid type for comparison")
    if kinds[0] != kinds[1]:
        raise CallError("incompatible types for comparison")
    if kinds[0] == "bool":
        raise CallError("invalid type for comparison")
    if kinds[0] == "string":
        return bool(first.encode("utf-8", "surrogateescape") < second.encode("utf-8", "surrogateescape"))
    return bool(first < second)


def le(first: "Any", second: "Any") -> bool:
    """<=."""
    return lt(first, second) or eq(first, second)


def gt(first: "Any", second: "Any") -> bool:
    """>."""
    return not le(first, second)


def ge(first: "Any", second: "Any") -> bool:
    """>=."""
    return not lt(first, second)


_HTML = {0: "\ufffd", ord('"'): "&#34;", ord("'"): "&#39;", ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}
_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}


def html(*values: "Any") -> str:
    """HTML escapes."""
    return joined(values).translate(_HTML)


def js(*values: "Any") -> str:
    """JavaScript escapes."""
    return "".join(_JS.get(char) or (f"\\u{ord(char):04X}" if ord(char) < 32 else char) for char in joined(values))


def urlquery(*values: "Any") -> str:
    """Escapes for a URL's query."""
    plain = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~")
    data = joined(values).encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte in plain else "+" if byte == 32 else f"%{byte:02X}" for byte in data)


def joined(values: "tuple[Any, ...]") -> str:
    """The arguments as text: one string as it is, else printed."""
    if len(values) == 1 and kind(unbox(values[0])) == "string":
        return str(unbox(values[0]))
    return sprint(values)


def split(text: str, separator: str) -> Slice:
    """strings.Split."""
    return Slice("string", list(text) if not separator else text.split(separator))


def title(text: str) -> str:
    """strings.Title: the first letter of each word raised."""
    out, previous = [], " "
    for char in text:
        boundary = not (previous.isalnum() or previous == "_" or (ord(previous) > 127 and not previous.isspace()))
        out.append(char.upper() if boundary else char)
        previous = char
    return "".join(out)


def pad(text: str, before: int, after: int) -> str:
    """The text with spaces around it, an empty text as it is."""
    return " " * before + text + " " * after if text else text


def truncate(text: str, size: int) -> str:
    """At most `size` bytes."""
    data = text.encode("utf-8", "surrogateescape")
    if size < 0:
        raise CallError(f"runtime error: slice bounds out of range [:{size}]")
    return text if len(data) < size else data[:size].decode("utf-8", "surrogateescape")


BUILTINS: dict[str, Function] = {
    "and": Function(lambda *values: values[-1], "value", "...value", result="reflect.Value"),
    "or": Function(lambda *values: values[-1], "value", "...value", result="reflect.Value"),
    "not": Function(lambda value: not truth(value), "value", result="bool"),
    "call": Function(lambda *values: None, "...value", result="(reflect.Value, error)"),
    "index": Function(index, "value", "...value"),
    "slice": Function(slice_, "value", "...value"),
    "len": Function(length, "value"),
    "print": Function(lambda *values: sprint(values), "...any"),
    "println": Function(lambda *values: sprintln(values), "...any"),
    "printf": Function(lambda form, *values: sprintf(form, values), "string", "...any"),
    "html": Function(html, "...any"),
    "js": Function(js, "...any"),
    "urlquery": Function(urlquery, "...any"),
    "eq": Function(eq, "value", "...value"),
    "ne": Function(ne, "value", "value"),
    "lt": Function(lt, "value", "value"),
    "le": Function(le, "value", "value"),
    "gt": Function(gt, "value", "value"),
    "ge": Function(ge, "value", "value"),
    "json": Function(encode, "any"),
    "split": Function(split, "string", "string"),
    "join": Function(lambda items, separator: separator.join(items), "[]string", "string"),
    "title": Function(title, "string"),
    "lower": Function(str.lower, "string"),
    "upper": Function(str.upper, "string"),
    "pad": Function(pad, "string", "int", "int"),
    "truncate": Function(truncate, "string", "int"),
}


def _same(text: str, *_: "Any") -> str:
    return text


HEADERS: dict[str, Function] = BUILTINS | {
    "json": Function(_same, "string"),
    "split": Function(_same, "string", "string"),
    "join": Function(_same, "string", "string"),
    "title": Function(_same, "string"),
    "lower": Function(_same, "string"),
    "upper": Function(_same, "string"),
    "truncate": Function(_same, "string", "int"),
}

__all__ = ["BUILTINS", "HEADERS", "CallError", "Methods", "empty_of"]
