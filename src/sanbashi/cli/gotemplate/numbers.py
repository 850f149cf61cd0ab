"""Go's number literals, and how Go prints floats."""

from sanbashi.cli.gotemplate.text import quote, unquote


class TooBig(int):
    """An integer literal that no int holds."""

    __slots__ = ()


class TooLarge(ValueError):
    """An integer literal that no machine word holds."""


def read_number(text: str, kind: str) -> int | float | complex:
    """The value of a literal token; ValueError with Go's words."""
    if kind == "charconst":
        try:
            value = unquote(text)
        except ValueError:
            value = ""
        if len(value) != 1:
            raise ValueError(f"malformed character constant: {text}")
        return ord(value)
    if text.endswith("i"):
        return read_complex(text)
    digits = text.lstrip("+-")
    plain = text.replace("_", "")
    prefix = digits[:2].lower()
    try:
        if prefix == "0x" and ("p" in digits.lower() or "." in digits):
            return float.fromhex(plain)
        if prefix in ("0x", "0o", "0b"):
            return fit(int(plain, 0), text)
        if any(mark in digits for mark in ".eE"):
            return float(plain)
        if digits.startswith("0") and digits.strip("0_"):
            return fit(int(plain, 8), text)
        return fit(int(plain), text)
    except TooLarge:
        raise
    except ValueError:
        raise ValueError(f"illegal number syntax: {quote(text)}") from None


def fit(value: int, text: str) -> int:
    """The integer, marked when it is outside int64 (used as a value it overflows); TooLarge when no uint64 holds it."""
    if not -(1 << 63) <= value < 1 << 64:
        raise TooLarge(f"integer overflow: {quote(text)}")
    if not -(1 << 63) <= value < 1 << 63:
        return TooBig(value)
    return value


def read_complex(text: str) -> complex:
    """`1+2i`, `3i`."""
    try:
        return complex(text.replace("_", "")[:-1] + "j")
    except ValueError:
        raise ValueError(f"illegal number syntax: {quote(text)}") from None


def show_float(value: float, *, large: int = 6) -> str:
    """Go's %v of a float64: the shortest text, with an exponent below -4 or from `large` on."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    mantissa, _, exponent = f"{value!r}".partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return sign + "0"
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len((whole + fraction).lstrip("0")))
    digits = digits.rstrip("0")
    power = point - 1
    if power < -4 or power >= large:
        tail = "." + digits[1:] if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return sign + digits + "0" * (point - len(digits))
    return f"{sign}{digits[:point]}.{digits[point:]}"
