"""The state to the picture of what should be there, for exactly the networks and sandboxes that a change touches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from . import firewall, zones
from .drivers import DRIVERS, Joined
from .links import linked_endpoints
from .model import Endpoint, Network, NetworkFacts, NetworkState, Protocol, Sandbox
from .options import bridge_options
from .picture import HostResolver, Item, Namespace, Picture
from .publishing import gateway_endpoints


def wanted(state: NetworkState, facts: NetworkFacts, *, networks: Iterable[str] = (), sandboxes: Iterable[str] = ()) -> Picture:
    """The items of these networks (ids) and sandboxes (ids); ids that are not there have none."""
    items: list[Item] = []
    for network_id in networks:
        if (network := state.networks.get(network_id)) is not None:
            items += network_items(network, facts)
    for sandbox_id in sandboxes:
        if (sandbox := state.sandboxes.get(sandbox_id)) is not None:
            items += sandbox_items(state, sandbox, facts)
    return Picture.of(items)


def everything(state: NetworkState, facts: NetworkFacts) -> Picture:
    """The items of all networks and sandboxes, and what belongs to none of them."""
    own = [HostResolver(*facts.host_resolver)] if facts.host_resolver is not None else []
    return wanted(state, facts, networks=state.networks, sandboxes=state.sandboxes) | Picture.of(own)


def network_items(network: Network, facts: NetworkFacts) -> Iterator[Item]:
    """What a network is made of, without its endpoints."""
    if network.config_only:
        return
    yield from DRIVERS[network.driver].network_items(network, facts)
    if zones.is_known(network, facts):
        yield zones.zone(network)
    if zones.has_names(network) and (host := zones.host_names(network, facts)) is not None:
        yield host


def namespaces(sandbox: Sandbox) -> tuple[Namespace, ...]:
    """The namespace of a sandbox's own, if it has one."""
    return (Namespace(sandbox.id),) if sandbox.mode in ("private", "none") else ()


def sandbox_items(state: NetworkState, sandbox: Sandbox, facts: NetworkFacts) -> Iterator[Item]:
    """A sandbox's namespace, its endpoints, ports, names and resolver; nothing for one that has no namespace of its own."""
    if not (own := namespaces(sandbox)):
        return
    yield from own
    endpoints = [state.endpoints[i] for i in state.sandbox_endpoints.get(sandbox.id, ())]
    bridges = tuple(state.networks[e.network_id].bridge for e in endpoints if state.networks[e.network_id].bridge)
    gateway4, gateway6 = gateway_endpoints(state, sandbox.id)
    for endpoint in endpoints:
        network = state.networks[endpoint.network_id]
        joined = Joined(endpoint=endpoint, bridges=bridges, hostname=sandbox.hostname, gateway4=endpoint is gateway4, gateway6=endpoint is gateway6)
        yield from DRIVERS[network.driver].endpoint_items(network, joined, facts)
        yield from link_items(state, sandbox, network, endpoint)
        if zones.is_known(network, facts) and zones.addresses(endpoint):
            yield zones.names(endpoint)
    if (resolver := zones.resolver(state, sandbox)) is not None:
        yield resolver


def link_items(state: NetworkState, sandbox: Sandbox, network: Network, endpoint: Endpoint) -> Iterator[Item]:
    """What a link opens where the network's containers may not talk; elsewhere a link is only a name."""
    links = endpoint.links if zones.has_names(network) else sandbox.host_links
    if links and network.driver == "bridge" and not bridge_options(network).icc:
        for _, target in linked_endpoints(state, network.id, links):
            yield from firewall.link_elements(endpoint, target, open_ports(state, target))


def open_ports(state: NetworkState, endpoint: Endpoint) -> tuple[tuple[int, Protocol], ...]:
    """The ports that a linked container exposes or publishes."""
    sandbox = state.sandboxes[endpoint.sandbox_id]
    return tuple(sorted({*sandbox.exposed, *((p.container_port + n, p.protocol) for p in sandbox.ports for n in range(p.count))}))
