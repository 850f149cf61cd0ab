"""The rows of a list of containers as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

import msgspec

from ..containers.model import Container, ContainerState
from ..daemon.state import State
from ..errors import Invalid
from ..images.reference import parse_reference
from ..network.model import Endpoint
from ..records import dataclass
from .container_view import mount_json
from .endpoint_view import endpoints_of, networks_json, ports_json
from .messages import Version
from .network_view import sorted_map
from .times import SECOND, human, nanoseconds


def status_text(state: ContainerState, now: int) -> str:
    """The STATUS column."""
    if state.running:
        if state.status == "restarting":
            return f"Restarting ({state.exit_code}) {human(now - nanoseconds(state.finished_at))} ago"
        up = f"Up {human(now - nanoseconds(state.started_at))}"
        if state.status == "paused":
            return f"{up} (Paused)"
        health = state.health.status if state.health else "none"
        return up if health == "none" else f"{up} (health: starting)" if health == "starting" else f"{up} ({health})"
    if state.status == "removing":
        return "Removal In Progress"
    if state.dead or state.status == "dead":
        return "Dead"
    if not nanoseconds(state.started_at):
        return "Created"
    return f"Exited ({state.exit_code}) {human(now - nanoseconds(state.finished_at))} ago" if nanoseconds(state.finished_at) else ""


def command_text(container: Container) -> str:
    """The COMMAND column before it is shortened."""
    return " ".join((container.path, *(f"'{a}'" if " " in a else a for a in container.args)))


def image_text(state: State, container: Container) -> str:
    """The IMAGE column: what was typed, or the image's id where that name means another image by now, or none."""
    typed = container.config.image
    for name in (typed, f"{typed}:latest"):
        if (holder := state.image_names.get(name)) is not None:
            return typed if holder == container.image_id else container.image_id
    if typed and container.image_id.removeprefix("sha256:").startswith(typed.removeprefix("sha256:")):
        return typed
    try:
        holder = state.image_names.get(parse_reference(typed).key)
    except Invalid:
        holder = None
    return typed if holder == container.image_id else container.image_id


def listed_ports(ports: Mapping[str, list[dict[str, str]] | None]) -> list[dict[str, Any]]:
    """The Ports of a row: one entry a binding; one without a port of the host's is left out, as Docker does."""
    rows: list[dict[str, Any]] = []
    for key, bindings in ports.items():
        port, _, protocol = key.partition("/")
        if not bindings:
            rows.append({"PrivatePort": int(port), "Type": protocol})
        for b in (b for b in bindings or () if b["HostPort"]):
            rows.append({"IP": b["HostIp"], "PrivatePort": int(port), "PublicPort": int(b["HostPort"]), "Type": protocol})
    return rows


@dataclass
class Row:
    """A rendered row, good as long as what it was made of is the very same."""

    container: Container
    endpoints: tuple[Endpoint, ...]
    image_names: object
    version: Version
    before: bytes  # up to the status text, which the clock changes
    after: bytes


@dataclass
class Rows:
    """Renders lists of containers; a row is rendered once and kept until its container, an endpoint or the images' names change."""

    kept: dict[str, Row] = field(default_factory=dict)

    def render(
        self, state: State, containers: Iterable[Container], version: Version, now: int, sizes: Mapping[str, Mapping[str, int]] | None = None
    ) -> bytes:
        """The JSON array. `sizes` by container id adds SizeRw and SizeRootFs."""
        rows = []
        for container in containers:
            row = self.row(state, container, version)
            status = msgspec.json.encode(status_text(container.state, now))
            extra = b"," + msgspec.json.encode(sizes[container.id])[1:-1] if sizes and container.id in sizes else b""
            rows.append(row.before + status + extra + row.after)
        if len(self.kept) > 2 * len(state.containers) + 64:
            self.kept = {id_: row for id_, row in self.kept.items() if id_ in state.containers}
        return b"[" + b",".join(rows) + b"]\n"

    def row(self, state: State, container: Container, version: Version) -> Row:
        endpoints = endpoints_of(state, container)
        kept = self.kept.get(container.id)
        if (
            kept is not None
            and kept.container is container
            and kept.image_names is state.image_names
            and kept.version == version
            and len(kept.endpoints) == len(endpoints)
            and all(a is b for a, b in zip(kept.endpoints, endpoints, strict=True))
        ):
            return kept
        before = {
            "Id": container.id,
            "Names": [f"/{container.name}"],
            "Image": image_text(state, container),
            "ImageID": container.image_id,
            "Command": command_text(container),
            "Created": nanoseconds(container.created) // SECOND,
            "Ports": listed_ports(ports_json(state, container, endpoints)),
            "Labels": sorted_map(container.config.labels),
            "State": container.state.status,
        }
        after = {
            "HostConfig": {
                "NetworkMode": container.host_config.network_mode,
                **({"Annotations": dict(container.host_config.annotations)} if container.host_config.annotations and version >= (1, 46) else {}),
            },
            "NetworkSettings": {"Networks": networks_json(state, container, endpoints, version, listed=True)},
            "Mounts": [mount_json(m) for m in container.mounts],
        }
        if version >= (1, 52):
            health = container.state.health
            after["Health"] = {"Status": health.status if health else "none", "FailingStreak": health.failing_streak if health else 0}
        row = Row(
            container,
            endpoints,
            state.image_names,
            version,
            msgspec.json.encode(before)[:-1] + b',"Status":',
            b"," + msgspec.json.encode(after)[1:],
        )
        self.kept[container.id] = row
        return row
