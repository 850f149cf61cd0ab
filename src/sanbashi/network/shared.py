"""One subnet of several networks on parents: the LAN is one, each network hands out a range of its own, and no address is held twice."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import Failed
from .indexes import fixed_addresses
from .model import IPAddress, IPNetwork, Network, NetworkState, SubnetRequest
from .parents import has_parent


def may_share(state: NetworkState, subnet: IPNetwork, request: SubnetRequest) -> bool:
    """Whether a network on a parent may have the very subnet that others have: where those stand on parents too, and it has a range that none
    of them has. As in Docker, but for subnets that only overlap: there Docker loses track of who has which address (moby 46756)."""
    holders = [state.networks[id_] for id_ in state.subnet_networks.get(subnet, ())]
    return (
        request.ip_range is not None
        and bool(holders)
        and all(has_parent(n) and s.ip_range != request.ip_range for n in holders for s in n.subnets if s.subnet == subnet)
    )


def holder_of(state: NetworkState, network: Network, address: IPAddress) -> str | None:
    """Who holds an address on a network or on another of the same subnet: an endpoint, or what a network keeps it for."""
    for id_ in (network.id, *siblings(state, network, address)):
        if (holder := state.addresses.get((id_, address))) is not None:
            return holder
    return None


def siblings(state: NetworkState, network: Network, address: IPAddress) -> Iterator[str]:
    """The ids of the other networks that have the subnet in which the address is."""
    for subnet in network.subnets:
        networks = state.subnet_networks.get(subnet.subnet, ())
        if len(networks) > (network.id in networks) and address in subnet.subnet:
            yield from (id_ for id_ in networks if id_ != network.id)


def check_shared(state: NetworkState, network: Network) -> None:
    """Failed, in Docker's words, where a container on a network of the same subnet has an address that this one is to keep; gateways may be one."""
    for address, what in fixed_addresses(network):
        for id_ in siblings(state, network, address):
            endpoint = state.endpoints.get(state.addresses.get((id_, address), ""))
            if endpoint is not None:
                shown = f"({address})" if what == "gateway" else f"({what.removeprefix('auxiliary address ')}:{address})"
                kind = "gateway" if what == "gateway" else "secondary ip address"
                raise Failed(f"failed to allocate {kind} {shown}: Address already in use", hint=f"container {endpoint.container_name} has it")
