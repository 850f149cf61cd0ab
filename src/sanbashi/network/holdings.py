"""What can be held by one alone: names, subnets, addresses, host ports."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import pairwise

from .indexes import held_subnets, own_addresses
from .model import NetworkState


def contradiction(state: NetworkState) -> str:
    """A sentence about something that two hold or that hangs in the air, "" where all is well.

    Every command keeps it so. What is put back after a failure may contradict what others did meanwhile; this tells.
    """
    held: dict[Hashable, str] = {}
    for what, holder in holdings(state):
        if held.setdefault(what, holder) != holder:
            return f"{what} is held by {held[what]} and {holder}"
    for endpoint in state.endpoints.values():
        if endpoint.network_id not in state.networks or endpoint.sandbox_id not in state.sandboxes:
            return f"endpoint {endpoint.id} is in a network or a sandbox that is not there"
    for version in (4, 6):
        subnets = sorted(
            (s.subnet for n in state.networks.values() for s in held_subnets(n) if s.version == version),
            key=lambda s: (int(s.network_address), s.prefixlen),
        )
        for one, other in pairwise(subnets):
            if int(other.network_address) <= int(one.broadcast_address):
                return f"{other} overlaps {one}"
    return ""


def holdings(state: NetworkState) -> Iterator[tuple[Hashable, str]]:
    """(what is held, who holds it)."""
    for network in state.networks.values():
        yield ("name", network.name), network.id
    for sandbox in state.sandboxes.values():
        yield ("container", sandbox.container_id), sandbox.id
    for endpoint in state.endpoints.values():
        yield ("place", endpoint.network_id, endpoint.container_id), endpoint.id
        yield from ((("address", endpoint.network_id, address), endpoint.id) for address in own_addresses(endpoint))
        yield from ((("port", p.protocol, p.host_ip, p.host_port), endpoint.id) for b in endpoint.ports if b.host_port for p in b.each())
