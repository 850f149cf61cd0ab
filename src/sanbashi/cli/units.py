"""Sizes, durations, order and abbreviations as docker's users know them."""

DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_FACTORS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


def human_size(size: float, precision: int = 4) -> str:
    """1234567 -> `1.235MB`."""
    return _scaled(size, 1000.0, DECIMAL, precision)


def bytes_size(size: float) -> str:
    """2147483648 -> `2GiB`."""
    return _scaled(size, 1024.0, BINARY, 4)


def _scaled(size: float, base: float, names: tuple[str, ...], precision: int) -> str:
    place = 0
    while size >= base and place < len(names) - 1:
        size /= base
        place += 1
    return f"{size:.{precision}g}{names[place]}"


def ram_in_bytes(text: str) -> int:
    """`512m`, `2 GiB`, `1.5g` -> bytes; ValueError with docker's words."""
    end = max((place for place, char in enumerate(text) if char in "0123456789. "), default=-1)
    if end < 0:
        raise ValueError(f"invalid size: '{text}'")
    number, suffix = (text[:end], text[end + 1 :]) if text[end] == " " else (text[: end + 1], text[end + 1 :])
    try:
        size = float(number)
    except ValueError:
        from sanbashi.cli.gotemplate.text import quote

        raise ValueError(f"strconv.ParseFloat: parsing {quote(number)}: invalid syntax") from None
    if size < 0:
        raise ValueError(f"invalid size: '{text}'")
    if not suffix:
        return int(size)
    low = suffix.lower()
    if len(suffix) > 3:
        raise ValueError(f"invalid suffix: '{suffix}'")
    if low == "b":
        return int(size)
    if low[0] not in _FACTORS or low[1:] not in ("", "b", "ib"):
        raise ValueError(f"invalid suffix: '{low}'")
    return int(size * _FACTORS[low[0]])


def human_duration(seconds: float) -> str:
    """`About a minute`, `3 hours`, `2 weeks`."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = int(seconds / 60)
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    for limit, unit, name in ((48, 1, "hours"), (24 * 14, 24, "days"), (24 * 60, 24 * 7, "weeks"), (24 * 365 * 2, 24 * 30, "months")):
        if hours < limit:
            return f"{hours // unit} {name}"
    return f"{int(seconds / 3600) // 24 // 365} years"


def natural_key(text: str) -> list[tuple[int, int, str, int]]:
    """A sort key: numbers by their value, digits before other characters, fewer leading zeros first."""
    key: list[tuple[int, int, str, int]] = []
    at = 0
    while at < len(text):
        end = at
        if text[at] in "0123456789":
            while end < len(text) and text[end] in "0123456789":
                end += 1
            digits = text[at:end].lstrip("0")
            key.append((0, len(digits), digits, end - at - len(digits)))
        else:
            end = at + 1
            key.append((1, 0, text[at], 0))
        at = end
    return key


def short_id(text: str) -> str:
    """The first 12 characters, an algorithm's name left out."""
    return text.partition(":")[2][:12] if ":" in text else text[:12]


def ellipsis(text: str, width: int) -> str:
    """The text cut to `width` places on the screen, an ellipsis as the last."""
    if width <= 0 or not text:
        return ""
    if width == 1:
        return text[0]
    if text.isascii():
        return text if len(text) <= width else text[: width - 1] + "…"
    total, cut = 0, len(text)
    for place, char in enumerate(text):
        total += char_width(char)
        if total > width - 1 and cut == len(text):
            cut = place
    return text if total <= width else text[:cut] + "…"


def char_width(char: str) -> int:
    """Places on the screen: 2 for wide East Asian characters."""
    if char < "\u1100":
        return 1
    from unicodedata import east_asian_width

    return 2 if east_asian_width(char) in "WF" else 1


def text_width(text: str) -> int:
    """Places on the screen."""
    return len(text) if text.isascii() else sum(map(char_width, text))
