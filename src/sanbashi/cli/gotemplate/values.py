"""Go's values: what a template can hold that Python has no word for, and the questions asked of any value.

None is Go's invalid value (it prints `<no value>`), a plain list is []interface {} and a plain dict map[string]interface {}; str, bool, int
and float are themselves. Everything with a Go type of its own is one of the classes below.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


class Number(str):
    """A number kept as its own text (json.Number): what decoding with UseNumber gives."""

    __slots__ = ()


class Duration(int):
    """A time.Duration: nanoseconds, printed as Go prints them."""

    __slots__ = ()

    def __str__(self) -> str:
        from sanbashi.cli.times import show_duration

        return show_duration(int(self))


class Instant(str):
    """A time.Time, kept as the RFC 3339 text it came in."""

    __slots__ = ()


class Nil:
    """A nil pointer of some type: prints `<nil>`, is false, has no fields."""

    __slots__ = ("type",)

    def __init__(self, type: str) -> None:
        self.type = type


class Boxed:
    """A value seen through an interface {}: the element of a container that can hold anything."""

    __slots__ = ("value",)

    def __init__(self, value: "Any") -> None:
        self.value = value


class Slice(list):  # type: ignore[type-arg]
    """A slice with an element type; `nil` tells Go's nil slice (JSON null) from an empty one."""

    __slots__ = ("element", "nil")

    def __init__(self, element: str, items: "Iterable[Any]" = (), *, nil: bool = False) -> None:
        super().__init__(items)
        self.element = element
        self.nil = nil


class Map(dict):  # type: ignore[type-arg]
    """A map with string keys and an element type; `zero` makes what `index` gives for a missing key.

    `key` names another type of the keys (nat.Port): no string indexes such a map.
    """

    __slots__ = ("element", "key", "nil", "zero")

    def __init__(self, element: str, zero: "Callable[[], Any]", items: "Any" = (), *, nil: bool = False, key: str = "string") -> None:
        super().__init__(items)
        self.element = element
        self.key = key
        self.zero = zero
        self.nil = nil


class Struct:
    """A struct: `fields` by Go name in order; `names` gives the JSON name of each, `quiet` those left out of JSON when empty."""

    __slots__ = ("fields", "names", "pointer", "quiet", "type")

    def __init__(self, type: str, fields: "dict[str, Any]", names: "dict[str, str]", quiet: "frozenset[str]" = frozenset()) -> None:
        self.type = type
        self.pointer = False  # whether it was reached through a pointer, which only %T, %v of printf and errors show
        self.fields = fields
        self.names = names
        self.quiet = quiet


class Methods:
    """A row of a table: its columns are methods, computed when they are used; JSON holds all that take no argument, sorted by name."""

    type = "*formatter.Row"
    columns: "tuple[str, ...]" = ()

    def column(self, name: str) -> "Any":
        """The value of one column."""
        raise NotImplementedError(name)

    def json_column(self, name: str) -> "Any":
        """The same where the whole row becomes JSON."""
        return self.column(name)

    def label(self, name: str) -> str:
        """What `.Label "name"` gives."""
        return ""


class Header(dict):  # type: ignore[type-arg]
    """The headings of a table by column: map[string]string with the method Label."""

    __slots__ = ()


class Function:
    """A function: Go types of its parameters (the last may begin with ...), and the Python that carries it out."""

    __slots__ = ("call", "parameters", "result")

    def __init__(self, call: "Callable[..., Any]", *parameters: str, result: str = "") -> None:
        self.call = call
        self.parameters = parameters
        self.result = result


def unbox(value: "Any") -> "Any":
    """The value inside an interface."""
    while isinstance(value, Boxed):
        value = value.value
    return value


def type_name(value: "Any") -> str:
    """The value's Go type as Go prints it."""
    if isinstance(value, Boxed):
        return "interface {}"
    for python, name in _NAMES:
        if isinstance(value, python):
            return name
    if isinstance(value, Slice):
        return "[]" + value.element
    if isinstance(value, Map):
        return f"map[{value.key}]{value.element}"
    if isinstance(value, Struct):
        return "*" + value.type if value.pointer else value.type
    if isinstance(value, Header):
        return "formatter.SubHeaderContext"
    if isinstance(value, list):
        return "[]interface {}"
    if isinstance(value, dict):
        return "map[string]interface {}"
    if isinstance(value, Function):
        parameters = ", ".join("interface {}" if each == "any" else each.replace("...any", "...interface {}") for each in value.parameters)
        return f"func({parameters}) {value.result}"
    return str(value.type) if hasattr(value, "type") else "nil"


_NAMES: "tuple[tuple[type, str], ...]" = (
    (bool, "bool"),
    (Duration, "time.Duration"),
    (int, "int"),
    (float, "float64"),
    (Number, "json.Number"),
    (Instant, "time.Time"),
    (str, "string"),
)


def kind(value: "Any") -> str:
    """The value's Go kind: invalid, bool, int, float, string, slice, map, struct, ptr, func, interface."""
    if value is None:
        return "invalid"
    if isinstance(value, Instant | Struct | Methods):
        return "struct"
    for python, name in _KINDS:
        if isinstance(value, python):
            return name
    return "struct"


_KINDS: "tuple[tuple[type, str], ...]" = (
    (bool, "bool"),
    (int, "int"),
    (float, "float"),
    (str, "string"),
    (list, "slice"),
    (dict, "map"),
    (Nil, "ptr"),
    (Boxed, "interface"),
    (Function, "func"),
)


def is_nil(value: "Any") -> bool:
    """Whether Go's IsNil holds (an invalid value counts)."""
    return value is None or isinstance(value, Nil) or (isinstance(value, Slice | Map) and value.nil)


def truth(value: "Any") -> bool:
    """Whether `if` takes the value for true: not zero, not empty, not nil; a struct always is."""
    value = unbox(value)
    if value is None or isinstance(value, Nil):
        return False
    if isinstance(value, bool | int | float | str | list | dict) and not isinstance(value, Instant):
        return bool(value)
    return True
