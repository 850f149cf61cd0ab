"""Go's encoding/json: maps by key, structs by field, no HTML escaping; and its textual indenting and compacting of what a daemon sent."""

from _json import encode_basestring

from sanbashi.cli.gotemplate.values import Duration, Instant, Map, Methods, Nil, Number, Slice, Struct, unbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def encode(value: "Any") -> str:
    """JSON on one line, as json.NewEncoder with SetEscapeHTML(false) writes it."""
    value = unbox(value)
    if value is None or isinstance(value, Nil):
        return "null"
    if isinstance(value, Number):
        return str.__str__(value) or "0"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Duration):
        return int.__repr__(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return encode_string(value)
    if isinstance(value, float):
        return encode_float(value)
    if isinstance(value, dict):
        if isinstance(value, Map) and value.nil:
            return "null"
        return "{" + ",".join(f"{encode_string(key)}:{encode(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        if isinstance(value, Slice) and value.nil:
            return "null"
        return "[" + ",".join(map(encode, value)) + "]"
    if isinstance(value, Struct):
        pairs = (
            f"{encode_string(value.names.get(name, name))}:{encode(each)}"
            for name, each in value.fields.items()
            if value.names.get(name) != "-" and not (name in value.quiet and is_empty(each))
        )
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, Methods):
        text = "{" + ",".join(f"{encode_string(name)}:{encode(value.json_column(name))}" for name in sorted(value.columns)) + "}"
        # Docker's rows marshal themselves, with HTML escapes, which the outer encoder leaves alone.
        return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return "{}"


def is_empty(value: "Any") -> bool:
    """What omitempty leaves out: false, 0, nil, an empty string, slice or map."""
    if isinstance(value, Struct | Methods | Instant):
        return False
    return value is None or isinstance(value, Nil) or not value


def encode_string(text: str) -> str:
    """A JSON string with Go's escapes."""
    quoted = encode_basestring(text)
    if "\u2028" in quoted or "\u2029" in quoted:
        quoted = quoted.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return quoted.replace("\x7f", "\x7f")


def encode_float(value: float) -> str:
    """A number as Go writes it: exponent form below 1e-6 and from 1e21 on."""
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    if "e" in text:
        mantissa, _, exponent = text.partition("e")
        return f"{mantissa}e{exponent[0]}{exponent[1:].lstrip('0')}" if exponent[0] in "+-" else f"{mantissa}e+{exponent}"
    return text


def _pieces(text: str) -> "list[str]":
    """What stands between quotes: punctuation, then the inside of a string, and so on in turn; a string's escaped quotes are inside."""
    parts = text.split('"')
    if "\\" not in text:
        return parts
    pieces: list[str] = []
    whole = True  # the string before has ended
    for part in parts:
        if whole:
            pieces.append(part)
        else:
            pieces[-1] += '"' + part
        inside = len(pieces) % 2 == 0
        whole = not inside or (len(part) - len(part.rstrip("\\"))) % 2 == 0
    return pieces


def compact(text: str) -> str:
    """json.Compact: the same text without white space between its pieces."""
    pieces = _pieces(text)
    pieces[::2] = ["".join(piece.split()) for piece in pieces[::2]]
    return '"'.join(pieces)


def indent(text: str, step: str = "    ") -> str:
    """json.Indent: the same pieces, an element a line. What stands between strings comes again and again, and is laid out once a depth."""
    pieces = _pieces(text)
    known: dict[tuple[str, int], tuple[str, int]] = {}
    depth = 0
    for index in range(0, len(pieces), 2):
        what = pieces[index], depth
        found = known.get(what)
        if found is None:
            found = known[what] = _laid_out("".join(what[0].split()), depth, step)
        pieces[index], depth = found
    return '"'.join(pieces)


def _laid_out(between: str, depth: int, step: str) -> tuple[str, int]:
    """Punctuation, numbers and words as json.Indent writes them, and the depth after them."""
    out: list[str] = []
    for index, char in enumerate(between):
        if char in "{[":
            out.append(char)
            if between[index + 1 : index + 2] not in ("}", "]"):
                depth += 1
                out.append("\n" + step * depth)
        elif char in "}]":
            if between[index - 1 : index] not in ("{", "["):
                depth -= 1
                out.append("\n" + step * depth)
            out.append(char)
        elif char == ",":
            out.append(",\n" + step * depth)
        else:
            out.append(": " if char == ":" else char)
    return "".join(out), depth
