"""What can be held by one alone: names, subnets, addresses, host ports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from itertools import pairwise

from .indexes import held_subnets, own_addresses
from .model import NetworkState
from .parents import has_parent


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
            ((s.subnet, s.ip_range, n) for n in state.networks.values() for s in held_subnets(n) if s.version == version),
            key=lambda held: (int(held[0].network_address), held[0].prefixlen),
        )
        for (one, one_range, first), (other, other_range, second) in pairwise(subnets):
            shared = one == other and one_range != other_range and has_parent(first) and has_parent(second)
            if int(other.network_address) <= int(one.broadcast_address) and not shared:
                return f"{other} overlaps {one}"
    return ""


def holdings(state: NetworkState) -> Iterator[tuple[Hashable, str]]:
    """(what is held, who holds it). An address is held once in all networks that share its subnet."""
    count = Counter(s.subnet for n in state.networks.values() for s in held_subnets(n))
    for network in state.networks.values():
        yield ("name", network.name), network.id
    for sandbox in state.sandboxes.values():
        yield ("container", sandbox.container_id), sandbox.id
    for endpoint in state.endpoints.values():
        yield ("place", endpoint.network_id, endpoint.container_id), endpoint.id
        here = state.networks[endpoint.network_id].subnets if endpoint.network_id in state.networks else ()
        for address in own_addresses(endpoint):
            place = next((s.subnet for s in here if count[s.subnet] > 1 and address in s.subnet), endpoint.network_id)
            yield ("address", place, address), endpoint.id
        yield from ((("port", p.protocol, p.host_ip, p.host_port), endpoint.id) for b in endpoint.ports if b.host_port for p in b.each())
