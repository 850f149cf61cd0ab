"""Names: what an endpoint is called in its network's zone, and what the resolver of a sandbox sees and asks."""

from __future__ import annotations

from collections.abc import Iterator

from .firewall import bridge_addresses
from .leasing import leased_domains, leased_servers
from .links import linked_endpoints
from .model import PREDEFINED, Endpoint, IPAddress, Network, NetworkFacts, NetworkState, Sandbox
from .options import name_servers
from .parents import closed, routes_by_device
from .picture import THE_HOST, Names, Resolver, Zone
from .publishing import endpoints_of

# Docker's users know the first from Docker Desktop; here it is answered without --add-host.
HOST_NAMES = ("host.docker.internal", "host.sanbashi.internal")


def has_names(network: Network) -> bool:
    """Whether containers find each other by name: on every network but the predefined ones."""
    return network.name not in PREDEFINED


def is_known(network: Network, facts: NetworkFacts) -> bool:
    """Whether the keeper knows a network's names: also those of the default network where the host asks for names."""
    return has_names(network) or (facts.host_resolver is not None and network.name == "bridge")


def zone(network: Network) -> Zone:
    """A network's zone."""
    return Zone(network.id, network.name)


def host_names(network: Network, facts: NetworkFacts) -> Names | None:
    """What the host is called on a network: at the daemon's --host-gateway-ip, else at its own address there; None where it has none."""
    if network.driver != "bridge" or not bridge_addresses(network):
        return None
    return Names(network.id, THE_HOST, HOST_NAMES, facts.host_gateways or bridge_addresses(network))


def names(endpoint: Endpoint) -> Names:
    """An endpoint's names in its network's zone; on the default network, where containers have none for each other, those the host asks by."""
    own = endpoint.names or (endpoint.container_name, endpoint.container_id[:12])
    return Names(endpoint.network_id, endpoint.id, own, addresses(endpoint))


def addresses(endpoint: Endpoint) -> tuple[IPAddress, ...]:
    """IPv4 first."""
    return tuple(i.ip for i in (endpoint.ipv4, endpoint.ipv6) if i is not None)


def resolver(state: NetworkState, sandbox: Sandbox) -> Resolver | None:
    """The resolver of a sandbox, None where no network of it has names.

    Networks are looked through in the order of gateways. From an internal network nothing is asked through the host; servers that the
    user named are asked from the container's own namespace.
    """
    endpoints = endpoints_of(state, sandbox.id)
    named = [e for e in endpoints if has_names(state.networks[e.network_id])]
    if not named:
        return None
    servers = sandbox.dns or next(filter(None, (name_servers(state.networks[e.network_id]) for e in named)), ()) or leased_servers(state, endpoints)
    return Resolver(
        sandbox=sandbox.id,
        networks=tuple(e.network_id for e in named),
        upstreams=servers,
        follow_host=not servers,
        forward=any(leads_out(state.networks[e.network_id], e) for e in endpoints),
        links=tuple(links(state, named)),
        ndots_set=any(option.partition(":")[0] == "ndots" for option in sandbox.dns_options),
        search=tuple(domain for domain in sandbox.dns_search or leased_domains(endpoints) if domain != "."),
        port=sandbox.resolver_port,
    )


def leads_out(network: Network, endpoint: Endpoint) -> bool:
    """Whether an endpoint reaches the outside; an internal one may have a gateway, for answers alone."""
    if network.internal:
        return False
    return endpoint.gateway4 is not None or endpoint.gateway6 is not None or (routes_by_device(network) and not closed(network))


def links(state: NetworkState, endpoints: list[Endpoint]) -> Iterator[tuple[str, str, tuple[IPAddress, ...]]]:
    """(alias, network id, addresses) of each link whose target is there."""
    for endpoint in endpoints:
        for alias, target in linked_endpoints(state, endpoint.network_id, endpoint.links):
            yield alias, endpoint.network_id, addresses(target)
