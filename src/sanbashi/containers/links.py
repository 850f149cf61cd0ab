"""What a link on the default bridge puts into the environment of the container that has it, in Docker's form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

OWN = ("HOME", "PATH")  # of every container, so not worth telling


def link_words(alias: str, name: str, address: str, ports: Sequence[tuple[int, str]], environment: Iterable[str]) -> Iterator[str]:
    """Words for a link called `alias` of the container `name` to another's `address`, its exposed `ports` (number, protocol) and `environment`."""
    prefix = alias.upper().replace("-", "_")
    for first, (port, protocol) in ((n == 0, p) for n, p in enumerate(ports)):
        url = f"{protocol}://{address}:{port}"
        if first:
            yield f"{prefix}_PORT={url}"
        key = f"{prefix}_PORT_{port}_{protocol.upper()}"
        yield from (f"{key}={url}", f"{key}_ADDR={address}", f"{key}_PORT={port}", f"{key}_PROTO={protocol}")
    yield f"{prefix}_NAME=/{name}/{alias}"
    for word in environment:
        variable, equals, value = word.partition("=")
        if equals and variable not in OWN:
            yield f"{prefix}_ENV_{variable}={value}"
