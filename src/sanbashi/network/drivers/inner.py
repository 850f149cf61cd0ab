"""What every driver with interfaces does the same within a container's namespace: settings, addresses, routes."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from ..leasing import has_leases, identity
from ..model import Endpoint, IPAddress, IPInterface, Network, NetworkFacts, carries_ipv6
from ..options import BridgeOptions, bridge_options, endpoint_sysctls
from ..picture import Address, Item, Leasing, Mtu, Route, Sysctl, Up
from .driver import Joined

DEFAULT4, DEFAULT6 = IPv4Network("0.0.0.0/0"), IPv6Network("::/0")


def inner_items(network: Network, joined: Joined, facts: NetworkFacts) -> Iterator[Item]:
    """The settings of an endpoint's interface, its addresses, and the routes by it."""
    endpoint, options = joined.endpoint, bridge_options(network)
    inside, interface = endpoint.sandbox_id, endpoint.interface
    if facts.ip6_available and carries_ipv6(options.mtu):
        # As Docker does: without an IPv6 address the interface speaks no IPv6 at all.
        yield Sysctl(inside, f"net/ipv6/conf/{interface}/disable_ipv6", "0" if has_ipv6(endpoint) else "1")
    for path, value in endpoint_sysctls(endpoint.driver_options):
        yield Sysctl(inside, path.replace("IFNAME", interface), value)
    announce = (options.announcements, options.announce_every) if endpoint.lease is not None else (0, 0)
    for address in own_interfaces(endpoint):
        yield Address(inside, interface, address, announce)
    yield Up(inside, interface, endpoint=True)
    if not options.no_default_route:
        if joined.gateway4:
            yield Route(inside, DEFAULT4, interface, via=endpoint.gateway4)
        if joined.gateway6:
            yield Route(inside, DEFAULT6, interface, via=endpoint.gateway6)
    own = {held.version: held.ip for held in (endpoint.ipv4, endpoint.ipv6) if held is not None}
    # Whom a route leads through has no such route himself.
    yield from (Route(inside, to, interface, via=via) for to, via in options.routes if own.get(via.version, via) != via)
    if has_leases(network):
        yield from leased_items(network, joined, options)


def leased_items(network: Network, joined: Joined, options: BridgeOptions) -> Iterator[Item]:
    """The keeper's task for an endpoint whose address is leased, and what came with the lease."""
    endpoint, lease = joined.endpoint, joined.endpoint.lease
    yield Leasing(
        sandbox=endpoint.sandbox_id,
        endpoint=endpoint.id,
        link=endpoint.interface,
        client_id=identity(endpoint.container_id, network.id),
        hostname=joined.hostname,
        ask=endpoint.asked4,
        insist=endpoint.insists,
        lease=lease,
    )
    if lease is None:
        return
    if lease.mtu and not options.mtu:
        yield Mtu(endpoint.sandbox_id, endpoint.interface, lease.mtu)
    # Two servers may name the same destination; the network that was joined first goes before.
    routes = dict(lease.routes)
    gateways = [via for via in (*routes.values(), lease.router) if via is not None]
    direct = [to for to, via in routes.items() if via is None]
    for gateway in dict.fromkeys(gateways):
        if gateway not in lease.address.network and not any(gateway in to for to in direct):
            yield Route(endpoint.sandbox_id, IPv4Network(gateway), endpoint.interface, metric=endpoint.order)
    for to, via in routes.items():
        if to.prefixlen == 0 and options.no_default_route:
            continue
        if via is not None or to != lease.address.network:
            yield Route(endpoint.sandbox_id, to, endpoint.interface, via=via, metric=endpoint.order)


def has_ipv6(endpoint: Endpoint) -> bool:
    """Whether an interface has an address of that family, be it a link-local one that was asked for."""
    return endpoint.ipv6 is not None or any(a.version == 6 for a in endpoint.link_local)


def own_interfaces(endpoint: Endpoint) -> Iterator[IPInterface]:
    """The addresses on an endpoint's interface; link-local ones with their usual prefix."""
    yield from (i for i in (endpoint.ipv4, endpoint.ipv6) if i is not None)
    for address in endpoint.link_local:
        yield on_link(address, 16 if address.version == 4 else 64)


def on_link(address: IPAddress, length: int) -> IPInterface:
    """An address with its prefix length."""
    return IPv4Interface((address, length)) if address.version == 4 else IPv6Interface((address, length))
