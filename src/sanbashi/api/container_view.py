"""Containers as JSON: inspect, and the rows of a list."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import msgspec

from ..containers.model import Container, ContainerState, Health, HostConfig, MountPoint
from ..daemon.config import DaemonConfig
from ..daemon.state import State
from ..errors import Invalid
from ..images.reference import parse_reference
from ..network.model import PREDEFINED, Endpoint, EndpointWish
from .lease_view import lease_json
from .messages import Version
from .network_view import sorted_map
from .times import SECOND, ZERO, human, nanoseconds

# What Go leaves out of the two configurations where it is empty (omitempty).
CONFIG_OPTIONAL = frozenset(
    {"ExposedPorts", "Healthcheck", "ArgsEscaped", "NetworkDisabled", "MacAddress", "OnBuild", "StopSignal", "StopTimeout", "Shell"}
)
HOST_OPTIONAL = frozenset({"Annotations", "StorageOpt", "Tmpfs", "Sysctls", "Mounts", "Init"})
EMPTY: tuple[Any, ...] = (None, False, "", (), [], {})


# -- what both have in common


def endpoints_of(state: State, container: Container) -> tuple[Endpoint, ...]:
    """A running container's endpoints, in the order of joining."""
    ids = state.network.sandbox_endpoints.get(container.sandbox_id, ()) if container.sandbox_id else ()
    return tuple(state.network.endpoints[i] for i in ids)


def networks_json(state: State, container: Container, endpoints: Iterable[Endpoint], version: Version, *, listed: bool = False) -> dict[str, Any]:
    """The networks that a container is or wants to be on, by name."""
    by_network = {e.network_id: e for e in endpoints}
    found = {}
    for name, wish in sorted(container.networks, key=itemgetter(0)):
        network_id = wish.network_id or state.network.network_names.get(name, "")
        endpoint = by_network.get(network_id)
        shown = shown_network(state, container, name, wish) or (network_id if endpoint else "")
        found[name] = endpoint_json(container, name, wish, endpoint, shown, version, listed)
        if not listed:
            found[name] |= lease_json(state.network.networks.get(network_id), endpoint)
    return found


def shown_network(state: State, container: Container, name: str, wish: EndpointWish) -> str:
    """The id of a network that a container is or wants to be on; "" while nobody has looked for it, as before the first start."""
    if wish.network_id or container.state.started_at == ZERO:
        return wish.network_id
    return state.network.network_names.get(name, "")


def endpoint_json(
    container: Container, name: str, wish: EndpointWish, endpoint: Endpoint | None, network_id: str, version: Version, listed: bool
) -> dict[str, Any]:
    """EndpointSettings: the wish, and where the container runs what came of it."""
    aliases: list[str] | None = list(wish.aliases) if wish.aliases or wish.has_aliases else None
    own = name not in PREDEFINED
    if version < (1, 45) and own:
        aliases = list(dict.fromkeys(filter(None, (*wish.aliases, container.id[:12], container.config.hostname))))
    names = list(dict.fromkeys(filter(None, (container.name, *wish.aliases, container.id[:12], container.config.hostname)))) if own else None
    v4, v6 = (endpoint.ipv4, endpoint.ipv6) if endpoint else (None, None)
    return {
        "IPAMConfig": ipam_json(wish),
        "Links": list(wish.links) or None,
        "Aliases": None if listed else aliases,
        "MacAddress": endpoint.mac if endpoint and endpoint.mac else wish.mac,
        "DriverOpts": dict(wish.driver_options) if wish.driver_options or wish.has_driver_options else None,
        "GwPriority": wish.gateway_priority,
        "NetworkID": network_id,
        "EndpointID": endpoint.id if endpoint else "",
        "Gateway": str(endpoint.gateway4) if endpoint and endpoint.gateway4 else "",
        "IPAddress": str(v4.ip) if v4 else "",
        "IPPrefixLen": v4.network.prefixlen if v4 else 0,
        "IPv6Gateway": str(endpoint.gateway6) if endpoint and endpoint.gateway6 else "",
        "GlobalIPv6Address": str(v6.ip) if v6 else "",
        "GlobalIPv6PrefixLen": v6.network.prefixlen if v6 else 0,
        "DNSNames": None if listed else names,
        **(host_side(endpoint) if endpoint and endpoint.host_interface and not listed else {}),
    }


def host_side(endpoint: Endpoint) -> dict[str, Any]:
    """Ours: the interface on the host that leads to this endpoint, and its index, 0 where it has gone."""
    try:
        index = socket.if_nametoindex(endpoint.host_interface)
    except OSError:
        index = 0
    return {"HostInterface": endpoint.host_interface, "HostInterfaceIndex": index}


def ipam_json(wish: EndpointWish) -> dict[str, Any] | None:
    """IPAMConfig as it was asked for; null where it was not."""
    document: dict[str, Any] = {}
    if wish.ipv4 is not None:
        document["IPv4Address"] = str(wish.ipv4)
    if wish.ipv6 is not None:
        document["IPv6Address"] = str(wish.ipv6)
    if wish.link_local:
        document["LinkLocalIPs"] = [str(a) for a in wish.link_local]
    return document if document or wish.has_ipam else None


def ports_json(state: State, container: Container, endpoints: Iterable[Endpoint]) -> dict[str, list[dict[str, str]] | None]:
    """What is published, by container port; exposed and unpublished ports are null. Nothing where no endpoint leads outside, as in Docker."""
    found: dict[str, list[dict[str, str]] | None] = {}
    endpoints = tuple(endpoints)
    sandbox = state.network.sandboxes.get(container.sandbox_id)
    if sandbox is not None and any(e.gateway4 or e.gateway6 for e in endpoints):
        found = {f"{port}/{protocol}": None for port, protocol in sandbox.exposed}
    for endpoint in endpoints:
        for binding in endpoint.ports:
            key = f"{binding.container_port}/{binding.protocol}"
            rows = found.get(key) or []
            # On a routed network nothing is translated, so there is no port of the host's.
            found[key] = [*rows, {"HostIp": str(binding.host_ip), "HostPort": str(binding.host_port or "")}]
    return dict(sorted(found.items()))


def mount_json(mount: MountPoint) -> dict[str, Any]:
    """A mount; the name and the driver are a volume's."""
    return {
        "Type": mount.type,
        **({"Name": mount.name} if mount.name else {}),
        "Source": mount.source,
        "Destination": mount.destination,
        **({"Driver": mount.driver} if mount.driver else {}),
        "Mode": mount.mode,
        "RW": mount.rw,
        "Propagation": mount.propagation,
    }


# -- inspect


def container_json(
    state: State,
    config: DaemonConfig,
    container: Container,
    version: Version,
    *,
    execs: list[str] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """A container as inspect shows it; `sizes` are SizeRw and SizeRootFs where they were asked for."""
    folder = config.data_root / "containers" / container.id
    started = container.state.started_at != ZERO
    own_files = started and not container.host_config.network_mode.startswith("container:")
    log = started and container.host_config.log_config.type == "json-file"
    return {
        "Id": container.id,
        "Created": container.created,
        "Path": container.path,
        "Args": list(container.args),
        "State": state_json(container.state),
        "Image": container.image_id,
        "ResolvConfPath": str(folder / "resolv.conf") if own_files else "",
        "HostnamePath": str(folder / "hostname") if own_files else "",
        "HostsPath": str(folder / "hosts") if own_files else "",
        "LogPath": str(folder / f"{container.id}.log") if log else "",
        "Name": f"/{container.name}",
        "RestartCount": container.restart_count,
        "Driver": "overlayfs",
        "Platform": container.platform,
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": execs or None,
        "HostConfig": host_config_json(container.host_config),
        "GraphDriver": {"Data": None, "Name": "overlayfs"},
        **(sizes or {}),
        "Mounts": [mount_json(m) for m in container.mounts],
        "Config": config_json(container, version),
        "NetworkSettings": network_settings(state, config, container, version),
    }


def state_json(state: ContainerState) -> dict[str, Any]:
    """Where a container stands."""
    return {
        "Status": state.status,
        "Running": state.running,
        "Paused": state.status == "paused",
        "Restarting": state.status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": state.dead,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": state.started_at,
        "FinishedAt": state.finished_at,
        **({"Health": health_json(state.health)} if state.health else {}),
    }


def health_json(health: Health) -> dict[str, Any]:
    """Where the health check stands."""
    return {"Status": health.status, "FailingStreak": health.failing_streak, "Log": [msgspec.to_builtins(entry) for entry in health.log]}


def config_json(container: Container, version: Version) -> dict[str, Any]:
    """Config, as Go writes it; older clients find the MAC address that the first network was asked for here."""
    wish = container.networks[0][1].mac if container.networks else ""
    config = msgspec.structs.replace(container.config, mac_address=wish or container.config.mac_address)
    document = without_empty(config, CONFIG_OPTIONAL)
    if "Healthcheck" in document:
        document["Healthcheck"] = filled(document["Healthcheck"])
    if version >= (1, 52):
        document.pop("MacAddress", None)
    return document


def host_config_json(host: HostConfig) -> dict[str, Any]:
    """HostConfig, as Go writes it."""
    document = without_empty(host, HOST_OPTIONAL)
    if "Mounts" in document:
        document["Mounts"] = [filled(mount) for mount in document["Mounts"]]
    return document


def filled(document: Mapping[str, Any]) -> dict[str, Any]:
    """What of an object is not empty."""
    return {name: value for name, value in document.items() if value not in EMPTY}


def without_empty(struct: msgspec.Struct, optional: frozenset[str]) -> dict[str, Any]:
    """A struct's JSON object, without the optional fields that are empty; maps are in Go's order."""
    document: dict[str, Any] = msgspec.to_builtins(struct)
    return {
        name: sorted_map(value) if isinstance(value, dict) else value
        for name, value in document.items()
        if name not in optional or value not in EMPTY or (name in ("Init", "StopTimeout") and value is not None)
    }


def network_settings(state: State, config: DaemonConfig, container: Container, version: Version) -> dict[str, Any]:
    """NetworkSettings. The default bridge's address stands at the top too, whatever the version: scripts of many years ask for it there."""
    endpoints = endpoints_of(state, container)
    networks = networks_json(state, container, endpoints, version)
    bridge = networks.get("bridge", {})
    key = ""
    if container.sandbox_id:
        name = "default" if container.host_config.network_mode == "host" else container.sandbox_id[:12]
        key = str(config.exec_root / "netns" / name)
    return {
        "SandboxID": container.sandbox_id,
        "SandboxKey": key,
        "Ports": ports_json(state, container, endpoints),
        "EndpointID": bridge.get("EndpointID", ""),
        "Gateway": bridge.get("Gateway", ""),
        "GlobalIPv6Address": bridge.get("GlobalIPv6Address", ""),
        "GlobalIPv6PrefixLen": bridge.get("GlobalIPv6PrefixLen", 0),
        "IPAddress": bridge.get("IPAddress", ""),
        "IPPrefixLen": bridge.get("IPPrefixLen", 0),
        "IPv6Gateway": bridge.get("IPv6Gateway", ""),
        "MacAddress": bridge.get("MacAddress", "") if bridge.get("EndpointID") else "",
        "Networks": networks,
    }


# -- lists


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
