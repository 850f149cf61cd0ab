"""The indexes of NetworkState: kept in step with each object put in or taken out, and built anew to compare."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

import immutables

from . import integers
from .blocks import with_block, without_block
from .model import Endpoint, HeldPorts, IPAddress, Network, NetworkState, PortBinding, Protocol, Sandbox, Subnet

NOTHING = HeldPorts()


def reindex(state: NetworkState) -> NetworkState:
    """The state with every index computed from its networks, sandboxes and endpoints."""
    fresh = NetworkState()
    for network in state.networks.values():
        fresh = with_network(fresh, network)
    for sandbox in state.sandboxes.values():
        fresh = with_sandbox(fresh, sandbox)
    for endpoint in sorted(state.endpoints.values(), key=lambda e: (e.sandbox_id, e.order, e.id)):
        fresh = with_endpoint(fresh, endpoint)
    return fresh


def with_network(state: NetworkState, network: Network) -> NetworkState:
    """The state with a network, new or in place of the one of its id."""
    if network.id in state.networks:
        state = without_network(state, network.id)
    blocks, holders = state.blocks, state.subnet_networks
    for subnet in held_subnets(network):
        blocks = with_block(blocks, subnet.subnet)
        holders = holders.set(subnet.subnet, tuple(sorted({*holders.get(subnet.subnet, ()), network.id})))
    return replace(
        state,
        networks=state.networks.set(network.id, network),
        network_names=state.network_names.set(network.name, network.id),
        subnet_networks=holders,
        blocks=blocks,
        **hold(state, network, fixed_addresses(network)),
    )


def without_network(state: NetworkState, network_id: str) -> NetworkState:
    """The state without a network; its endpoints, if any, stay as they are."""
    network = state.networks[network_id]
    blocks, holders = state.blocks, state.subnet_networks
    for subnet in held_subnets(network):
        if rest := tuple(id_ for id_ in holders[subnet.subnet] if id_ != network_id):
            holders = holders.set(subnet.subnet, rest)
        else:
            blocks, holders = without_block(blocks, subnet.subnet), holders.delete(subnet.subnet)
    return replace(
        state,
        networks=state.networks.delete(network_id),
        network_names=state.network_names.delete(network.name),
        subnet_networks=holders,
        blocks=blocks,
        **release(state, network, [address for address, _ in fixed_addresses(network)]),
    )


def with_sandbox(state: NetworkState, sandbox: Sandbox) -> NetworkState:
    """The state with a sandbox, new or in place of the one of its id."""
    if sandbox.id in state.sandboxes:
        state = unlinked(state, sandbox.id, (target for _, target in state.sandboxes[sandbox.id].host_links))
    state = linked(state, sandbox.id, (target for _, target in sandbox.host_links))
    return replace(
        state,
        sandboxes=state.sandboxes.set(sandbox.id, sandbox),
        container_sandboxes=state.container_sandboxes.set(sandbox.container_id, sandbox.id),
    )


def without_sandbox(state: NetworkState, sandbox_id: str) -> NetworkState:
    """The state without a sandbox that has no endpoints."""
    sandbox = state.sandboxes[sandbox_id]
    state = unlinked(state, sandbox_id, (target for _, target in sandbox.host_links))
    return replace(
        state,
        sandboxes=state.sandboxes.delete(sandbox_id),
        container_sandboxes=state.container_sandboxes.delete(sandbox.container_id),
    )


def with_endpoint(state: NetworkState, endpoint: Endpoint) -> NetworkState:
    """The state with an endpoint, new (the last of its sandbox) or in place of the one of its id."""
    before = state.endpoints.get(endpoint.id)
    if before == endpoint:
        return state
    if before is not None and indexed(before) == indexed(endpoint):
        state = ports_changed(state, before, endpoint)
        return replace(state, endpoints=state.endpoints.set(endpoint.id, endpoint))
    if before is not None:
        state = without_endpoint(state, before.id)
    state = ports_changed(state, None, endpoint)
    state = linked(state, endpoint.id, (target for _, target in endpoint.links))
    joined = state.sandbox_endpoints.get(endpoint.sandbox_id, ())
    order = sorted((*joined, endpoint.id), key=lambda i: endpoint.order if i == endpoint.id else state.endpoints[i].order)
    members = state.network_endpoints.get(endpoint.network_id, immutables.Map())
    network = state.networks.get(endpoint.network_id)
    return replace(
        state,
        endpoints=state.endpoints.set(endpoint.id, endpoint),
        sandbox_endpoints=state.sandbox_endpoints.set(endpoint.sandbox_id, tuple(order)),
        network_endpoints=state.network_endpoints.set(endpoint.network_id, members.set(endpoint.container_id, endpoint.id)),
        **(hold(state, network, ((address, endpoint.id) for address in own_addresses(endpoint))) if network else {}),
    )


def indexed(endpoint: Endpoint) -> tuple[object, ...]:
    """What the indexes know of an endpoint, its ports aside."""
    return endpoint.network_id, endpoint.sandbox_id, endpoint.container_id, endpoint.order, endpoint.ipv4, endpoint.ipv6, endpoint.links


def without_endpoint(state: NetworkState, endpoint_id: str) -> NetworkState:
    """The state without an endpoint, its addresses and its ports."""
    endpoint = state.endpoints[endpoint_id]
    state = ports_changed(state, endpoint, None)
    state = unlinked(state, endpoint_id, (target for _, target in endpoint.links))
    rest = tuple(i for i in state.sandbox_endpoints[endpoint.sandbox_id] if i != endpoint_id)
    members = state.network_endpoints[endpoint.network_id].delete(endpoint.container_id)
    by_sandbox, by_network = state.sandbox_endpoints, state.network_endpoints
    network = state.networks.get(endpoint.network_id)
    return replace(
        state,
        endpoints=state.endpoints.delete(endpoint_id),
        sandbox_endpoints=by_sandbox.set(endpoint.sandbox_id, rest) if rest else by_sandbox.delete(endpoint.sandbox_id),
        network_endpoints=by_network.set(endpoint.network_id, members) if members else by_network.delete(endpoint.network_id),
        **(release(state, network, own_addresses(endpoint)) if network else {}),
    )


# -- addresses


def held_subnets(network: Network) -> tuple[Subnet, ...]:
    """The subnets that a network keeps others from; a configuration only names some."""
    return () if network.config_only else network.subnets


def fixed_addresses(network: Network) -> Iterator[tuple[IPAddress, str]]:
    """The addresses that a network itself holds, each with what it is for."""
    for subnet in held_subnets(network):
        for name, address in subnet.auxiliary.items():
            yield address, f"auxiliary address {name}"
        if subnet.gateway is not None:
            yield subnet.gateway, "gateway"


def own_addresses(endpoint: Endpoint) -> Iterator[IPAddress]:
    """The addresses that an endpoint holds in its network."""
    for interface in (endpoint.ipv4, endpoint.ipv6):
        if interface is not None:
            yield interface.ip


def hold(state: NetworkState, network: Network, held: Iterable[tuple[IPAddress, str]]) -> dict[str, immutables.Map]:  # type: ignore[type-arg]
    """The two indexes of addresses with these held."""
    addresses, taken = state.addresses, state.taken
    for address, holder in held:
        addresses = addresses.set((network.id, address), holder)
        if (base := base_of(network, address)) is not None:
            key = (network.id, address.version)
            taken = taken.set(key, integers.insert(taken.get(key, integers.EMPTY), int(address) - base))
    return {"addresses": addresses, "taken": taken}


def release(state: NetworkState, network: Network, addresses: Iterable[IPAddress]) -> dict[str, immutables.Map]:  # type: ignore[type-arg]
    """The two indexes of addresses without these."""
    holders, taken = state.addresses, state.taken
    for address in addresses:
        if (network.id, address) not in holders:
            continue  # the gateway may be an auxiliary address as well
        holders = holders.delete((network.id, address))
        if (base := base_of(network, address)) is not None:
            key = (network.id, address.version)
            rest = integers.remove(taken[key], int(address) - base)
            taken = taken.set(key, rest) if rest else taken.delete(key)
    return {"addresses": holders, "taken": taken}


def base_of(network: Network, address: IPAddress) -> int | None:
    """The lowest address of the network's subnets of this family, as a number; None where none of them has the address."""
    subnets = network.subnets_of(address.version)
    return first_address(subnets) if any(address in s.subnet for s in subnets) else None


def first_address(subnets: Iterable[Subnet]) -> int:
    """From where the offsets of `taken` count."""
    return min(int(s.subnet.network_address) for s in subnets)


# -- ports and links


def ports_changed(state: NetworkState, before: Endpoint | None, after: Endpoint | None) -> NetworkState:
    """The indexes of host ports when an endpoint's publications change."""
    old, new = before.ports if before else (), after.ports if after else ()
    if old == new:
        return state
    with state.host_ports.mutate() as places:
        for place, ports in by_place(old).items():
            numbers, firsts = bits_of(ports)
            held = places[place]
            rest = HeldPorts(held.numbers & ~numbers, held.firsts & ~firsts, without_all(held.holders, (p.host_port for p in ports)))
            if rest.holders:
                places[place] = rest
            else:
                del places[place]
        for place, ports in by_place(new).items():
            numbers, firsts = bits_of(ports)
            held = places.get(place, NOTHING)
            places[place] = HeldPorts(held.numbers | numbers, held.firsts | firsts, held.holders.update({p.host_port: after.id for p in ports}))  # type: ignore[union-attr]
    return replace(state, host_ports=places.finish())


def by_place(ports: Iterable[PortBinding]) -> dict[tuple[Protocol, IPAddress], list[PortBinding]]:
    """Publications that hold ports of the host, by protocol and address."""
    found: dict[tuple[Protocol, IPAddress], list[PortBinding]] = {}
    for p in ports:
        if p.host_port:
            found.setdefault((p.protocol, p.host_ip), []).append(p)
    return found


def bits_of(ports: Collection[PortBinding]) -> tuple[int, int]:
    """A bit for each port, and one for the first of each publication."""
    return integers.as_bits(n for p in ports for n in p.host_ports), integers.as_bits(p.host_port for p in ports)


def without_all(holders: immutables.Map[int, str], firsts: Iterable[int]) -> immutables.Map[int, str]:
    """The holders without those of the publications that begin there."""
    with holders.mutate() as rest:
        for first in firsts:
            del rest[first]
    return rest.finish()


def linked(state: NetworkState, holder: str, targets: Iterable[str]) -> NetworkState:
    """The index of links with `holder` (an endpoint or a sandbox) pointing at these containers."""
    index = state.linked
    for target in targets:
        index = index.set(target, tuple(sorted({*index.get(target, ()), holder})))
    return state if index is state.linked else replace(state, linked=index)


def unlinked(state: NetworkState, holder: str, targets: Iterable[str]) -> NetworkState:
    """The index of links without `holder`."""
    index = state.linked
    for target in targets:
        rest = tuple(i for i in index.get(target, ()) if i != holder)
        if rest:
            index = index.set(target, rest)
        elif target in index:
            index = index.delete(target)
    return state if index is state.linked else replace(state, linked=index)
