"""Go's fmt.Sprintf."""

from sanbashi.cli.gotemplate.numbers import show_float
from sanbashi.cli.gotemplate.printing import show, show_syntax
from sanbashi.cli.gotemplate.text import quote, quote_char
from sanbashi.cli.gotemplate.values import Duration, Instant, Map, Nil, Slice, Struct, type_name, unbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_BASES = {"b": ("b", ""), "o": ("o", "0"), "O": ("o", "0o"), "x": ("x", "0x"), "X": ("X", "0X"), "d": ("d", "")}


class Verb:
    """One verb with its flags, width and precision (None: not given)."""

    __slots__ = ("flags", "letter", "precision", "width")

    def __init__(self) -> None:
        self.flags: set[str] = set()
        self.width: int | None = None
        self.precision: int | None = None
        self.letter = ""

    def pad(self, text: str, *, zero: bool = False) -> str:
        """The text at its width; zeros go between sign and digits."""
        if self.width is None or len(text) >= self.width:
            return text
        if "-" in self.flags:
            return text.ljust(self.width)
        if zero and "0" in self.flags:
            sign = text[:1] if text[:1] in "+-" else ""
            return sign + text[len(sign) :].rjust(self.width - len(sign), "0")
        return text.rjust(self.width)


def sprintf(form: str, values: "Sequence[Any]") -> str:
    """The formatted text; mistakes show in the text as Go shows them (%!d(string=x), %!s(MISSING), %!(EXTRA ...))."""
    out: list[str] = []
    at, index, reordered = 0, 0, False
    while at < len(form):
        start = form.find("%", at)
        if start < 0:
            out.append(form[at:])
            break
        out.append(form[at:start])
        at = start + 1
        verb = Verb()
        while at < len(form) and form[at] in "+-# 0":
            verb.flags.add(form[at])
            at += 1
        at, index, reordered, _ = explicit(form, at, index, reordered)
        at, index, verb.width, bad = amount(form, at, index, values)
        if bad:
            out.append("%!(BADWIDTH)")
        if verb.width is not None and verb.width < 0:
            verb.flags.add("-")
            verb.width = -verb.width
        if at < len(form) and form[at] == ".":
            at, index, reordered, _ = explicit(form, at + 1, index, reordered)
            at, index, verb.precision, bad = amount(form, at, index, values)
            if bad or (verb.precision is not None and verb.precision < 0):
                verb.precision = None
                out.append("%!(BADPREC)" if bad else "")
            elif verb.precision is None:
                verb.precision = 0
        at, index, reordered, good = explicit(form, at, index, reordered)
        if at >= len(form):
            out.append("%!(NOVERB)")
            break
        verb.letter = form[at]
        at += 1
        if verb.letter == "%":
            out.append("%")
        elif not good or index < 0:
            out.append(f"%!{verb.letter}(BADINDEX)")
        elif index >= len(values):
            out.append(f"%!{verb.letter}(BADINDEX)" if reordered else f"%!{verb.letter}(MISSING)")
        else:
            out.append(one(verb, values[index]))
            index += 1
    if not reordered and index < len(values):
        extra = ", ".join("<nil>" if unbox(each) is None else f"{type_name(unbox(each))}={show(each)}" for each in values[index:])
        out.append(f"%!(EXTRA {extra})")
    return "".join(out)


def explicit(form: str, at: int, index: int, reordered: bool) -> tuple[int, int, bool, bool]:
    """`[n]` before a verb, width or precision: the place after it, the argument, that order is explicit, that it was good."""
    if at >= len(form) or form[at] != "[":
        return at, index, reordered, True
    end = form.find("]", at)
    if end < 0:
        return at + 1, index, True, False
    number = form[at + 1 : end]
    if not number.isdigit() or int(number) < 1:
        return end + 1, index, True, False
    return end + 1, int(number) - 1, True, True


def amount(form: str, at: int, index: int, values: "Sequence[Any]") -> tuple[int, int, int | None, bool]:
    """A number, or `*` for the next argument: place, argument, the number if any, whether it was bad."""
    if at < len(form) and form[at] == "*":
        value = unbox(values[index]) if 0 <= index < len(values) else None
        good = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 1_000_000
        return at + 1, index + 1, value if good else None, not good
    end = at
    while end < len(form) and form[end].isdigit():
        end += 1
    return end, index, int(form[at:end]) if end > at else None, False


def bad(verb: Verb, value: "Any") -> str:
    """The mistake as Go shows it."""
    value = unbox(value)
    return f"%!{verb.letter}(<nil>)" if value is None else f"%!{verb.letter}({type_name(value)}={show(value)})"


def one(verb: Verb, value: "Any", *, inner: bool = False) -> str:
    """One value by one verb; `inner` inside of another."""
    value = unbox(value)
    letter = verb.letter
    if letter == "v" and "+" in verb.flags:
        verb.flags = verb.flags - {"+"} | {"fields"}
    if letter == "T":
        return verb.pad("<nil>" if value is None else type_name(value))
    if value is None or (isinstance(value, Nil) and letter == "v"):
        return verb.pad("<nil>") if letter == "v" or inner else bad(verb, value)
    if letter == "v" and "#" in verb.flags:
        return verb.pad(show_syntax(value))
    if isinstance(value, Instant | Duration) and letter in "vsqxX":
        value = show(value)
    if isinstance(value, bool):
        return verb.pad(show(value)) if letter in "tv" else bad(verb, value)
    if isinstance(value, int):
        return integer(verb, value)
    if isinstance(value, float):
        return floating(verb, value)
    if isinstance(value, str):
        return string(verb, value)
    if isinstance(value, list | dict | Struct):
        return container(verb, value, inner)
    return bad(verb, value)


def container(verb: Verb, value: "Any", inner: bool) -> str:
    """The verb applied to every element."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{one(verb, key, inner=True)}:{one(verb, value[key], inner=True)}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(one(verb, each, inner=True) for each in value) + "]"
    named = "fields" in verb.flags
    pointer = "&" if value.pointer and not inner else ""
    return pointer + "{" + " ".join((f"{name}:" if named else "") + one(verb, each, inner=True) for name, each in value.fields.items()) + "}"


def integer(verb: Verb, value: int) -> str:
    """%d and its kin."""
    letter = "d" if verb.letter == "v" else verb.letter
    sign = "-" if value < 0 else "+" if "+" in verb.flags else " " if " " in verb.flags else ""
    if letter in _BASES:
        base, prefix = _BASES[letter]
        digits = format(abs(value), base)
        if verb.precision is not None:
            digits = "" if verb.precision == 0 and value == 0 else digits.rjust(verb.precision, "0")
        elif "0" in verb.flags and verb.width is not None and "-" not in verb.flags:
            digits = digits.rjust(verb.width - len(sign), "0")
        head = prefix if letter == "O" or ("#" in verb.flags and letter != "d") else "0b" if "#" in verb.flags and letter == "b" else ""
        if letter == "o" and "#" in verb.flags and digits.startswith("0"):
            head = ""
        return verb.pad(sign + head + digits)
    if letter in "cq":
        char = chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "\ufffd"
        return verb.pad(quote_char(char, ascii_only="+" in verb.flags) if letter == "q" else char)
    if letter == "U":
        code = f"U+{value:04X}"
        return verb.pad(f"{code} {quote_char(chr(value))}" if "#" in verb.flags and chr(value).isprintable() else code)
    return bad(verb, value)


def floating(verb: Verb, value: float) -> str:
    """%f, %e, %g and %v of a float."""
    letter = verb.letter
    if letter not in "vgGeEfF":
        return bad(verb, value)
    if letter in "vgG" and verb.precision is None:
        text = show_float(value)
        text = text.upper() if letter == "G" else text
    else:
        form = "g" if letter == "v" else "f" if letter == "F" else letter
        text = format(value, f".{6 if verb.precision is None else verb.precision}{form}")
        text = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(text.lower(), text)
    if "+" in verb.flags and text[:1] not in "+-":
        text = "+" + text
    elif " " in verb.flags and text[:1] not in "+-":
        text = " " + text
    elif text == "+Inf" and "+" not in verb.flags and letter != "v":
        text = "+Inf"
    return verb.pad(text, zero=text[-1:] not in "fN")


def string(verb: Verb, value: str) -> str:
    """%s, %q, %x."""
    letter = verb.letter
    if verb.precision is not None and letter in "vsq":
        value = value[: verb.precision]
    if letter in "vs":
        return verb.pad(value, zero=True)
    if letter == "q":
        if "#" in verb.flags and "`" not in value and all(each == "\t" or each.isprintable() for each in value):
            return verb.pad(f"`{value}`")
        return verb.pad(quote(value, ascii_only="+" in verb.flags))
    if letter in "xX":
        data = value.encode("utf-8", "surrogateescape")
        if verb.precision is not None:
            data = data[: verb.precision]
        digits = [format(each, "02" + letter) for each in data]
        prefix = "0" + letter if "#" in verb.flags and digits else ""
        if " " in verb.flags:
            return verb.pad(" ".join(prefix + each for each in digits))
        return verb.pad(prefix + "".join(digits), zero=True)
    return bad(verb, value)


def empty_of(type: str) -> "Any":
    """The zero value of a Go type by name: what a function is given for a nil argument."""
    if type == "string":
        return ""
    if type.startswith("[]"):
        return Slice(type[2:], nil=True)
    if type.startswith("map["):
        return Map("string", str, nil=True)
    return None
