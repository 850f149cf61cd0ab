"""What a container keeps of its network over stop and start: the addresses and host ports that it had, taken again where they are free."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import msgspec

from ..containers.model import Container
from ..network.leasing import has_leases
from ..network.model import EndpointWish, Network, NetworkState
from ..network.shared import holder_of


def remembering(state: NetworkState, sandbox_id: str, container: Container) -> Container:
    """The container with what its sandbox holds; of networks that it is on no longer nothing is kept."""
    endpoints = [state.endpoints[i] for i in state.sandbox_endpoints.get(sandbox_id, ())]
    addresses = tuple((e.network_id, str(e.ipv4.ip) if e.ipv4 else "", str(e.ipv6.ip) if e.ipv6 else "") for e in endpoints)
    ports = tuple(p for e in endpoints for p in e.ports)
    return msgspec.structs.replace(container, last_addresses=addresses, last_ports=ports)


def forgetting(container: Container, network_id: str) -> Container:
    """The container without its last addresses on a network that it has left: who joins again asks afresh."""
    return msgspec.structs.replace(container, last_addresses=tuple(a for a in container.last_addresses if a[0] != network_id))


def preferring(state: NetworkState, container: Container, network: Network, wish: EndpointWish) -> EndpointWish:
    """The wish with the container's last address of each family, where it asks for none and that one is free."""
    last = next(((four, six) for id_, four, six in container.last_addresses if id_ == network.id), ("", ""))
    for word, subnet in zip(last, (network.subnet4, network.subnet6), strict=True):
        if not word or subnet is None:
            continue
        address = ipaddress.ip_address(word)
        if address not in (subnet.ip_range or subnet.subnet) or holder_of(state, network, address) is not None:
            continue
        if isinstance(address, ipaddress.IPv4Address):
            wish = wish if wish.ipv4 is not None else replace(wish, ipv4=address)
        else:
            wish = wish if wish.ipv6 is not None else replace(wish, ipv6=address)
    return wish


def last_lease(state: NetworkState, container: Container, network: Network) -> ipaddress.IPv4Address | None:
    """The container's last address on a network whose addresses are leased, where nobody of ours has it."""
    if not has_leases(network):
        return None
    word = next((four for id_, four, _ in container.last_addresses if id_ == network.id), "")
    address = ipaddress.IPv4Address(word) if word else None
    return address if (network.id, address) not in state.addresses else None
