"""The bridge driver: a Linux bridge a network, a veth pair an endpoint, and our tables between it and the world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv6Network

from ...errors import Failed, Forbidden, Invalid
from ..firewall import LENT6, OWN6, bridge_addresses, by_host_ip, endpoint_elements, families, network_elements
from ..ipam import default_gateway
from ..leasing import check_network, has_leases
from ..model import Endpoint, IPAddress, Network, NetworkFacts, NetworkState, Subnet, carries_ipv6
from ..names import bridge_name, link_alias
from ..options import bridge_options, check_mtu, name_servers, unknown_options
from ..picture import Address, Bridge, Forwarder, HeldPort, Item, Neighbour, Route, Sysctl, Up, Veth
from .driver import Driver, Joined
from .inner import inner_items, on_link


def check(network: Network) -> tuple[str, ...]:
    """Docker's refusals of options, and a sentence for each option that cannot have its full effect."""
    options = bridge_options(network)
    check_mtu(options.mtu, network.enable_ipv6)
    if has_leases(network):
        check_network(network)
    modes = {version: options.mode(version) for version in families(network)}
    if "isolated" in (options.mode4, options.mode6) and not network.internal:
        raise Failed("gateway mode 'isolated' can only be used for an internal network")
    if options.source4 is not None and options.mode4 == "routed":
        raise Invalid("gateway mode 'routed' translates nothing, so that host_ipv4 has no meaning")
    if options.inbound and "isolated" in modes.values():
        raise Invalid("gateway mode 'isolated' takes the host's address off the bridge, so that nothing can come in (io.sanbashi.inbound)")
    name_servers(network)
    warnings = list(unknown_options(network.options))
    if not network.internal and len(set(modes.values())) > 1:
        warnings.append(
            f"the gateway modes of IPv4 ({options.mode4}) and IPv6 ({options.mode6}) differ: direct access follows the stricter of the two"
        )
    return tuple(warnings)


def place(state: NetworkState, network: Network, facts: NetworkFacts) -> Network:
    """The network with its bridge; one that is there and not ours is adopted with its addresses. Forbidden where another network has it."""
    name = bridge_options(network).name
    if name:
        for other in state.networks.values():
            if other.bridge == name and other.id != network.id:
                raise Forbidden(
                    f"cannot create network {network.id} ({name}): conflicts with network {other.id} ({other.bridge}): networks have same bridge name"
                )
    adopted = name in facts.links_present
    if bridge_options(network).default_bridge and not adopted:
        raise Forbidden(
            f"bridge device with non default name {name or bridge_name(network.id)} must be created manually",
            hint="the option default_bridge belongs to the network bridge alone; which device that has says --bridge of the daemon",
        )
    return replace(network, bridge=name or bridge_name(network.id), adopted=adopted, found=facts.addresses.get(name, ()) if adopted else ())


def reserves_gateway(network: Network, version: int) -> bool:
    """Not where the network is isolated, nor where an internal one has no use for it."""
    options = bridge_options(network)
    return options.mode(version) != "isolated" and not (version == 4 and options.inhibit_ipv4 and network.internal)


def way_out(network: Network, subnet: Subnet) -> IPAddress | None:
    """The gateway. On an internal network that takes connections from outside the answers need it; what else leaves is dropped."""
    return None if network.internal and not bridge_options(network).inbound else default_gateway(subnet)


def network_items(network: Network, facts: NetworkFacts) -> Iterator[Item]:
    """The bridge, its addresses and settings, the network's elements."""
    bridge = network.bridge
    yield Bridge(bridge, link_alias(network.id), bridge_options(network).mtu, network.adopted)
    addresses = bridge_addresses(network)
    if addresses:
        # Only our bridges, never an uplink; chain `arriving` takes away what it would open.
        yield Sysctl("", f"net/ipv4/conf/{bridge}/route_localnet", "1")
    if facts.ip6_available and carries_ipv6(bridge_options(network).mtu) and (network.enable_ipv6 or (not addresses and not network.adopted)):
        yield Sysctl("", f"net/ipv6/conf/{bridge}/disable_ipv6", "0" if addresses else "1")
    for subnet in network.subnets:
        if subnet.gateway in addresses and subnet.gateway is not None:
            held = on_link(subnet.gateway, subnet.subnet.prefixlen)
            # What was on an adopted bridge before us stays when we go.
            if held not in network.found:
                yield Address("", bridge, held)
    yield Up("", bridge)
    if has_leases(network):
        # The network outside: what is forwarded to it, translated or let in is the host's own affair.
        return
    if network.enable_ipv6 and facts.ip6_available and addresses:
        # An answer translated back to ::1 is looked up strictly on the link that it came in by. The other is what its client is lent where
        # br_netfilter is on, which others may turn on at any time.
        for own in (OWN6, LENT6):
            yield Route("", IPv6Network(own), bridge, metric=2048, kind="local", table="local")
    yield from network_elements(network)


def endpoint_items(network: Network, joined: Joined, facts: NetworkFacts) -> Iterator[Item]:
    """The veth pair, what is set inside the namespace, the neighbours that the host knows, the endpoint's elements and ports."""
    endpoint, options = joined.endpoint, bridge_options(network)
    inside, interface, outside = endpoint.sandbox_id, endpoint.interface, endpoint.host_interface
    yield Veth(
        name=outside,
        alias=link_alias(network.id, endpoint.id),
        master=network.bridge,
        namespace=inside,
        peer=interface,
        mac=endpoint.mac,
        mtu=options.mtu,
        hairpin=facts.br_netfilter or facts.br_netfilter6,
        announce=(options.announcements, options.announce_every),
    )
    yield from inner_items(network, joined, facts)
    yield Up("", outside, endpoint=True)
    versions = {address.version for address in bridge_addresses(network)}
    for held in (endpoint.ipv4, endpoint.ipv6):
        if held is not None and held.version in versions:
            yield Neighbour("", network.bridge, held.ip, endpoint.mac)
    yield from endpoint_elements(
        network, endpoint, joined.bridges, host_input=facts.host_input, direct=facts.direct_routing, own6=not facts.br_netfilter6
    )
    yield from held_ports(endpoint)


def held_ports(endpoint: Endpoint) -> Iterator[Item]:
    """The host ports that the keeper holds, or forwards where the kernel cannot translate."""
    for host_ip, ports in by_host_ip(endpoint.ports):
        target = served(endpoint, host_ip)
        for p in ports:
            if not p.host_port:
                continue
            # There is no forwarding of SCTP in user space; the port is held all the same.
            if target is not None and p.protocol != "sctp":
                yield Forwarder(p.protocol, host_ip, p.host_port, target, p.container_port, p.count)
            else:
                yield HeldPort(p.protocol, host_ip, p.host_port, p.count)


def served(endpoint: Endpoint, host_ip: IPAddress) -> IPAddress | None:
    """Where the forwarder has to lead ports of a host address: IPv6 of an IPv4-only container."""
    return endpoint.ipv4.ip if host_ip.version == 6 and endpoint.ipv6 is None and endpoint.ipv4 is not None else None


BRIDGE = Driver(
    name="bridge",
    links=True,
    publishes=True,
    host_ends=True,
    check=check,
    place=place,
    reserves_gateway=reserves_gateway,
    way_out=way_out,
    network_items=network_items,
    endpoint_items=endpoint_items,
)
