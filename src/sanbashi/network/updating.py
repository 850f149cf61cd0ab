"""A network whose labels, name servers or policy change while containers are on it; a sandbox whose published ports do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from ..errors import Forbidden, Invalid
from ..records import dataclass
from .drivers import DRIVERS
from .indexes import with_network, with_sandbox
from .model import PREDEFINED, Network, NetworkFacts, NetworkState, PortSpec, Protocol
from .options import ANTI_SPOOFING, HOST_INPUT, NAME_SERVERS, PREFIX, bridge_options, name_servers
from .publishing import publish

# What an element of a map, a setting of a link or the resolver decides. The rest is in the addresses that containers hold already.
LIVE = frozenset(
    {
        PREFIX + "bridge.enable_ip_masquerade",
        PREFIX + "bridge.enable_icc",
        PREFIX + "bridge.gateway_mode_ipv4",
        PREFIX + "bridge.gateway_mode_ipv6",
        PREFIX + "bridge.host_binding_ipv4",
        PREFIX + "bridge.trusted_host_interfaces",
        PREFIX + "container_iface_prefix",  # of interfaces to come
        PREFIX + "driver.mtu",
        PREFIX + "host_ipv4",
        PREFIX + "host_ipv6",
        ANTI_SPOOFING,
        HOST_INPUT,
        NAME_SERVERS,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkChange:
    """Labels and options to set; None takes one away. What is not named stays."""

    labels: Mapping[str, str | None] = field(default_factory=dict)
    options: Mapping[str, str | None] = field(default_factory=dict)


def update_network(state: NetworkState, network_id: str, change: NetworkChange, facts: NetworkFacts) -> tuple[NetworkState, Network, tuple[str, ...]]:
    """The state with a changed network, its sandboxes' ports where the network now says, the network, and warnings.

    Forbidden for a predefined network, Invalid for an option that cannot change, Failed where a port is taken.
    """
    old = state.networks[network_id]
    if old.name in PREDEFINED:
        raise Forbidden(f"{old.name} is a pre-defined network and cannot be updated", hint="it follows the daemon's settings")
    network = replace(old, labels=merged(old.labels, change.labels), options=merged(old.options, change.options))
    check_change(old, network)
    warnings = DRIVERS[network.driver].check(network)
    state = with_network(state, network)
    for endpoint_id in state.network_endpoints.get(network_id, {}).values():
        state = publish(state, state.endpoints[endpoint_id].sandbox_id, facts)
    return state, network, warnings


def check_change(old: Network, new: Network) -> None:
    """Invalid where an option of a network in use cannot be what is asked."""
    differ = sorted(k for k in {*old.options, *new.options} if old.options.get(k) != new.options.get(k))
    live = LIVE if old.driver == "bridge" else {NAME_SERVERS}
    for key in differ:
        if key not in live:
            raise Invalid(f"option {key} of network {old.name} cannot be changed", hint="those that can: " + ", ".join(sorted(live)))
    name_servers(new)
    if old.driver == "bridge":
        before, after = bridge_options(old), bridge_options(new)
        for version in (4, 6):
            if before.mode(version) != after.mode(version) and "isolated" in (before.mode(version), after.mode(version)):
                hint = "an isolated network has no gateway address"
                raise Invalid("gateway mode 'isolated' can only be chosen when a network is created", hint=hint)


def merged(old: Mapping[str, str], change: Mapping[str, str | None]) -> dict[str, str]:
    """The old values with the changed ones; None takes one away."""
    return {k: v for k, v in {**old, **change}.items() if v is not None}


def with_ports(
    state: NetworkState,
    sandbox_id: str,
    ports: tuple[PortSpec, ...],
    exposed: tuple[tuple[int, Protocol], ...],
    facts: NetworkFacts,
    *,
    avoid: frozenset[tuple[str, int]] = frozenset(),
) -> NetworkState:
    """The state with a running sandbox's wished publications replaced; what stays keeps its number. Failed where a port is taken."""
    state = with_sandbox(state, replace(state.sandboxes[sandbox_id], ports=ports, exposed=exposed))
    return publish(state, sandbox_id, facts, avoid=avoid)
