"""How much of its output a container keeps, the log drivers' max-size and max-file, and what is told with each line of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote_plus

from ..errors import Invalid
from ..records import dataclass
from .model import Container, LogConfig

ATTRIBUTES = frozenset(("labels", "labels-regex", "env", "env-regex", "tag"))
HONOURED = frozenset(("max-size", "max-file", "compress")) | ATTRIBUTES
KNOWN = HONOURED | {"mode", "max-buffer-size"}
TRUTHS = {"1": True, "t": True, "T": True, "TRUE": True, "true": True, "True": True}
TRUTHS |= {"0": False, "f": False, "F": False, "FALSE": False, "false": False, "False": False}
FIELD = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")  # the one form of Go's templates that a tag may have here
FIELDS = ("Command", "DaemonName", "FullID", "ID", "ImageFullID", "ImageID", "ImageName", "Name")
# What each driver keeps where nothing is said; 0 bytes is no limit. As Docker's.
LOG_DRIVERS = {"json-file": ("0", "1"), "local": ("20m", "5"), "none": ("0", "1")}


@dataclass(frozen=True, slots=True)
class LogLimits:
    """Bytes of one file (0: no limit), how many files there are with the one that is written, and whether the others are packed."""

    size: int
    files: int
    packed: bool = False

    @property
    def rotated(self) -> bool:
        """Whether older files are kept."""
        return self.size > 0 and self.files > 1


def log_limits(log: LogConfig) -> LogLimits:
    """The limits of a log; Invalid in Docker's words."""
    driver = log.type or "json-file"
    size, files = LOG_DRIVERS.get(driver, ("0", "1"))
    size, files = log.config.get("max-size", size), log.config.get("max-file", files)
    limit = 0 if size in ("0", "-1") else size_in_bytes(size)
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", files):
        raise Invalid(f"error parsing max-file: '{files}' is no number")
    if int(files) < 1:
        raise Invalid("max-file cannot be less than 1")
    # Docker's local driver packs unless told not to.
    return LogLimits(limit, int(files), TRUTHS.get(log.config.get("compress", ""), driver == "local"))


def check_log(log: LogConfig) -> None:
    """The drivers that this engine has, and what they can be told."""
    if log.type not in ("", *LOG_DRIVERS):
        raise Invalid(f"logger: no log driver named '{log.type}' is registered", hint="this engine has json-file, local and none")
    for key in log.config:
        if key not in KNOWN:
            raise Invalid(f"unknown log opt '{key}' for {log.type or 'json-file'} log driver")
    limits = log_limits(log)
    if compress := log.config.get("compress", ""):
        if compress not in TRUTHS:
            raise Invalid(f"error parsing compress: '{compress}' is neither true nor false")
        if TRUTHS[compress] and log.type in ("", "json-file") and not limits.rotated:
            raise Invalid("compress cannot be true when max-file is less than 2 or max-size is not set")
    if log.config.get("mode", "blocking") not in ("blocking", "non-blocking"):
        raise Invalid(f"logger: logging mode not supported: {log.config['mode']}")
    for key in ("labels-regex", "env-regex"):
        try:
            re.compile(log.config.get(key, ""))
        except re.error as error:
            raise Invalid(f"error parsing {key}: {error}") from error
    tag = log.config.get("tag", "")
    if "{{" in FIELD.sub("", tag) or not set(FIELD.findall(tag)) <= set(FIELDS):
        raise Invalid(f"invalid log opt tag: '{tag}'", hint=f"it may have {', '.join(f'{{{{.{name}}}}}' for name in FIELDS)}")


def not_honoured(log: LogConfig) -> list[str]:
    """The options that this engine takes and does nothing with: what says what it does anyhow is not among them."""
    idle = set(log.config) - HONOURED
    return sorted(idle - {"mode"} if log.config.get("mode") == "blocking" else idle)


def log_attributes(container: Container) -> str:
    """What `logs --details` says before each line: the labels and words of the environment that --log-opt chose, and the tag."""
    options = container.host_config.log_config.config
    found: dict[str, str] = {}
    words = {key: value for key, equals, value in (word.partition("=") for word in container.config.env or ()) if equals}
    for name, values in (("labels", container.config.labels), ("env", words)):
        found |= {key: values[key] for key in options.get(name, "").split(",") if key in values}
        if pattern := options.get(f"{name}-regex", ""):
            found |= {key: value for key, value in values.items() if re.search(pattern, key)}
    if tag := options.get("tag", ""):
        found["tag"] = FIELD.sub(lambda match: tag_fields(container)[match[1]], tag)
    return ",".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in sorted(found.items()))


def tag_fields(container: Container) -> Mapping[str, str]:
    """What the words of a tag stand for."""
    values = (
        " ".join((container.path, *container.args)),
        "docker",
        container.id,
        container.id[:12],
        container.image_id,
        container.image_id.removeprefix("sha256:")[:12],
        container.config.image,
        container.name,
    )
    return dict(zip(FIELDS, values, strict=True))


def size_in_bytes(text: str) -> int:
    """ "10m" -> 10485760, as the log drivers' max-size is written."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kKmMgGtT]?)[iI]?[bB]?", text.strip())
    if match is None:
        raise Invalid(f"invalid size: '{text}'")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " "))
