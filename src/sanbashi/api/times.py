"""Moments and durations: as requests write them, and as people read them."""

from __future__ import annotations

import calendar
import re
import time
from datetime import datetime
from functools import lru_cache

from ..errors import Invalid

ZERO = "0001-01-01T00:00:00Z"
SECOND = 10**9
UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


@lru_cache(maxsize=4096)
def nanoseconds(text: str) -> int:
    """An RFC 3339 time of ours in nanoseconds since the epoch; 0 where it is none or the zero time."""
    match = STAMP.fullmatch(text)
    if match is None or text == ZERO:
        return 0
    try:
        seconds = calendar.timegm(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return 0
    if match[3] != "Z":
        sign = 1 if match[3][0] == "+" else -1
        seconds -= sign * (int(match[3][1:3]) * 3600 + int(match[3][4:]) * 60)
    return seconds * SECOND + int((match[2] or "0").ljust(9, "0"))


def parse_moment(text: str, now: int, what: str) -> int | None:
    """A moment of a request in nanoseconds: seconds since the epoch with a fraction, a date, or a duration before now. None where it is empty."""
    text = text.strip()
    if not text:
        return None
    if re.fullmatch(r"-?\d{1,12}(\.\d{1,9})?", text, re.ASCII):
        whole, _, fraction = text.partition(".")
        return int(whole) * SECOND + int(fraction.ljust(9, "0") or "0")
    if (passed := parse_duration(text)) is not None:
        return now - passed
    if found := nanoseconds(text):
        return found
    try:
        return int(datetime.fromisoformat(text).timestamp() * SECOND)
    except (ValueError, OverflowError, OSError):
        raise Invalid(f'invalid value for "{what}": failed to parse "{text}" as a time or a duration') from None


def parse_duration(text: str) -> int | None:
    """Go's duration ("10m", "1h30m") in nanoseconds; None where it is none."""
    found = DURATION.findall(text)
    if not found or "".join(number + unit for number, unit in found) != text:
        return None
    return sum(int(float(number) * UNITS[unit]) for number, unit in found)


def human(duration: int) -> str:
    """A duration in nanoseconds as Docker words it."""
    seconds = max(0, duration) // SECOND
    minutes, hours = seconds // 60, (max(0, duration) + 1800 * SECOND) // (3600 * SECOND)
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    for limit, size, unit in ((48, 1, "hours"), (24 * 14, 24, "days"), (24 * 60, 24 * 7, "weeks"), (24 * 365 * 2, 24 * 30, "months")):
        if hours < limit:
            return f"{hours // size} {unit}"
    return f"{seconds // 3600 // 24 // 365} years"


def rfc3339(moment: int) -> str:
    """Nanoseconds since the epoch as RFC 3339 in UTC with all nine digits."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(moment // SECOND))}.{moment % SECOND:09d}Z"
