"""Endpoints: a sandbox joins a network and leaves it; what a wish may ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from ..errors import Failed, Forbidden, Invalid
from .drivers import DRIVERS
from .indexes import with_endpoint, with_sandbox, without_endpoint, without_sandbox
from .ipam import check_free, choose_address, listing
from .leasing import has_leases, lasting_mac
from .model import PREDEFINED, Endpoint, EndpointWish, IPAddress, Network, NetworkFacts, NetworkState, Sandbox, Subnet
from .names import container_interface, endpoint_names, is_interface_name
from .options import ANTI_SPOOFING, IFNAME, bridge_options, endpoint_sysctls, option_flag
from .parents import passes_through
from .publishing import gateway_endpoints

MAC = re.compile(r"[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}")


def check_wish(state: NetworkState, network: Network, wish: EndpointWish) -> None:
    """Invalid, in Docker's words, where a network cannot do what the wish asks; nothing is said of what is taken."""
    problems = list(problems_of(network, wish))
    if problems:
        raise Invalid("invalid endpoint settings:\n" + listing(problems))


def problems_of(network: Network, wish: EndpointWish) -> Iterator[str]:
    """What is wrong with a wish."""
    asked: list[IPAddress] = [a for a in (wish.ipv4, wish.ipv6) if a is not None]
    if network.name in PREDEFINED:
        if asked:
            yield "user-specified IP address is supported on user-defined networks only"
        if wish.aliases:
            yield "network-scoped aliases are only supported for user-defined networks"
    else:
        for address in asked:
            if has_leases(network) and address.version == 4:
                continue  # the server decides
            if address.is_unspecified:
                yield f"invalid IPv{address.version} address: {address}"
            elif not any(s.version == address.version and address in s.subnet for s in network.subnets):
                yield f"no configured subnet contains IP address {address}"
    for address in wish.link_local:
        if address.is_unspecified:
            yield f"invalid link-local IP address: {address}"
    if wish.mac and (not MAC.fullmatch(wish.mac) or int(wish.mac[:2], 16) & 1 or not int(re.sub("[:-]", "", wish.mac), 16)):
        yield f"invalid MAC address: {wish.mac}"
    if (name := wish.driver_options.get(IFNAME)) is not None and (not is_interface_name(name) or name == "lo"):
        yield f"invalid interface name: {name}"
    try:
        endpoint_sysctls(wish.driver_options)
        option_flag(wish.driver_options, ANTI_SPOOFING)
    except Invalid as error:
        yield error.message


def open_sandbox(state: NetworkState, sandbox: Sandbox) -> NetworkState:
    """The state with a new sandbox that has joined nothing."""
    return with_sandbox(state, sandbox)


def close_sandbox(state: NetworkState, sandbox_id: str) -> NetworkState:
    """The state without a sandbox and its endpoints; gone already is success."""
    if sandbox_id not in state.sandboxes:
        return state
    for endpoint_id in state.sandbox_endpoints.get(sandbox_id, ()):
        state = without_endpoint(state, endpoint_id)
    return without_sandbox(state, sandbox_id)


def join(
    state: NetworkState,
    sandbox_id: str,
    network_id: str,
    wish: EndpointWish,
    facts: NetworkFacts,
    *,
    endpoint_id: str,
    container_name: str,
    short_id: str,
    hostname: str,
    mac: str,
    host_interface: str,
    links: tuple[tuple[str, str], ...] = (),
    remembered: IPv4Address | None = None,
) -> tuple[NetworkState, Endpoint]:
    """The state with a sandbox joined to a network, and the endpoint.

    `mac` and `host_interface` are made by the caller of random bytes; the wish's MAC goes before. `remembered`: the last address, where it is
    leased. Forbidden where the container is in the
    network already or its address is held, Failed where no address is left, Invalid where the network has no such address.
    """
    network, sandbox = state.networks[network_id], state.sandboxes[sandbox_id]
    if network.config_only:
        raise Forbidden("cannot create endpoint on configuration-only network")
    if sandbox.container_id in state.network_endpoints.get(network_id, {}):
        raise Forbidden(f"endpoint with name {container_name} already exists in network {network.name}")
    check_room(state, network)
    order = max((state.endpoints[i].order for i in state.sandbox_endpoints.get(sandbox_id, ())), default=-1) + 1
    endpoint = Endpoint(
        id=endpoint_id,
        network_id=network_id,
        sandbox_id=sandbox_id,
        container_id=sandbox.container_id,
        container_name=container_name,
        aliases=wish.aliases,
        links=links,
        gateway_priority=wish.gateway_priority,
        driver_options=wish.driver_options,
        order=order,
    )
    if network.name not in PREDEFINED:
        endpoint = replace(endpoint, names=endpoint_names(container_name, wish.aliases, short_id, hostname))
    if has_leases(network):
        mac = lasting_mac(sandbox.container_id, network_id)
        asked = wish.ipv4 or remembered
        if wish.ipv4 is not None:
            check_free(state, network, wish.ipv4)
        endpoint = replace(endpoint, asked4=asked, insists=wish.ipv4 is not None)
        wish = replace(wish, ipv4=None)
    if DRIVERS[network.driver].links:
        versions = (4, 6) if speaks_ipv6(sandbox, wish) else (4,)
        endpoint = replace(
            addressed(state, network, endpoint, wish, versions),
            mac=own_mac(network, wish, mac),
            interface=inner_interface(state, network, endpoint),
            host_interface=host_interface if DRIVERS[network.driver].host_ends else "",
            link_local=tuple(address for address in wish.link_local if address.version in versions),
        )
    return with_endpoint(state, endpoint), endpoint


def check_room(state: NetworkState, network: Network) -> None:
    """Failed, in Docker's words, where a parent is passed through to one container already: the kernel gives it to no second one."""
    if not passes_through(network):
        return
    for endpoint_id in state.network_endpoints.get(network.id, {}).values():
        holder = state.endpoints[endpoint_id].container_name
        raise Failed("failed to create the macvlan port: invalid argument", hint=f"{network.name} passes its parent through to {holder} alone")


def own_mac(network: Network, wish: EndpointWish, mac: str) -> str:
    """The endpoint's MAC address: the wish's, the random one, or "" where it is the parent's. Failed where an ipvlan is to have its own."""
    if not DRIVERS[network.driver].own_macs:
        if wish.mac:
            raise Failed(f"{network.driver} interfaces do not support custom mac address assignment")
        return ""
    if passes_through(network):
        mac = ""
    return (wish.mac or mac).lower().replace("-", ":")


def speaks_ipv6(sandbox: Sandbox, wish: EndpointWish) -> bool:
    """Whether an endpoint can have IPv6: the container's sysctls, or those of the interface, may take it away; then it gets no address of it."""
    own = dict(endpoint_sysctls(wish.driver_options))
    return sandbox.ipv6 and own.get("net/ipv6/conf/IFNAME/disable_ipv6", "0") == "0"


def addressed(state: NetworkState, network: Network, endpoint: Endpoint, wish: EndpointWish, versions: Sequence[int]) -> Endpoint:
    """The endpoint with an address and a gateway of each of these families that the network has."""
    for version, prefer in ((4, wish.ipv4), (6, wish.ipv6)):
        if version not in versions:
            continue
        subnets = network.subnets_of(version)
        if prefer is not None:
            subnets = tuple(s for s in subnets if prefer in s.subnet)
            if not subnets:
                raise Invalid(f"invalid address {prefer}: It does not belong to any of this network's subnets")
        if subnets:
            address, subnet = address_of(state, network, subnets, prefer)
            endpoint = with_address(endpoint, address, subnet.subnet.prefixlen, DRIVERS[network.driver].way_out(network, subnet))
    return endpoint


def address_of(state: NetworkState, network: Network, subnets: Sequence[Subnet], prefer: IPAddress | None) -> tuple[IPAddress, Subnet]:
    """An address of the first subnet that has one left."""
    for subnet in subnets[:-1]:
        try:
            return choose_address(state, network, subnet, prefer=prefer), subnet
        except Failed:  # exhausted: the next one
            continue
    return choose_address(state, network, subnets[-1], prefer=prefer), subnets[-1]


def with_address(endpoint: Endpoint, address: IPAddress, length: int, gateway: IPAddress | None) -> Endpoint:
    """The endpoint with this address and gateway in its family's fields."""
    if isinstance(address, IPv4Address):
        return replace(endpoint, ipv4=IPv4Interface((address, length)), gateway4=gateway if isinstance(gateway, IPv4Address) else None)
    return replace(endpoint, ipv6=IPv6Interface((address, length)), gateway6=gateway if isinstance(gateway, IPv6Address) else None)


def inner_interface(state: NetworkState, network: Network, endpoint: Endpoint) -> str:
    """The name inside the container: the wish's, else the lowest unused of the network's prefix."""
    taken = {state.endpoints[i].interface for i in state.sandbox_endpoints.get(endpoint.sandbox_id, ())}
    asked = endpoint.driver_options.get(IFNAME)
    if asked is None:
        return container_interface(bridge_options(network).prefix, taken)
    if asked in taken:
        raise Failed(f"interface name {asked} is already used in container {endpoint.container_name}")
    return asked


def leave(state: NetworkState, endpoint_id: str) -> NetworkState:
    """The state without an endpoint; gone already is success. Its ports go to what is the gateway now, so that `publish` finds their numbers."""
    endpoint = state.endpoints.get(endpoint_id)
    if endpoint is None:
        return state
    state = without_endpoint(state, endpoint_id)
    gateway4, gateway6 = gateway_endpoints(state, endpoint.sandbox_id) if endpoint.ports else (None, None)
    for heir, version in ((gateway4, 4), (gateway6 or gateway4, 6)):
        if heir is not None:
            heir = state.endpoints[heir.id]
            inherited = tuple(p for p in endpoint.ports if p.host_ip.version == version)
            state = with_endpoint(state, replace(heir, ports=(*heir.ports, *inherited)))
    return state


def rename_container(state: NetworkState, container_id: str, name: str) -> NetworkState:
    """The state with a running container's endpoints under its new name; names and PTR answers follow, the hostname does not."""
    sandbox_id = state.container_sandboxes.get(container_id)
    if sandbox_id is None:
        return state
    hostname = state.sandboxes[sandbox_id].hostname
    for endpoint_id in state.sandbox_endpoints.get(sandbox_id, ()):
        endpoint = state.endpoints[endpoint_id]
        names = endpoint_names(name, endpoint.aliases, container_id[:12], hostname) if endpoint.names else ()
        state = with_endpoint(state, replace(endpoint, container_name=name, names=names))
    return state
