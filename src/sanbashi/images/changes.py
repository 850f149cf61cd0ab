"""Dockerfile instructions that change an image's configuration (`import --change`, `commit --change`)."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence

import msgspec

from ..errors import Invalid
from .model import ImageConfig

PORT = re.compile(r"\d+(-\d+)?(/(tcp|udp|sctp))?")
set_ = msgspec.structs.replace


def apply_changes(config: ImageConfig, changes: Sequence[str]) -> ImageConfig:
    """The configuration after instructions such as `CMD ["sh"]`; Invalid where one is unknown or malformed."""
    for change in changes:
        for instruction in filter(None, (text.strip() for text in change.split("\n"))):
            name, _, rest = instruction.partition(" ")
            if name.upper() not in CHANGES:
                raise Invalid(f"{name.lower()} is not a valid change command")
            config = CHANGES[name.upper()](config, rest.strip())
    return config


def words(config: ImageConfig, text: str) -> tuple[str, ...]:
    """The exec form (a JSON list), or the shell form: the shell with the text as its command."""
    if text.startswith("["):
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if isinstance(found, list) and all(isinstance(w, str) for w in found):
            return tuple(found)
    return (*(config.shell or ("/bin/sh", "-c")), text)


def pairs(instruction: str, text: str) -> list[tuple[str, str]]:
    """`KEY=value KEY="other value"`, or the old form `KEY value`."""
    first, _, rest = text.partition(" ")
    if not text:
        raise Invalid(f"{instruction} requires at least one argument")
    if "=" not in first:
        if not rest:
            raise Invalid(f"{instruction} must have two arguments")
        return [(first, rest.strip())]
    try:
        found = [word.partition("=") for word in shlex.split(text)]
    except ValueError as error:
        raise Invalid(f"{instruction} {text}: {error}") from error
    if any(not equals for _, equals, _ in found):
        raise Invalid(f"Syntax error - can't find = in {text!r}. Must be of the form: name=value")
    return [(key, value) for key, _, value in found]


def environment(config: ImageConfig, text: str) -> ImageConfig:
    env = dict(line.partition("=")[::2] for line in config.env or ())
    return set_(config, env=tuple(f"{k}={v}" for k, v in (env | dict(pairs("ENV", text))).items()))


def expose(config: ImageConfig, text: str) -> ImageConfig:
    ports = dict(config.exposed_ports or {})
    for word in text.split():
        if not PORT.fullmatch(word):
            raise Invalid(f"invalid containerPort: {word}")
        ports[word if "/" in word else f"{word}/tcp"] = {}
    return set_(config, exposed_ports=ports)


def volumes(config: ImageConfig, text: str) -> ImageConfig:
    paths = words(config, text) if text.startswith("[") else tuple(text.split())
    return set_(config, volumes={**(config.volumes or {}), **{path: {} for path in paths}})


def healthcheck(config: ImageConfig, text: str) -> ImageConfig:
    if text.upper() == "NONE":
        return set_(config, healthcheck={"Test": ["NONE"]})
    kind, _, rest = text.partition(" ")
    if kind.upper() != "CMD":
        raise Invalid(f"Unknown type {kind!r} in HEALTHCHECK (try CMD)")
    found = words(config, rest.strip())
    test = ["CMD", *found] if rest.strip().startswith("[") else ["CMD-SHELL", rest.strip()]
    return set_(config, healthcheck={"Test": test})


CHANGES: dict[str, Callable[[ImageConfig, str], ImageConfig]] = {
    "CMD": lambda config, text: set_(config, cmd=words(config, text)),
    "ENTRYPOINT": lambda config, text: set_(config, entrypoint=words(config, text)),
    "ENV": environment,
    "EXPOSE": expose,
    "HEALTHCHECK": healthcheck,
    "LABEL": lambda config, text: set_(config, labels={**(config.labels or {}), **dict(pairs("LABEL", text))}),
    "ONBUILD": lambda config, text: set_(config, on_build=(*(config.on_build or ()), text)),
    "SHELL": lambda config, text: set_(config, shell=words(config, text)),
    "STOPSIGNAL": lambda config, text: set_(config, stop_signal=text),
    "USER": lambda config, text: set_(config, user=text),
    "VOLUME": volumes,
    "WORKDIR": lambda config, text: set_(config, working_dir=text if text.startswith("/") else f"{config.working_dir.rstrip('/')}/{text}"),
}
