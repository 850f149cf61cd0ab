"""How much of its output a container keeps: the log drivers' max-size and max-file."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import Invalid
from .model import LogConfig

HONOURED = frozenset(("max-size", "max-file"))
KNOWN = HONOURED | {"compress", "labels", "labels-regex", "env", "env-regex", "tag", "mode", "max-buffer-size"}
# What each driver keeps where nothing is said; 0 bytes is no limit. As Docker's.
DEFAULTS = {"json-file": ("0", "1"), "local": ("20m", "5"), "none": ("0", "1")}


@dataclass(frozen=True, slots=True)
class LogLimits:
    """Bytes of one file (0: no limit) and how many files there are with the one that is written."""

    size: int
    files: int

    @property
    def rotated(self) -> bool:
        """Whether older files are kept."""
        return self.size > 0 and self.files > 1


def log_limits(log: LogConfig) -> LogLimits:
    """The limits of a log; Invalid in Docker's words."""
    driver = log.type or "json-file"
    size, files = DEFAULTS.get(driver, ("0", "1"))
    size, files = log.config.get("max-size", size), log.config.get("max-file", files)
    limit = 0 if size in ("0", "-1") else size_in_bytes(size)
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", files):
        raise Invalid(f"error parsing max-file: '{files}' is no number")
    if int(files) < 1:
        raise Invalid("max-file cannot be less than 1")
    return LogLimits(limit, int(files))


def check_log(log: LogConfig) -> None:
    """The drivers that this engine has, and what they can be told."""
    if log.type not in ("", *DEFAULTS):
        raise Invalid(f"logger: no log driver named '{log.type}' is registered", hint="this engine has json-file, local and none")
    for key in log.config:
        if key not in KNOWN:
            raise Invalid(f"unknown log opt '{key}' for {log.type or 'json-file'} log driver")
    log_limits(log)


def size_in_bytes(text: str) -> int:
    """ "10m" -> 10485760, as the log drivers' max-size is written."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kKmMgGtT]?)[iI]?[bB]?", text.strip())
    if match is None:
        raise Invalid(f"invalid size: '{text}'")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " "))
