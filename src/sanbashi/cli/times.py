"""Go's times and durations: reading flags, printing values, reformatting."""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

SECOND = 1_000_000_000
_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}


def parse_duration(text: str) -> int:
    """`1h2m3.5s` -> nanoseconds; ValueError with Go's words."""
    from sanbashi.cli.gotemplate.text import quote

    problem = ValueError(f"time: invalid duration {quote(text)}")
    rest = text.lstrip("+-") if text[:1] in "+-" and text[:1] else text
    if rest == "0":
        return 0
    if not rest:
        raise problem
    value = 0
    while rest:
        end = 0
        while end < len(rest) and rest[end] in "0123456789.":
            end += 1
        number, rest = rest[:end], rest[end:]
        if not number.strip(".") or number.count(".") > 1:
            raise problem
        end = 0
        while end < len(rest) and rest[end] not in "0123456789.":
            end += 1
        unit, rest = rest[:end], rest[end:]
        if not unit:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        if unit not in _UNITS:
            raise ValueError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        whole, _, fraction = number.partition(".")
        value += int(whole or 0) * _UNITS[unit] + int(fraction or 0) * _UNITS[unit] // 10 ** len(fraction)
    return -value if text[0] == "-" else value


def show_duration(nanoseconds: int) -> str:
    """90000000000 -> `1m30s`."""
    if nanoseconds == 0:
        return "0s"
    sign, value = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    for unit, name in ((1_000, "ns"), (1_000_000, "µs"), (SECOND, "ms")):
        if value < unit:
            scale = unit // 1_000
            return f"{sign}{_decimal(value, scale)}{name}"
    minutes, rest = divmod(value, 60 * SECOND)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, SECOND)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else sign + seconds


def _decimal(value: int, scale: int) -> str:
    whole, part = divmod(value, scale)
    digits = len(str(scale)) - 1
    fraction = str(part).rjust(digits, "0").rstrip("0") if part else ""
    return f"{whole}.{fraction}" if fraction else str(whole)


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def parse_rfc3339(text: str) -> tuple[int, int, int]:
    """(seconds since 1970, nanoseconds, offset of the zone in seconds); ValueError where it is none."""
    if len(text) < 20 or text[4] != "-" or text[10] not in "Tt" or text[13] != ":":
        raise ValueError(text)
    rest = text[19:]
    nanoseconds = 0
    if rest.startswith("."):
        end = 1
        while end < len(rest) and rest[end].isdigit():
            end += 1
        nanoseconds = int(rest[1:end][:9].ljust(9, "0"))
        rest = rest[end:]
    offset = 0
    if rest not in ("Z", "z"):
        offset = (1 if rest[0] == "+" else -1) * (int(rest[1:3]) * 3600 + int(rest[4:6]) * 60)
    days = days_from_civil(int(text[:4]), int(text[5:7]), int(text[8:10]))
    return days * 86400 + int(text[11:13]) * 3600 + int(text[14:16]) * 60 + int(text[17:19]) - offset, nanoseconds, offset


def zone(offset: int) -> str:
    """+09:00; Z for none."""
    return "Z" if not offset else f"{'-' if offset < 0 else '+'}{abs(offset) // 3600:02d}:{abs(offset) % 3600 // 60:02d}"


def show_instant(text: str) -> str:
    """A time.Time as Go prints it: 2026-11-23 17:46:38.884412458 +0000 UTC."""
    seconds, nanoseconds, offset = parse_rfc3339(text)
    moment = time.gmtime(seconds + offset)
    fraction = f".{nanoseconds:09d}".rstrip("0") if nanoseconds else ""
    numeric = f"{'-' if offset < 0 else '+'}{abs(offset) // 3600:02d}{abs(offset) % 3600 // 60:02d}"
    name = "UTC" if not offset else numeric
    if offset and time.localtime(seconds).tm_gmtoff == offset:
        name = time.localtime(seconds).tm_zone
    return f"{moment.tm_year:04d}-{time.strftime('%m-%d %H:%M:%S', moment)}{fraction} {numeric} {name}"


def show_unix(seconds: int) -> str:
    """time.Unix(seconds, 0).String(): in the zone of this machine."""
    moment = time.localtime(seconds)
    return f"{moment.tm_year:04d}-" + time.strftime("%m-%d %H:%M:%S %z ", moment) + moment.tm_zone


def unix_rfc3339(seconds: int) -> str:
    """RFC 3339 in the zone of this machine."""
    moment = time.localtime(seconds)
    return f"{moment.tm_year:04d}-" + time.strftime("%m-%dT%H:%M:%S", moment) + zone(moment.tm_gmtoff)


def unix_rfc3339_nano(nanoseconds: int) -> str:
    """RFC 3339 with nine digits, in the zone of this machine."""
    moment = time.localtime(nanoseconds // SECOND)
    stamp = time.strftime("%m-%dT%H:%M:%S", moment)
    return f"{moment.tm_year:04d}-{stamp}.{nanoseconds % SECOND:09d}{zone(moment.tm_gmtoff)}"


def timestamp(text: str) -> str:
    """A --since or --until: a duration before now, a date, or seconds since 1970, as the API takes it; ValueError."""
    try:
        if text != "0":
            return str((time.time_ns() - parse_duration(text)) // SECOND)
    except ValueError:
        pass
    try:
        return _date(text)
    except ValueError:
        if "-" in text:
            raise
    seconds, _, fraction = text.partition(".")
    if not seconds.lstrip("-").isdigit() or (fraction and not fraction.isdigit()):
        from sanbashi.cli.gotemplate.text import quote

        raise ValueError(f"failed to parse value as time or duration: {quote(text)}")
    return text


def _date(text: str) -> str:
    local = not any(char in text for char in "zZ+") and text.count("-") != 3
    full = text.replace("z", "Z")
    date, clock, rest = full[:10], "00:00:00", full[10:]
    if rest.startswith("T"):
        end = 1
        while end < len(rest) and rest[end] in "0123456789:.":
            end += 1
        clock, rest = rest[1:end], rest[end:]
        clock += (":00:00", ":00", "")[min(clock.count(":"), 2)]
    parts = date.split("-")
    if len(parts) != 3 or [len(part) for part in parts] != [4, 2, 2] or (local and rest):
        raise ValueError(f'parsing time "{text}" as "2006-01-02": cannot parse "{text}" as "2006-01-02"')
    try:
        seconds, nanoseconds, _ = parse_rfc3339(f"{date}T{clock}{'Z' if local else rest}")
    except (ValueError, IndexError):
        raise ValueError(f'parsing time "{text}" as "2006-01-02T15:04:05": cannot parse "{text}" as "2006-01-02T15:04:05"') from None
    if local:
        moment = time.gmtime(seconds)
        seconds = int(time.mktime((*moment[:8], -1)))
    return f"{seconds}.{nanoseconds:09d}"
