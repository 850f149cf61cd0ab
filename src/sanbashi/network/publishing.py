"""Which endpoint of a sandbox is its gateway, and the ports that are published there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

from ..errors import Failed
from .indexes import with_endpoint
from .model import Endpoint, IPAddress, NetworkFacts, NetworkState, PortBinding
from .options import bridge_options
from .ports import Assigning, Place, Taken, assigned_first, runs

ANY4, ANY6 = IPv4Address("0.0.0.0"), IPv6Address("::")


def endpoints_of(state: NetworkState, sandbox_id: str) -> tuple[Endpoint, ...]:
    """A sandbox's endpoints, the best gateway first: by priority, not internal, with gateways of both families, by network name."""
    return tuple(sorted((state.endpoints[i] for i in state.sandbox_endpoints.get(sandbox_id, ())), key=lambda e: preference(state, e)))


def preference(state: NetworkState, endpoint: Endpoint) -> tuple[object, ...]:
    """The order of libnetwork's Endpoint.Less."""
    network = state.networks[endpoint.network_id]
    both = endpoint.gateway4 is not None and endpoint.gateway6 is not None
    # One that must not be the default route is the way out only where there is no other.
    apart = bridge_options(network).no_default_route
    return apart, -endpoint.gateway_priority, network.internal, not both, network.name


def gateway_endpoints(state: NetworkState, sandbox_id: str) -> tuple[Endpoint | None, Endpoint | None]:
    """The endpoint through which a sandbox's IPv4 goes out, and the one for IPv6; None where there is none."""
    ordered = endpoints_of(state, sandbox_id)
    return next((e for e in ordered if e.gateway4 is not None), None), next((e for e in ordered if e.gateway6 is not None), None)


def carrier(state: NetworkState, sandbox_id: str, address: IPAddress) -> Endpoint:
    """The endpoint of a sandbox on which a host address is published: host IPv6 falls back to IPv4."""
    gateways = gateway_endpoints(state, sandbox_id)
    return next(filter(None, gateways[address.version == 6 :]), None) or next(filter(None, gateways))


def publish(
    state: NetworkState,
    sandbox_id: str,
    facts: NetworkFacts,
    *,
    avoid: frozenset[tuple[str, int]] = frozenset(),
    prefer: Iterable[PortBinding] = (),
) -> NetworkState:
    """The state with the sandbox's wished ports on its gateway endpoints, and on no other of its endpoints.

    What stands is kept, ephemeral numbers too; of those that are to be chosen, the numbers of `prefer` where they are free. `avoid`:
    (protocol, port) found busy on the host. Failed, in Docker's words, where a port is taken.
    """
    sandbox = state.sandboxes[sandbox_id]
    endpoints = [state.endpoints[i] for i in state.sandbox_endpoints.get(sandbox_id, ())]
    standing = [p for e in endpoints for p in e.ports]
    if not sandbox.ports and not standing:
        return state
    standing += prefer
    for endpoint in endpoints:
        state = with_endpoint(state, replace(endpoint, ports=()))
    gateway4, gateway6 = gateway_endpoints(state, sandbox_id)
    assigning = Assigning(state, facts, avoid, standing)
    bindings: dict[str, list[PortBinding]] = {}
    where: dict[IPAddress | None, list[tuple[Endpoint, Place]]] = {}
    for spec in sorted(sandbox.ports, key=assigned_first):
        if (placed := where.get(spec.host_ip)) is None:
            placed = where[spec.host_ip] = list(places(state, spec.host_ip, gateway4, gateway6, facts))
        try:
            addresses = [place.host_ip for _, place in placed if place.translated]
            port = assigning.assign(spec, addresses) if addresses else 0
        except Taken as taken:
            raise cannot_connect(placed[0][0], str(taken), taken.hint(state)) from taken
        except Failed as failed:
            raise cannot_connect(placed[0][0], failed.message, failed.hint) from failed
        for endpoint, place in placed:
            bindings.setdefault(endpoint.id, []).extend(place.bindings(spec, port))
    for endpoint in endpoints:
        state = with_endpoint(state, replace(endpoint, ports=tuple(runs(bindings.get(endpoint.id, ())))))
    return state


def places(
    state: NetworkState, wanted: IPAddress | None, gateway4: Endpoint | None, gateway6: Endpoint | None, facts: NetworkFacts
) -> Iterator[tuple[Endpoint, Place]]:
    """On which endpoint and host address a publication on this address stands (None: wherever it may), for each family that it is for.

    Host IPv6 of a container without a gateway of that family goes to its IPv4 endpoint: the forwarder serves it.
    """
    if gateway4 is not None and publishes(state, gateway4):
        options = bridge_options(state.networks[gateway4.network_id])
        default = options.host_binding
        # A network with a host address of its own publishes on that alone.
        address = wanted if wanted is not None else default if default is not None and default.version == 4 else ANY4
        if address.version == 4 and (default is None or default.version == 4 or wanted is not None):
            yield gateway4, Place(address, options.mode4 != "routed")
    carrier = gateway6 or gateway4
    if carrier is not None and publishes(state, carrier) and facts.ip6_available:
        options = bridge_options(state.networks[carrier.network_id])
        default = options.host_binding
        address6 = wanted if wanted is not None else ANY6 if default is None or default == ANY4 else default
        if address6.version == 6:
            routed = gateway6 is not None and options.mode6 == "routed"
            if not (gateway6 is None and options.mode4 == "routed"):
                yield carrier, Place(address6, not routed)


def publishes(state: NetworkState, endpoint: Endpoint) -> bool:
    """Whether ports can be published on an endpoint's network: only a bridge stands between it and the world."""
    return state.networks[endpoint.network_id].driver == "bridge"


def cannot_connect(endpoint: Endpoint, words: str, hint: str) -> Failed:
    """Docker's sentence around what went wrong with a port."""
    return Failed(f"driver failed programming external connectivity on endpoint {endpoint.container_name} ({endpoint.id}): {words}", hint=hint)
