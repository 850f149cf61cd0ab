"""Published ports of a container that change while it runs: words like those of -p, and HostConfig with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from ..errors import Invalid, NotFound
from .model import Config, Container, HostConfig, HostPort

WORD = re.compile(
    r"(?:(?:(?P<ip>\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(?P<host>[0-9]*(?:-[0-9]+)?):)?(?P<first>[0-9]+)(?:-(?P<last>[0-9]+))?(?:/(?P<protocol>tcp|udp|sctp))?",
    re.IGNORECASE,
)
Bindings = dict[str, tuple[HostPort, ...]]


def parse_publication(word: str) -> tuple[tuple[str, HostPort], ...]:
    """`[ADDRESS:][HOST PORTS:]PORTS[/PROTOCOL]` as ("80/tcp", binding) pairs, a pair a port; Invalid quoting the word."""
    match = WORD.fullmatch(word.strip())
    if match is None:
        raise Invalid(f"invalid port specification: {word!r}", hint="write it as for -p: [ADDRESS:][HOST_PORT:]PORT[/tcp|udp|sctp]")
    first, last = int(match["first"]), int(match["last"] or match["first"])
    protocol, address = (match["protocol"] or "tcp").lower(), (match["ip"] or "").strip("[]")
    low, _, high = (match["host"] or "").partition("-")
    if not 0 < first <= last <= 65535 or (high and not low) or any(n and not 0 < int(n) <= 65535 for n in (low, high)):
        raise Invalid(f"invalid port specification: {word!r}: a port is between 1 and 65535")
    if first != last and low and int(high or low) - int(low) != last - first:
        raise Invalid(f"invalid port specification: {word!r}: the two ranges are not of one length")
    found = []
    for offset in range(last - first + 1):
        host = match["host"] or "" if first == last else str(int(low) + offset) if low else ""
        found.append((f"{first + offset}/{protocol}", HostPort(host_ip=address, host_port=host)))
    return tuple(found)


def change_ports(
    container: Container, publish: Iterable[str], unpublish: Iterable[str], standing: Mapping[str, Iterable[tuple[str, int]]]
) -> Container:
    """The container with publications taken away and added. `standing`: ("80/tcp") -> the host addresses and ports where it is now.

    NotFound where nothing of a word is published, Invalid for one that is no port.
    """
    host, config = container.host_config, container.config
    bindings: Bindings = {k: tuple(v) if v else (HostPort(),) for k, v in (host.port_bindings or {}).items()}
    every = host.publish_all_ports
    unpublish = tuple(unpublish)
    if every and unpublish:
        # Those that -P chose become as if each had been named, so that one can be taken from them.
        bindings = {**{port: (HostPort(),) for port in config.exposed_ports or {}}, **bindings}
        every = False
    for word in unpublish:
        for port, asked in parse_publication(word):
            taken_from = bindings.get(port, ())
            rest = tuple(b for b in taken_from if not is_meant(b, asked, standing.get(port, ())))
            if len(rest) == len(taken_from):
                raise NotFound(f"port {word} of container {container.name} is not published")
            bindings[port] = rest
    bindings = {port: rest for port, rest in bindings.items() if rest}
    exposed = dict(config.exposed_ports or {})
    for word in publish:
        for port, binding in parse_publication(word):
            bindings[port] = (*bindings.get(port, ()), binding)
            exposed[port] = {}
    return msgspec.structs.replace(container, host_config=with_bindings(host, bindings, every), config=with_exposed(config, exposed))


def is_meant(binding: HostPort, asked: HostPort, standing: Iterable[tuple[str, int]]) -> bool:
    """Whether a binding is the one asked for: what the word leaves out fits any, and an ephemeral port is known by its number of now."""
    if asked.host_ip and asked.host_ip != binding.host_ip:
        return False
    if not asked.host_port or asked.host_port == binding.host_port:
        return True
    return not binding.host_port and any(str(port) == asked.host_port for _, port in standing)


def with_bindings(host: HostConfig, bindings: Bindings, every: bool) -> HostConfig:
    return msgspec.structs.replace(host, port_bindings=bindings, publish_all_ports=every)


def with_exposed(config: Config, exposed: Mapping[str, object]) -> Config:
    return msgspec.structs.replace(config, exposed_ports=exposed or None)
