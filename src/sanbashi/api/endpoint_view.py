"""What a container has of its networks as JSON: its endpoints and its ports."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from ..containers.model import Container
from ..daemon.state import State
from ..network.model import PREDEFINED, Endpoint, EndpointWish
from .lease_view import lease_json
from .messages import Version
from .times import ZERO


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
        for binding in (b for run in endpoint.ports for b in run.each()):
            key = f"{binding.container_port}/{binding.protocol}"
            rows = found.get(key) or []
            # On a routed network nothing is translated, so there is no port of the host's.
            found[key] = [*rows, {"HostIp": str(binding.host_ip), "HostPort": str(binding.host_port or "")}]
    return dict(sorted(found.items()))
