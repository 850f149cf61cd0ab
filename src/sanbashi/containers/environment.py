"""A container's environment: Docker's own variables, the user's over them."""

from __future__ import annotations

from collections.abc import Iterable

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def overlaid(base: Iterable[str], over: Iterable[str]) -> tuple[str, ...]:
    """`base` with the variables of `over` in their places or at the end; a word without "=" takes the variable away."""
    values: dict[str, str] = {}
    for word in base:
        values[word.partition("=")[0]] = word
    for word in over:
        name, equals, _ = word.partition("=")
        if equals:
            values[name] = word
        else:
            values.pop(name, None)
    return tuple(values.values())


def environment(given: Iterable[str], *, hostname: str, terminal: bool, home: str, linked: Iterable[str] = ()) -> list[str]:
    """What the first process sees, in Docker's order: PATH, HOSTNAME, TERM with a terminal, links, the image's and the user's, HOME."""
    own = [PATH, f"HOSTNAME={hostname}", *(["TERM=xterm"] if terminal else []), *linked]
    result = list(overlaid(own, given))
    if not any(word.startswith("HOME=") for word in result):
        result.append(f"HOME={home}")
    return result
