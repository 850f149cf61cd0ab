"""`network create`: a request becomes a network, or Docker's sentence about why it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..errors import Conflict, Forbidden, Invalid, NotFound
from . import leasing
from .drivers import DRIVERS, Driver
from .indexes import with_network
from .ipam import Choice, check_subnets, make_subnet, overlap_warnings, problems_of_block, subnets_for
from .model import PREDEFINED, IPNetwork, Network, NetworkFacts, NetworkRequest, NetworkState, Subnet, SubnetRequest
from .options import ENABLE_IPV4, ENABLE_IPV6, INTERNAL, bridge_options, check_announcements, family_flag, option_flag
from .parents import MODES as PARENTED
from .parents import has_parent
from .shared import check_shared

SWARM = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'
IPAM_DRIVERS = ("default", "null", leasing.DHCP)


def create_network(
    state: NetworkState, request: NetworkRequest, facts: NetworkFacts, *, id: str, created: str
) -> tuple[NetworkState, Network, tuple[str, ...]]:
    """The state with a new network, the network, and warnings for the user."""
    check_request(state, request)
    if request.config_only:
        check_subnets(request.subnets, ipv6=bool(request.enable_ipv6))
        check_announcements(request.options)
        network = configuration(request, id=id, created=created)
        return with_network(state, network), network, ()
    request = settled(state, request, facts)
    check_subnets(request.subnets, ipv6=bool(request.enable_ipv6))
    check_driver(request)
    network, warnings = make_network(state, request, facts, id=id, created=created)
    return with_network(state, network), network, warnings


def subnet_reasons(state: NetworkState, request: NetworkRequest, facts: NetworkFacts) -> tuple[str, ...]:
    """Why `create_network` chooses the subnets that it does in this state, a line each, for the log."""
    if request.config_only:
        return ()
    request = settled(state, request, facts)
    if request.ipam_driver == leasing.DHCP:
        return ()
    return tuple(f"{choice.subnet}: {choice.because}" for choice, _ in chosen_subnets(state, request, facts))


def check_request(state: NetworkState, request: NetworkRequest) -> None:
    """Docker's refusals of what a request says by itself, before its configuration is looked for and the kernel is probed."""
    check_name(state, request.name)
    if request.scope == "swarm":
        raise Forbidden("cannot create a swarm scoped network when swarm is not active")
    check_configuration(request)


def check_name(state: NetworkState, name: str) -> None:
    """Docker's refusals of a new network's name."""
    if not name.strip():
        raise Invalid("invalid name: name is empty")
    if name in (*PREDEFINED, "default"):
        raise Forbidden(f"operation is not permitted on predefined {name} network ")
    if name in state.network_names:
        raise Conflict(f"network with name {name} already exists")


# -- configurations


def check_configuration(request: NetworkRequest) -> None:
    """Docker's refusals of what a configuration, and a network made of one, cannot say for itself."""
    if request.config_only and (request.ingress or request.internal or request.attachable or request.scope):
        raise Forbidden(
            "configuration network can only contain network specific fields. "
            "Network operator fields like [ ingress | internal | attachable | scope ] are not supported."
        )
    if request.config_from:
        if request.config_only:
            raise Forbidden("a configuration network cannot depend on another configuration network")
        families = request.enable_ipv4 is False or request.enable_ipv6
        if request.ipam_driver not in ("", "default") or families or request.labels or request.ipam_options or request.subnets:
            raise Forbidden("user-specified configurations are not supported if the network depends on a configuration network")
        if request.options:
            raise Forbidden("network driver options are not supported if the network depends on a configuration network")


def configuration(request: NetworkRequest, *, id: str, created: str) -> Network:
    """A network that only keeps what others are made of: it holds no subnet, and nobody joins it."""
    asked = [s for s in request.subnets if s.subnet is not None]
    return Network(
        id=id,
        name=request.name,
        driver="null",
        created=created,
        enable_ipv4=request.enable_ipv4 is not False,
        enable_ipv6=request.enable_ipv6 is True,
        config_only=True,
        ipam_driver=request.ipam_driver or "default",
        ipam_options=request.ipam_options,
        subnets=tuple(Subnet(subnet=s.subnet, gateway=s.gateway, ip_range=s.ip_range, auxiliary=s.auxiliary) for s in asked if s.subnet is not None),
        options=request.options,
        labels=request.labels,
    )


def settled(state: NetworkState, request: NetworkRequest, facts: NetworkFacts) -> NetworkRequest:
    """The request with what it takes from a configuration network and from the daemon's settings."""
    taken = from_configuration(state, request)
    return with_defaults(taken, {} if request.config_from else facts.default_options.get(taken.driver, {}))


def from_configuration(state: NetworkState, request: NetworkRequest) -> NetworkRequest:
    """The request with the settings of the configuration that it names; NotFound where that is none."""
    if not request.config_from:
        return request
    found = state.networks.get(state.network_names.get(request.config_from, ""))
    if found is None or not found.config_only:
        raise NotFound(f'configuration network "{request.config_from}" does not exist')
    return replace(
        request,
        enable_ipv4=found.enable_ipv4,
        enable_ipv6=found.enable_ipv6,
        ipam_driver=found.ipam_driver,
        ipam_options=found.ipam_options,
        subnets=tuple(SubnetRequest(subnet=s.subnet, ip_range=s.ip_range, gateway=s.gateway, auxiliary=s.auxiliary) for s in found.subnets),
        options=found.options,
        labels=found.labels,
    )


def users_of(state: NetworkState, network: Network) -> tuple[Network, ...]:
    """The networks that are made of a configuration."""
    return tuple(n for n in state.networks.values() if n.config_from == network.name) if network.config_only else ()


# -- what is asked for


def with_defaults(request: NetworkRequest, defaults: Mapping[str, str]) -> NetworkRequest:
    """The request with the daemon's default options of its driver, and with what options say instead of fields."""
    options = {**defaults, **request.options}
    ipv4, ipv6 = request.enable_ipv4, request.enable_ipv6
    # What a field says need not be said again, perhaps otherwise, by an option that inspect shows.
    for key, field in ((ENABLE_IPV4, ipv4), (ENABLE_IPV6, ipv6)):
        if field is not None:
            options.pop(key, None)
    ipv4 = family_flag(options, ENABLE_IPV4) if ipv4 is None else ipv4
    ipv6 = family_flag(options, ENABLE_IPV6) if ipv6 is None else ipv6
    internal = request.internal or option_flag(options, INTERNAL) or False
    ipv4, ipv6 = ipv4 is not False, ipv6 is True
    if not ipv4 and not ipv6:
        raise Invalid("IPv4 or IPv6 must be enabled")
    return replace(request, options=options, enable_ipv4=ipv4, enable_ipv6=ipv6, internal=internal)


def check_driver(request: NetworkRequest) -> None:
    """Docker's refusals of a driver, of IPAM drivers, and of more subnets than a driver has use for."""
    if request.driver == "overlay":
        raise Forbidden(SWARM)
    if request.driver not in DRIVERS:
        raise NotFound(f'plugin "{request.driver}" not found', hint="the drivers are: " + ", ".join(DRIVERS))
    if request.ingress:
        raise Forbidden("Ingress network can only be global scope network")
    if DRIVERS[request.driver].single:
        raise Forbidden(f'only one instance of "{request.driver}" network is allowed')
    if request.ipam_driver not in ("", *IPAM_DRIVERS):
        raise NotFound(f'plugin "{request.ipam_driver}" not found', hint="the IPAM drivers are: " + ", ".join(IPAM_DRIVERS))
    if request.ipam_driver == "null":
        if any(s.subnet is not None for s in request.subnets):
            raise Invalid("null ipam driver does not handle specific address pool requests")
        # It hands out no addresses, and every driver of ours wants them for the families that are on.
        raise Invalid(f"ipv{4 if request.enable_ipv4 else 6} pool is empty", hint="the null IPAM driver has no addresses: leave --ipam-driver out")
    if request.ipam_driver == leasing.DHCP:
        leasing.check_request(request)
    given = [s.subnet.version for s in request.subnets if s.subnet is not None]
    if len(given) != len(set(given)) and not DRIVERS[request.driver].many_subnets:
        raise Forbidden("bridge driver doesn't support multiple subnets")


def versions_of(request: NetworkRequest) -> tuple[int, ...]:
    """The families that are on."""
    return (4,) * bool(request.enable_ipv4) + (6,) * bool(request.enable_ipv6)


def used_subnets(request: NetworkRequest) -> list[SubnetRequest]:
    """The subnets asked for of families that are on."""
    versions = versions_of(request)
    return [s for s in request.subnets if s.subnet is None or s.subnet.version in versions]


def chosen_subnets(state: NetworkState, request: NetworkRequest, facts: NetworkFacts) -> tuple[tuple[Choice, SubnetRequest], ...]:
    """The subnets that a network is to have, each with what was asked for."""
    on_parent = request.driver in PARENTED
    return subnets_for(state, used_subnets(request), versions_of(request), facts, on_parent=on_parent)


# -- made


def make_network(state: NetworkState, request: NetworkRequest, facts: NetworkFacts, *, id: str, created: str) -> tuple[Network, tuple[str, ...]]:
    """A network with its subnets chosen and its place on the host settled, and warnings."""
    driver, used = DRIVERS[request.driver], used_subnets(request)
    unused = [s.subnet for s in request.subnets if s not in used and s.subnet is not None]
    warnings = [f"subnet {subnet} is not used: IPv{subnet.version} is not enabled on this network" for subnet in unused]
    network = Network(
        id=id,
        name=request.name,
        driver=request.driver,
        created=created,
        scope=request.scope or "local",
        enable_ipv4=bool(request.enable_ipv4),
        enable_ipv6=bool(request.enable_ipv6),
        internal=request.internal,
        attachable=request.attachable,
        config_from=request.config_from,
        ipam_driver=request.ipam_driver or "default",
        ipam_options=request.ipam_options,
        options=request.options,
        labels=request.labels,
    )
    warnings += driver.check(network)
    # In the order in which Docker shows them: what was asked for first, IPv4 before IPv6.
    found = () if leasing.has_leases(network) else chosen_subnets(state, request, facts)
    choices = sorted(found, key=lambda c: (c[1].subnet is None, c[0].subnet.version))
    if not driver.many_subnets and (problems := [p for c, _ in choices for p in problems_of_block(c.subnet)]):
        raise Invalid(problems[0])
    if not has_parent(network):
        # A network on a parent shares the subnet of the host's own link; elsewhere that is worth a word.
        warnings += overlap_warnings([c.subnet for c, r in choices if r.subnet == c.subnet], facts)
    network = driver.place(state, replace(network, subnets=tuple(chosen(network, driver, c.subnet, r) for c, r in choices)), facts)
    if leasing.has_leases(network):
        leasing.check_place(network)
    check_shared(state, network)
    check_routes(network)
    return network, tuple(warnings)


def chosen(network: Network, driver: Driver, subnet: IPNetwork, request: SubnetRequest) -> Subnet:
    """A subnet with its gateway, where the driver reserves one or the user named one that the driver has use for."""
    wanted = driver.reserves_gateway(network, subnet.version) or (request.gateway is not None and driver.many_subnets)
    return make_subnet(subnet, request, gateway=wanted)


def check_routes(network: Network) -> None:
    """Invalid where a route of the network's own leads through nobody on it."""
    for to, via in bridge_options(network).routes:
        if not any(s.version == via.version and via in s.subnet for s in network.subnets):
            raise Invalid(f"invalid route {to} via {via}: no subnet of this network contains {via}")
