"""Commands on networks: (state, request) -> new state; the caller decides whether it happened. Docker's sentences throughout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..errors import Conflict, Failed, Forbidden, Invalid, NotFound, NotSupported
from .drivers import DRIVERS
from .indexes import with_network, without_network
from .ipam import DEFAULT_GATEWAY, check_subnets, make_subnet, overlap_warnings, subnets_for
from .joining import check_wish, close_sandbox, join, leave, open_sandbox, rename_container
from .model import PREDEFINED, IPAddress, IPInterface, IPNetwork, Network, NetworkFacts, NetworkRequest, NetworkState, SubnetRequest
from .names import bridge_name as name_bridge
from .options import ENABLE_IPV4, ENABLE_IPV6, INTERNAL, PREFIX, BridgeOptions, bridge_options, option_flag
from .publishing import endpoints_of, gateway_endpoints, publish

__all__ = [
    "check_wish",
    "close_sandbox",
    "create_network",
    "endpoints_of",
    "find_network",
    "gateway_endpoints",
    "join",
    "leave",
    "open_sandbox",
    "predefined_networks",
    "publish",
    "remove_network",
    "rename_container",
    "subnet_reasons",
]

SWARM = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'
LATER = ("macvlan", "ipvlan")


def find_network(state: NetworkState, ref: str) -> Network:
    """A network by full id, full name or a prefix of the id that only one has; NotFound, or Invalid where several match."""
    if ref in state.networks:
        return state.networks[ref]
    if (network_id := state.network_names.get(ref)) is not None:
        return state.networks[network_id]
    matches = [n for id_, n in state.networks.items() if id_.startswith(ref)] if ref else []
    if len(matches) > 1:
        raise Invalid(f"network {ref} is ambiguous ({len(matches)} matches found based on ID prefix)")
    if not matches:
        raise NotFound(f"network {ref} not found")
    return matches[0]


def create_network(
    state: NetworkState, request: NetworkRequest, facts: NetworkFacts, *, id: str, created: str
) -> tuple[NetworkState, Network, tuple[str, ...]]:
    """The state with a new network, the network, and warnings for the user."""
    check_name(state, request.name)
    if request.scope == "swarm":
        raise Forbidden("cannot create a swarm scoped network when swarm is not active")
    request = with_defaults(request, facts)
    check_subnets(request.subnets)
    check_driver(state, request)
    network, warnings = make_network(state, request, facts, id=id, created=created)
    return with_network(state, network), network, warnings


def subnet_reasons(state: NetworkState, request: NetworkRequest, facts: NetworkFacts) -> tuple[str, ...]:
    """Why `create_network` chooses the subnets that it does in this state, a line each, for the log."""
    request = with_defaults(request, facts)
    versions = (4,) * bool(request.enable_ipv4) + (6,) * bool(request.enable_ipv6)
    asked = [s for s in request.subnets if s.subnet is None or s.subnet.version in versions]
    return tuple(f"{choice.subnet}: {choice.because}" for choice, _ in subnets_for(state, asked, versions, facts))


def check_name(state: NetworkState, name: str) -> None:
    """Docker's refusals of a new network's name."""
    if not name:
        raise Invalid("invalid name: name is empty")
    if name in (*PREDEFINED, "default"):
        raise Forbidden(f"operation is not permitted on predefined {name} network ")
    if name in state.network_names:
        raise Conflict(f"network with name {name} already exists")


def with_defaults(request: NetworkRequest, facts: NetworkFacts) -> NetworkRequest:
    """The request with the daemon's default options of its driver, and with what options say instead of fields."""
    options = {**facts.default_options, **request.options} if request.driver == "bridge" else dict(request.options)
    ipv4, ipv6 = request.enable_ipv4, request.enable_ipv6
    ipv4 = option_flag(options, ENABLE_IPV4) if ipv4 is None else ipv4
    ipv6 = option_flag(options, ENABLE_IPV6) if ipv6 is None else ipv6
    internal = request.internal or option_flag(options, INTERNAL) or False
    ipv4, ipv6 = ipv4 is not False, ipv6 is True
    if not ipv4 and not ipv6:
        raise Invalid("IPv4 or IPv6 must be enabled")
    return replace(request, options=options, enable_ipv4=ipv4, enable_ipv6=ipv6, internal=internal)


def check_driver(state: NetworkState, request: NetworkRequest) -> None:
    """Docker's refusals of a driver, and ours of what is not there yet."""
    if request.driver == "overlay" or request.ingress:
        raise Forbidden(SWARM)
    if request.driver in LATER:
        raise NotSupported(f"the {request.driver} driver is not supported yet", hint="the drivers are: " + ", ".join(DRIVERS))
    if request.driver not in DRIVERS:
        raise NotFound(f'plugin "{request.driver}" not found', hint="the drivers are: " + ", ".join(DRIVERS))
    if DRIVERS[request.driver].single:
        raise Forbidden(f'only one instance of "{request.driver}" network is allowed')
    if request.config_only or request.config_from:
        raise NotSupported("networks that are configurations of others are not supported yet")
    if request.ipam_driver not in ("", "default"):
        raise NotFound(f'plugin "{request.ipam_driver}" not found', hint="the one IPAM driver is: default")
    given = [s.subnet.version for s in request.subnets if s.subnet is not None]
    if len(given) != len(set(given)):
        raise Forbidden("bridge driver doesn't support multiple subnets")


def make_network(state: NetworkState, request: NetworkRequest, facts: NetworkFacts, *, id: str, created: str) -> tuple[Network, tuple[str, ...]]:
    """A network of the bridge driver with its subnets chosen, and warnings."""
    versions = (4,) * bool(request.enable_ipv4) + (6,) * bool(request.enable_ipv6)
    unused = [s.subnet for s in request.subnets if s.subnet is not None and s.subnet.version not in versions]
    warnings = [f"subnet {subnet} is not used: IPv{subnet.version} is not enabled on this network" for subnet in unused]
    network = Network(
        id=id,
        name=request.name,
        driver=request.driver,
        created=created,
        enable_ipv4=bool(request.enable_ipv4),
        enable_ipv6=bool(request.enable_ipv6),
        internal=request.internal,
        attachable=request.attachable,
        ipam_options=request.ipam_options,
        options=request.options,
        labels=request.labels,
    )
    options = bridge_options(network)
    warnings += DRIVERS[request.driver].check(network)
    network = replace(network, bridge=options.name or name_bridge(id))
    asked = [s for s in request.subnets if s.subnet is None or s.subnet not in unused]
    choices = subnets_for(state, asked, versions, facts)
    warnings += overlap_warnings([c.subnet for c, r in choices if r.subnet == c.subnet], facts)
    gateways = {version: has_gateway(options, version, internal=request.internal) for version in versions}
    subnets = tuple(make_subnet(c.subnet, r, gateway=gateways[c.subnet.version]) for c, r in choices)
    network = replace(network, subnets=subnets, adopted=network.bridge in facts.links_present)
    check_bridge(state, network)
    return network, tuple(warnings)


def has_gateway(options: BridgeOptions, version: int, *, internal: bool) -> bool:
    """Whether a network reserves a gateway: not where it is isolated, nor where an internal one has no use for it."""
    return options.mode(version) != "isolated" and not (version == 4 and options.inhibit_ipv4 and internal)


def check_bridge(state: NetworkState, network: Network) -> None:
    """Forbidden where another network has the same bridge."""
    if bridge_options(network).name:
        for other in state.networks.values():
            if other.bridge == network.bridge and other.id != network.id:
                raise Forbidden(
                    f"cannot create network {network.id} ({network.bridge}): conflicts with network {other.id} ({other.bridge}): "
                    "networks have same bridge name"
                )


def remove_network(state: NetworkState, network_id: str) -> NetworkState:
    """The state without a network; Forbidden for a predefined one and for one that is in use."""
    network = state.networks[network_id]
    if network.name in PREDEFINED:
        raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
    members = [state.endpoints[i] for i in state.network_endpoints.get(network_id, {}).values()]
    if members:
        active = ", ".join(f'name:"{e.container_name}" id:"{e.id[:12]}"' for e in sorted(members, key=lambda e: e.container_name))
        raise Forbidden(
            f"error while removing network: network {network.name} has active endpoints ({active})",
            hint="disconnect them first, or remove the containers",
        )
    return without_network(state, network_id)


# -- bridge, host, none


def predefined_networks(
    state: NetworkState,
    facts: NetworkFacts,
    *,
    ids: Mapping[str, str],
    created: str,
    bip: IPInterface | None = None,
    fixed_cidr: IPNetwork | None = None,
    fixed_cidr_v6: IPNetwork | None = None,
    bridge_name: str = "docker0",
    default_gateways: tuple[IPAddress, ...] = (),
    masquerade: bool = True,
) -> NetworkState:
    """The state with the networks bridge, host and none; the first follows the settings unless containers are on it.

    `ids`: ids for those that are to be made. `bridge_name` "none" means no default bridge. Failed, with the setting that helps, where
    another program's link or another network is in the way.
    """
    for name, driver in (("host", "host"), ("none", "null")):
        if name not in state.network_names:
            state = with_network(state, Network(id=ids[name], name=name, driver=driver, created=created))
    old = state.networks[state.network_names["bridge"]] if "bridge" in state.network_names else None
    if bridge_name == "none" or (old is not None and state.network_endpoints.get(old.id)):
        return state
    without = without_network(state, old.id) if old is not None else state
    new = default_bridge(
        without, facts, old, id=old.id if old else ids["bridge"], created=old.created if old else created,
        bip=bip, fixed_cidr=fixed_cidr, fixed_cidr_v6=fixed_cidr_v6, default_gateways=default_gateways,
        bridge_name=bridge_name, masquerade=masquerade,
    )  # fmt: skip
    return state if new == old else with_network(without, new)


def default_bridge(
    state: NetworkState,
    facts: NetworkFacts,
    old: Network | None,
    *,
    id: str,
    created: str,
    bip: IPInterface | None,
    fixed_cidr: IPNetwork | None,
    fixed_cidr_v6: IPNetwork | None,
    default_gateways: tuple[IPAddress, ...],
    bridge_name: str,
    masquerade: bool,
) -> Network:
    """The network `bridge` as the settings have it; without --bip it keeps the subnet it had."""
    adopted = bridge_name in facts.links_present
    if adopted and bridge_name == "docker0":
        raise Failed(
            "the bridge docker0 exists already and is not ours: another engine runs on this host",
            hint="choose another bridge: --bridge sanbashi0, or the key bridge in the configuration file",
        )
    requests = []
    if bip is not None:
        requests.append(SubnetRequest(subnet=bip.network, gateway=bip.ip, ip_range=fixed_cidr))
    elif fixed_cidr is not None:
        requests.append(SubnetRequest(subnet=fixed_cidr))
    elif old is not None and old.subnet4 is not None:
        requests.append(SubnetRequest(subnet=old.subnet4.subnet, gateway=old.subnet4.gateway))
    if facts.ipv6 and fixed_cidr_v6 is not None:
        requests.append(SubnetRequest(subnet=fixed_cidr_v6))
    elif facts.ipv6 and old is not None and old.subnet6 is not None:
        requests.append(SubnetRequest(subnet=old.subnet6.subnet, gateway=old.subnet6.gateway))
    for i, request in enumerate(requests):
        named = {DEFAULT_GATEWAY[g.version]: g for g in default_gateways if request.subnet is not None and g in request.subnet}
        requests[i] = replace(request, auxiliary=named)
    versions = (4, 6) if facts.ipv6 else (4,)
    choices = subnets_for(state, requests, versions, facts)
    ordered = sorted(choices, key=lambda c: c[0].subnet.version)
    return Network(
        id=id,
        name="bridge",
        driver="bridge",
        created=created,
        enable_ipv6=facts.ipv6,
        subnets=tuple(make_subnet(c.subnet, r, gateway=True) for c, r in ordered),
        options={
            PREFIX + "bridge.default_bridge": "true",
            PREFIX + "bridge.enable_icc": "true" if facts.icc else "false",
            PREFIX + "bridge.enable_ip_masquerade": "true" if masquerade else "false",
            PREFIX + "bridge.host_binding_ipv4": str(facts.default_ip or "0.0.0.0"),
            PREFIX + "bridge.name": bridge_name,
            PREFIX + "driver.mtu": str(facts.mtu or 1500),
        },
        bridge=bridge_name,
        adopted=adopted,
    )
