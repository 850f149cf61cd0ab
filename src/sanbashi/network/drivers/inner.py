"""What every driver with interfaces does the same within a container's namespace: settings, addresses, routes."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from ..model import Endpoint, IPAddress, IPInterface, Network, NetworkFacts
from ..options import bridge_options, endpoint_sysctls
from ..picture import Address, Item, Route, Sysctl, Up
from .driver import Joined

DEFAULT4, DEFAULT6 = IPv4Network("0.0.0.0/0"), IPv6Network("::/0")


def inner_items(network: Network, joined: Joined, facts: NetworkFacts) -> Iterator[Item]:
    """The settings of an endpoint's interface, its addresses, and the routes by it."""
    endpoint, options = joined.endpoint, bridge_options(network)
    inside, interface = endpoint.sandbox_id, endpoint.interface
    if facts.ip6_available:
        # As Docker does: without an IPv6 address the interface speaks no IPv6 at all.
        yield Sysctl(inside, f"net/ipv6/conf/{interface}/disable_ipv6", "0" if has_ipv6(endpoint) else "1")
    for path, value in endpoint_sysctls(endpoint.driver_options):
        yield Sysctl(inside, path.replace("IFNAME", interface), value)
    for address in own_interfaces(endpoint):
        yield Address(inside, interface, address)
    yield Up(inside, interface, endpoint=True)
    if not options.no_default_route:
        if joined.gateway4:
            yield Route(inside, DEFAULT4, interface, via=endpoint.gateway4)
        if joined.gateway6:
            yield Route(inside, DEFAULT6, interface, via=endpoint.gateway6)
    spoken = {4: endpoint.ipv4 is not None, 6: endpoint.ipv6 is not None}
    yield from (Route(inside, to, interface, via=via) for to, via in options.routes if spoken[via.version])


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
