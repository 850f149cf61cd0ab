"""`ps --filter`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ..containers.model import Container
from ..daemon.state import State
from ..errors import Invalid
from ..images.model import Image
from .endpoint_view import endpoints_of, ports_json, shown_network
from .filters import Filters, among, labelled, matches_text

ALLOWED = frozenset(
    {
        "ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name", "network", "publish", "since", "status",
        "volume",
    }
)  # fmt: skip
STATUSES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
HEALTH = ("none", "starting", "healthy", "unhealthy")
PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.ASCII)

Find = Callable[[str], Container]
FindImage = Callable[[str], Image | None]
Test = Callable[[Container], bool]


def container_matcher(state: State, filters: Filters, *, everything: bool, find: Find, find_image: FindImage) -> Test:
    """Whether a container is meant: those that run, unless `everything` or a status is asked for."""
    for name, allowed in (("status", STATUSES), ("health", HEALTH), ("is-task", ("true", "false", "1", "0"))):
        for value in filters.get(name, ()):
            if value not in allowed:
                raise Invalid(f"invalid filter '{name}={value}'")
    everything = everything or bool({"status", "before", "since"} & filters.keys())
    tests: list[Test] = [] if everything else [lambda c: c.state.running]
    for name, make in TESTS.items():
        if name in filters:
            tests.append(make(filters))
    if "network" in filters:
        tests.append(network_test(state, filters["network"]))
    if "ancestor" in filters:
        images = {image.id for image in map(find_image, filters["ancestor"]) if image is not None}
        tests.append(lambda c: c.image_id in images)
    for name in ("before", "since"):
        for ref in filters.get(name, ()):
            tests.append(created_test(name, find(ref)))
    for name, field in (("publish", "public"), ("expose", "private")):
        if name in filters:
            tests.append(port_test(state, [port_range(name, v) for v in filters[name]], field))
    return lambda container: all(test(container) for test in tests)


def created_test(name: str, other: Container) -> Test:
    """Made before, or after, another container."""
    if name == "before":
        return lambda c: c.created < other.created
    return lambda c: c.created > other.created


def exited_test(filters: Filters) -> Test:
    """Ended with one of these codes."""
    codes = set()
    for value in filters["exited"]:
        if not re.fullmatch(r"-?\d{1,9}", value, re.ASCII):
            raise Invalid(f"invalid filter 'exited={value}'")
        codes.add(int(value))
    return lambda c: c.state.status == "exited" and c.state.exit_code in codes


def network_test(state: State, wanted: Collection[str]) -> Test:
    """On one of these networks, by name or by how its id begins."""
    return lambda c: any(v == name or shown_network(state, c, name, wish).startswith(v) for name, wish in c.networks for v in wanted)


TESTS: Mapping[str, Callable[[Filters], Test]] = {
    "id": lambda filters: lambda c: among(filters, "id", lambda v: matches_text(v, c.id)),
    "name": lambda filters: lambda c: among(filters, "name", lambda v: matches_text(v, c.name) or matches_text(v, f"/{c.name}")),
    "label": lambda filters: lambda c: labelled(c.config.labels, filters["label"]),
    "status": lambda filters: lambda c: c.state.status in filters["status"],
    "health": lambda filters: lambda c: (c.state.health.status if c.state.health else "none") in filters["health"],
    "is-task": lambda filters: lambda c: among(filters, "is-task", lambda v: v in ("false", "0")),
    "exited": exited_test,
    "volume": lambda filters: lambda c: any(v in (m.name, m.destination) for m in c.mounts for v in filters["volume"]),
}


def port_range(name: str, text: str) -> tuple[range, str]:
    """ "80", "80/udp", "8000-8010/tcp" -> (ports, protocol)."""
    match = PORTS.fullmatch(text)
    if match is None:
        raise Invalid(f"invalid filter '{name}={text}'", hint="wants PORT[-PORT][/PROTOCOL]")
    return range(int(match[1]), int(match[2] or match[1]) + 1), match[3] or "tcp"


def port_test(state: State, wanted: list[tuple[range, str]], field: str) -> Test:
    """Publishes (host ports) or exposes (container ports) one of these."""

    def test(container: Container) -> bool:
        ports: Mapping[str, Any] = ports_json(state, container, endpoints_of(state, container))
        for key, bindings in ports.items():
            private, _, protocol = key.partition("/")
            numbers = [int(private)] if field == "private" else [int(b["HostPort"]) for b in bindings or ()]
            if any(n in span and protocol == kind for n in numbers for span, kind in wanted):
                return True
        return False

    return test
