"""The bridge driver: a Linux bridge a network, a veth pair an endpoint, and our tables between it and the world."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

from ...errors import Failed, Invalid
from ..firewall import bridge_addresses, endpoint_elements, families, network_elements
from ..model import Endpoint, IPAddress, IPInterface, Network, NetworkFacts
from ..names import link_alias
from ..options import bridge_options, endpoint_sysctls, unknown_options
from ..picture import Address, Bridge, Forwarder, HeldPort, Item, Neighbour, Route, Sysctl, Up, Veth
from .driver import Driver, Joined

DEFAULT4, DEFAULT6 = IPv4Network("0.0.0.0/0"), IPv6Network("::/0")
LOOPBACK6 = IPv6Network("::1/128")


def check(network: Network) -> tuple[str, ...]:
    """Docker's refusals of options, and a sentence for each option that cannot have its full effect."""
    options = bridge_options(network)
    modes = {version: options.mode(version) for version in families(network)}
    if "isolated" in modes.values() and not network.internal:
        raise Failed("gateway mode 'isolated' can only be used for an internal network")
    if options.source4 is not None and options.mode4 == "routed":
        raise Invalid("gateway mode 'routed' translates nothing, so that host_ipv4 has no meaning")
    warnings = list(unknown_options(network.options))
    if not network.internal and len(set(modes.values())) > 1:
        warnings.append(
            f"the gateway modes of IPv4 ({options.mode4}) and IPv6 ({options.mode6}) differ: direct access follows the stricter of the two"
        )
    return tuple(warnings)


def network_items(network: Network, facts: NetworkFacts) -> Iterator[Item]:
    """The bridge, its addresses and settings, the network's elements."""
    bridge = network.bridge
    yield Bridge(bridge, link_alias(network.id), bridge_options(network).mtu, network.adopted)
    addresses = bridge_addresses(network)
    if addresses:
        # Only our bridges, never an uplink; chain `arriving` takes away what it would open.
        yield Sysctl("", f"net/ipv4/conf/{bridge}/route_localnet", "1")
    if facts.ip6_available and (network.enable_ipv6 or not addresses):
        yield Sysctl("", f"net/ipv6/conf/{bridge}/disable_ipv6", "0" if addresses else "1")
    for subnet in network.subnets:
        if subnet.gateway in addresses and subnet.gateway is not None:
            yield Address("", bridge, on_link(subnet.gateway, subnet.subnet.prefixlen))
    yield Up("", bridge)
    if network.enable_ipv6 and facts.ip6_available and addresses:
        # An answer translated back to ::1 is looked up strictly on the link that it came in by.
        yield Route("", LOOPBACK6, bridge, metric=2048, kind="local", table="local")
    yield from network_elements(network)


def endpoint_items(network: Network, joined: Joined, facts: NetworkFacts) -> Iterator[Item]:
    """The veth pair, what is set inside the namespace, the neighbours that the host knows, the endpoint's elements and ports."""
    endpoint = joined.endpoint
    inside, interface, outside = endpoint.sandbox_id, endpoint.interface, endpoint.host_interface
    yield Veth(
        name=outside,
        alias=link_alias(network.id, endpoint.id),
        master=network.bridge,
        namespace=inside,
        peer=interface,
        mac=endpoint.mac,
        mtu=bridge_options(network).mtu,
        hairpin=facts.br_netfilter,
    )
    if facts.ip6_available:
        # As Docker does: without an IPv6 address the interface speaks no IPv6 at all.
        yield Sysctl(inside, f"net/ipv6/conf/{interface}/disable_ipv6", "0" if endpoint.ipv6 is not None else "1")
    for path, value in endpoint_sysctls(endpoint.driver_options):
        yield Sysctl(inside, path.replace("IFNAME", interface), value)
    for address in own_interfaces(endpoint):
        yield Address(inside, interface, address)
    yield Up(inside, interface, endpoint=True)
    yield Up("", outside, endpoint=True)
    if joined.gateway4:
        yield Route(inside, DEFAULT4, interface, via=endpoint.gateway4)
    if joined.gateway6:
        yield Route(inside, DEFAULT6, interface, via=endpoint.gateway6)
    versions = {address.version for address in bridge_addresses(network)}
    for held in (endpoint.ipv4, endpoint.ipv6):
        if held is not None and held.version in versions:
            yield Neighbour("", network.bridge, held.ip, endpoint.mac)
    yield from endpoint_elements(network, endpoint, joined.bridges, host_input=facts.host_input)
    yield from held_ports(endpoint)


def own_interfaces(endpoint: Endpoint) -> Iterator[IPInterface]:
    """The addresses on an endpoint's interface; link-local ones with their usual prefix."""
    yield from (i for i in (endpoint.ipv4, endpoint.ipv6) if i is not None)
    for address in endpoint.link_local:
        yield on_link(address, 16 if address.version == 4 else 64)


def on_link(address: IPAddress, length: int) -> IPInterface:
    """An address with its prefix length."""
    return IPv4Interface((address, length)) if address.version == 4 else IPv6Interface((address, length))


def held_ports(endpoint: Endpoint) -> Iterator[Item]:
    """The host ports that the keeper holds; what the kernel cannot translate, from IPv6 to an IPv4-only container, it forwards as well."""
    for p in endpoint.ports:
        if not p.host_port:
            continue
        # There is no forwarding of SCTP in user space; the port is held all the same.
        if p.host_ip.version == 6 and endpoint.ipv6 is None and endpoint.ipv4 is not None and p.protocol != "sctp":
            yield Forwarder(p.protocol, p.host_ip, p.host_port, endpoint.ipv4.ip, p.container_port)
        else:
            yield HeldPort(p.protocol, p.host_ip, p.host_port)


BRIDGE = Driver(name="bridge", links=True, check=check, network_items=network_items, endpoint_items=endpoint_items)
