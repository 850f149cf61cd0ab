"""The methods of Go's time.Time that templates call on an instant."""

import time

from sanbashi.cli.gotemplate.values import Function
from sanbashi.cli.times import SECOND, parse_rfc3339, show_instant, zone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LAYOUT = (
    ("2006", "%Y"), ("January", "%B"), ("Jan", "%b"), ("Monday", "%A"), ("Mon", "%a"), ("MST", "%Z"), ("01", "%m"), ("02", "%d"),
    ("15", "%H"), ("03", "%I"), ("04", "%M"), ("05", "%S"), ("06", "%y"), ("PM", "%p"), ("Z07:00", "\0"), ("-07:00", "\1"), ("-0700", "%z"),
)  # fmt: skip


def instant_method(text: str, name: str) -> "Function | None":
    """The methods of time.Time that templates use: Format, Unix, UnixNano, Year, String, IsZero."""
    seconds, nanoseconds, offset = parse_rfc3339(text)
    moment = time.gmtime(seconds + offset)

    def formatted(layout: str) -> str:
        out = layout.replace("%", "%%")
        for go, python in sorted(_LAYOUT, key=lambda pair: -len(pair[0])):
            out = out.replace(go, python)
        plain = f"{'-' if offset < 0 else '+'}{abs(offset) // 3600:02d}:{abs(offset) % 3600 // 60:02d}"
        out = out.replace("%Z", "UTC" if not offset else plain.replace(":", "")).replace("%z", plain.replace(":", ""))
        return time.strftime(out.replace("\0", zone(offset)).replace("\1", plain), moment)

    plain: dict[str, Any] = {
        "Unix": seconds,
        "UnixNano": seconds * SECOND + nanoseconds,
        "Year": moment.tm_year,
        "Day": moment.tm_mday,
        "Hour": moment.tm_hour,
        "Minute": moment.tm_min,
        "Second": moment.tm_sec,
        "Nanosecond": nanoseconds,
        "IsZero": seconds == -62135596800,
        "String": show_instant(text),
    }
    if name == "Format":
        return Function(formatted, "string", result="string")
    return Function(lambda: plain[name]) if name in plain else None
