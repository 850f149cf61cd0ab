"""Containers as JSON, as inspect shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..containers.model import Container, ContainerState, Health, HostConfig, MountPoint
from ..daemon.config import DaemonConfig
from ..daemon.state import State
from ..network.links import parse_link
from ..network.model import PREDEFINED
from .endpoint_view import endpoints_of, networks_json, ports_json
from .messages import Version
from .network_view import sorted_map
from .times import ZERO

# What Go leaves out of the two configurations where it is empty (omitempty).
CONFIG_OPTIONAL = frozenset(
    {"ExposedPorts", "Healthcheck", "ArgsEscaped", "NetworkDisabled", "MacAddress", "OnBuild", "StopSignal", "StopTimeout", "Shell"}
)
HOST_OPTIONAL = frozenset({"Annotations", "StorageOpt", "Tmpfs", "Sysctls", "Mounts", "Init"})
EMPTY: tuple[Any, ...] = (None, False, "", (), [], {})


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
        "HostConfig": {**host_config_json(container.host_config), "Links": links_json(state, container)},
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


def links_json(state: State, container: Container) -> list[str] | None:
    """Links on the default bridge, as Docker shows them: both containers by their names of today. Those on other networks stand with the networks."""
    host, known = container.host_config, dict(container.linked)
    shown = []
    for name, alias in map(parse_link, (host.links or ()) if host.network_mode in (*PREDEFINED, "default", "") else ()):
        target = state.containers.get(known.get(alias, "")) or state.containers.get(state.container_names.get(name, ""))
        if target is not None:
            shown.append(f"/{target.name}:/{container.name}/{alias}")
    return shown or None


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
