"""The macvlan and ipvlan drivers: interfaces straight in the container's namespace, on a link of the host; the network outside is the network.

No bridge, no translation, no published ports; the host itself is not reached through its own parent link, as the kernel has it.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..ipam import default_gateway
from ..leasing import check_network, has_leases
from ..model import IPAddress, Network, NetworkFacts, Subnet
from ..names import link_alias
from ..options import bridge_options, check_mtu
from ..parents import closed, parent_name, parent_options, placed, routes_by_device, unknown_parent_options, vlan_of
from ..picture import Item, Parent, Route, Sublink, Up
from .driver import Driver, Joined
from .inner import DEFAULT4, DEFAULT6, inner_items

LAST = 2048  # metric: behind every route through a gateway, in both families


def check(network: Network) -> tuple[str, ...]:
    """Docker's refusals of options, and a sentence for each option without effect."""
    check_mtu(parent_options(network).mtu, network.enable_ipv6)
    if has_leases(network):
        check_network(network)
    return tuple(unknown_parent_options(network))


def way_out(network: Network, subnet: Subnet) -> IPAddress | None:
    """The gateway, which is a machine outside; none where nothing leads out, or where the interface itself does."""
    return None if closed(network) or routes_by_device(network) else default_gateway(subnet)


def network_items(network: Network, facts: NetworkFacts) -> Iterator[Item]:
    """The link below, where we make it."""
    if network.adopted:
        return
    name = parent_name(network)
    if parent_options(network).parent:
        over, tag = vlan_of(name)
        yield Parent(name, f"sanbashi:vlan:{name}", over, tag)
    else:
        yield Parent(name, link_alias(network.id))
    yield Up("", name)


def endpoint_items(network: Network, joined: Joined, facts: NetworkFacts) -> Iterator[Item]:
    """The interface and what is set on it."""
    endpoint, options, common = joined.endpoint, parent_options(network), bridge_options(network)
    yield Sublink(
        kind=network.driver,
        parent=parent_name(network),
        namespace=endpoint.sandbox_id,
        name=endpoint.interface,
        alias=link_alias(network.id, endpoint.id),
        mode=options.mode,
        flag=options.flag,
        mac=endpoint.mac,
        mtu=options.mtu,
        # Neither ARP nor neighbours where the parent routes: such an interface takes no frame, an announcement would be refused.
        announce=(0, 0) if routes_by_device(network) else (common.announcements, common.announce_every),
    )
    yield from inner_items(network, joined, facts)
    if routes_by_device(network) and not closed(network) and not common.no_default_route:
        if endpoint.ipv4 is not None:
            yield Route(endpoint.sandbox_id, DEFAULT4, endpoint.interface, metric=LAST)
        if endpoint.ipv6 is not None:
            yield Route(endpoint.sandbox_id, DEFAULT6, endpoint.interface, metric=LAST)


def driver(name: str, *, own_macs: bool) -> Driver:
    return Driver(
        name=name,
        links=True,
        many_subnets=True,
        own_macs=own_macs,
        check=check,
        place=placed,
        way_out=way_out,
        network_items=network_items,
        endpoint_items=endpoint_items,
    )
