"""Networks as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..daemon.state import State
from ..network.indexes import fixed_addresses, held_subnets, own_addresses
from ..network.model import IPAddress, Network, Subnet
from .messages import Version


def network_json(state: State, network: Network, version: Version, *, listed: bool = False) -> dict[str, Any]:
    """A network as inspect shows it, or as one of a list."""
    document: dict[str, Any] = {
        "Name": network.name,
        "Id": network.id,
        "Created": network.created,
        "Scope": network.scope,
        "Driver": network.driver,
        "EnableIPv4": network.enable_ipv4,
        "EnableIPv6": network.enable_ipv6,
        "IPAM": {
            "Driver": network.ipam_driver,
            "Options": sorted_map(network.ipam_options) if network.ipam_options is not None else None,
            "Config": [subnet_json(s) for s in network.subnets] or None,
        },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": network.ingress,
        "ConfigFrom": {"Network": network.config_from},
        "ConfigOnly": network.config_only,
        "Options": sorted_map(network.options),
        "Labels": sorted_map(network.labels),
    }
    if not listed:
        document["Containers"] = members(state, network)
        stopped, created = absent_members(state, network)
        if stopped:
            document["SanbashiStopped"] = stopped
        if created:
            document["SanbashiCreated"] = created
        if version >= (1, 52):
            document["Status"] = {"IPAM": {"Subnets": {str(s.subnet): usage(state, network, s) for s in held_subnets(network)}}}
    elif version < (1, 28):
        document["Containers"] = members(state, network)
    return document


def sorted_map(mapping: Any) -> dict[str, Any]:
    """A mapping in the order in which Go's encoder writes one."""
    return dict(sorted(mapping.items()))


def subnet_json(subnet: Subnet) -> dict[str, Any]:
    """One entry of IPAM.Config; what is not set is left out."""
    document: dict[str, Any] = {"Subnet": str(subnet.subnet)}
    if subnet.ip_range is not None:
        document["IPRange"] = str(subnet.ip_range)
    if subnet.gateway is not None:
        document["Gateway"] = str(subnet.gateway)
    if subnet.auxiliary:
        document["AuxiliaryAddresses"] = {name: str(address) for name, address in sorted(subnet.auxiliary.items())}
    return document


def members(state: State, network: Network) -> dict[str, Any]:
    """The endpoints of running containers, by container id."""
    found = {}
    for container_id, endpoint_id in sorted(state.network.network_endpoints.get(network.id, {}).items()):
        endpoint = state.network.endpoints[endpoint_id]
        key = container_id if container_id in state.containers else f"ep-{endpoint_id}"
        found[key] = {
            "Name": endpoint.container_name,
            "EndpointID": endpoint.id,
            "MacAddress": endpoint.mac,
            "IPv4Address": str(endpoint.ipv4) if endpoint.ipv4 else "",
            "IPv6Address": str(endpoint.ipv6) if endpoint.ipv6 else "",
        }
    return found


def absent_members(state: State, network: Network) -> tuple[dict[str, Any], list[str]]:
    """Ours: containers that do not run and will join this network when they do.

    By container id, with the addresses that they had; and the names of those that never ran, of which there is no more to tell: clients that print
    a thousand of them feel every word.
    """
    stopped: dict[str, Any] = {}
    created: list[str] = []
    running: Mapping[str, str] = state.network.network_endpoints.get(network.id, {})
    for container in sorted(state.containers.values(), key=lambda c: c.id):
        wished = any(w.network_id == network.id or (not w.network_id and name == network.name) for name, w in container.networks)
        if not wished or container.id in running:
            continue
        last = next(((four, six) for id_, four, six in container.last_addresses if id_ == network.id), ("", ""))
        addresses = {key: had for key, had in zip(("LastIPv4Address", "LastIPv6Address"), last, strict=True) if had}
        if container.state.status == "created" and not addresses:
            created.append(container.name)
        else:
            stopped[container.id] = {"Name": container.name, "Status": container.state.status, **addresses}
    return stopped, sorted(created)


def usage(state: State, network: Network, subnet: Subnet) -> dict[str, int]:
    """How many addresses of a subnet are taken, the network's own and the broadcast address among them, and how many can still be given out.

    What other networks of the same subnet have of it is taken too.
    """
    taken: set[IPAddress] = set()
    if subnet.version == 6 or subnet.subnet.num_addresses > 2:
        taken.add(subnet.subnet.network_address)
    if subnet.version == 4 and subnet.subnet.num_addresses > 2:
        taken.add(subnet.subnet.broadcast_address)
    for id_ in state.network.subnet_networks.get(subnet.subnet, (network.id,)):
        held = {address for address, _ in fixed_addresses(state.network.networks[id_])}
        for endpoint_id in state.network.network_endpoints.get(id_, {}).values():
            held.update(own_addresses(state.network.endpoints[endpoint_id]))
        taken |= {address for address in held if address in subnet.subnet}
    pool = subnet.ip_range or subnet.subnet
    free = pool.num_addresses - sum(address in pool for address in taken)
    return {"IPsInUse": len(taken), "DynamicIPsAvailable": min(free, 2**64 - 1)}
