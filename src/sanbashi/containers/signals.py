"""Signals by name or number."""

from __future__ import annotations

import signal

from ..errors import Invalid


def signal_number(word: str) -> int:
    """KILL, SIGKILL, 9 and RTMIN+3 are numbers of Linux; Invalid in Docker's words."""
    text = word.strip().upper()
    if text.isdigit():
        if 0 < int(text) <= int(signal.SIGRTMAX):
            return int(text)
        raise Invalid(f"invalid signal: {word}")
    name = text.removeprefix("SIG")
    for base, separator, first in (("RTMIN", "+", int(signal.SIGRTMIN)), ("RTMAX", "-", int(signal.SIGRTMAX))):
        start, found, offset = name.partition(separator)
        if start == base and found and offset.isdigit() and int(offset) <= int(signal.SIGRTMAX) - int(signal.SIGRTMIN):
            return first + int(offset) * (1 if separator == "+" else -1)
    found_signal = getattr(signal, f"SIG{name}", None)
    if not isinstance(found_signal, signal.Signals):
        raise Invalid(f"invalid signal: {word}")
    return int(found_signal)
