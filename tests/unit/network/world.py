"""Short words for the tests of the network: facts, networks and containers with names that read."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Network, ip_address, ip_network

from sanbashi.network import commands
from sanbashi.network.model import (
    Endpoint,
    EndpointWish,
    Network,
    NetworkFacts,
    NetworkRequest,
    NetworkState,
    PortSpec,
    Sandbox,
    SubnetRequest,
)

POOLS = (
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
)
FACTS = NetworkFacts(pools=tuple((ip_network(base), size) for base, size in POOLS), ephemeral=(32768, 60999), ula=IPv6Network("fd9c:f72:1cca::/48"))
WHEN = "2026-11-23T17:45:20.520830267Z"


def number(name: str) -> str:
    """64 hex digits that stand for a name."""
    return hashlib.sha256(name.encode()).hexdigest()


def fresh(facts: NetworkFacts = FACTS, **settings: object) -> NetworkState:
    """A state with bridge, host and none."""
    ids = {name: number(name) for name in ("bridge", "host", "none")}
    return commands.predefined_networks(NetworkState(), facts, ids=ids, created=WHEN, **settings)  # type: ignore[arg-type]


def create(
    state: NetworkState, name: str, *subnets: str, facts: NetworkFacts = FACTS, gateway: str = "", ip_range: str = "", **fields: object
) -> tuple[NetworkState, Network]:
    """A network with subnets written as text; gateway and range belong to the first."""
    requests = [SubnetRequest(subnet=ip_network(s)) for s in subnets]
    if requests and (gateway or ip_range):
        requests[0] = replace(requests[0], gateway=ip_address(gateway) if gateway else None, ip_range=ip_network(ip_range) if ip_range else None)
    request = NetworkRequest(name=name, subnets=tuple(requests), **fields)  # type: ignore[arg-type]
    state, network, _ = commands.create_network(state, request, facts, id=number(name), created=WHEN)
    return state, network


def open_container(state: NetworkState, name: str, *ports: PortSpec, **fields: object) -> NetworkState:
    """A container's sandbox; both ids are made of the name."""
    sandbox = Sandbox(id=number(f"sandbox {name}"), container_id=number(name), hostname=number(name)[:12], ports=ports, resolver_port=40053, **fields)  # type: ignore[arg-type]
    return commands.open_sandbox(state, sandbox)


def sandbox_of(name: str) -> str:
    return number(f"sandbox {name}")


def join(
    state: NetworkState,
    container: str,
    network: str,
    *,
    ip: str = "",
    facts: NetworkFacts = FACTS,
    links: tuple[tuple[str, str], ...] = (),
    **wish: object,
) -> tuple[NetworkState, Endpoint]:
    """A container joins a network; what is random is made of the names."""
    made = number(f"{container} {network}")
    address = ip_address(ip) if ip else None
    asked = {"ipv4" if isinstance(address, IPv4Address) else "ipv6": address} if address else {}
    return commands.join(
        state,
        sandbox_of(container),
        state.network_names[network],
        EndpointWish(network=network, **asked, **wish),  # type: ignore[arg-type]
        facts,
        endpoint_id=made,
        container_name=container,
        short_id=number(container)[:12],
        hostname=number(container)[:12],
        mac="02:" + ":".join(made[i : i + 2] for i in range(0, 10, 2)),
        host_interface="veth" + made[:7],
        links=links,
    )


def run(state: NetworkState, container: str, network: str, *ports: PortSpec, facts: NetworkFacts = FACTS, **wish: object) -> NetworkState:
    """A container on one network with its ports published."""
    state, _ = join(open_container(state, container, *ports), container, network, facts=facts, **wish)  # type: ignore[arg-type]
    return commands.publish(state, sandbox_of(container), facts)


def endpoint(state: NetworkState, container: str, network: str) -> Endpoint:
    """A container's endpoint in a network."""
    return state.endpoints[state.network_endpoints[state.network_names[network]][number(container)]]
