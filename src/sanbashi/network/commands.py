"""Commands on networks: (state, request) -> new state; the caller decides whether it happened. Docker's sentences throughout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..errors import Failed, Forbidden, Invalid, NotFound
from .creating import check_request, create_network, from_configuration, subnet_reasons, users_of
from .indexes import with_network, without_network
from .ipam import DEFAULT_GATEWAY, make_subnet, subnets_for
from .joining import check_wish, close_sandbox, join, leave, open_sandbox, rename_container
from .model import PREDEFINED, IPAddress, IPInterface, IPNetwork, Network, NetworkFacts, NetworkState, SubnetRequest
from .options import PREFIX
from .publishing import endpoints_of, gateway_endpoints, publish

__all__ = [
    "check_request",
    "check_wish",
    "close_sandbox",
    "create_network",
    "endpoints_of",
    "find_network",
    "from_configuration",
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


NO_BRIDGE = "none"  # --bridge=none


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
    if users := users_of(state, network):
        raise Forbidden(f'configuration network "{network.name}" is in use', hint="by " + ", ".join(sorted(n.name for n in users)))
    return without_network(state, network_id)


# -- bridge, host, none


def predefined_networks(
    state: NetworkState,
    facts: NetworkFacts,
    *,
    ids: Mapping[str, str],
    created: str,
    bip: IPInterface | None = None,
    bip6: IPInterface | None = None,
    fixed_cidr: IPNetwork | None = None,
    fixed_cidr_v6: IPNetwork | None = None,
    bridge_name: str = "docker0",
    default_gateways: tuple[IPAddress, ...] = (),
    masquerade: bool = True,
) -> NetworkState:
    """The state with the networks bridge, host and none; the first follows the settings unless containers are on it.

    `ids`: ids for those that are to be made. `bridge_name` "none": no network bridge, as soon as nobody is on it. Failed, with the setting that
    helps, where another program's link or another network is in the way.
    """
    for name, driver in (("host", "host"), ("none", "null")):
        if name not in state.network_names:
            state = with_network(state, Network(id=ids[name], name=name, driver=driver, created=created))
    old = state.networks[state.network_names["bridge"]] if "bridge" in state.network_names else None
    if old is not None and state.network_endpoints.get(old.id):
        return state
    without = without_network(state, old.id) if old is not None else state
    if bridge_name == NO_BRIDGE:
        return without
    new = default_bridge(
        without, facts, old, id=old.id if old else ids["bridge"], created=old.created if old else created,
        bip=bip, bip6=bip6, fixed_cidr=fixed_cidr, fixed_cidr_v6=fixed_cidr_v6, default_gateways=default_gateways,
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
    bip6: IPInterface | None,
    fixed_cidr: IPNetwork | None,
    fixed_cidr_v6: IPNetwork | None,
    default_gateways: tuple[IPAddress, ...],
    bridge_name: str,
    masquerade: bool,
) -> Network:
    """The network `bridge` as the settings have it; without --bip and --bip6 it keeps the subnets it had."""
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
    elif adopted and (there := next((a for a in facts.addresses.get(bridge_name, ()) if a.version == 4), None)) is not None:
        requests.append(SubnetRequest(subnet=there.network, gateway=there.ip))
    elif old is not None and old.subnet4 is not None:
        requests.append(SubnetRequest(subnet=old.subnet4.subnet, gateway=old.subnet4.gateway))
    if facts.ipv6 and bip6 is not None:
        requests.append(SubnetRequest(subnet=bip6.network, gateway=bip6.ip, ip_range=fixed_cidr_v6))
    elif facts.ipv6 and fixed_cidr_v6 is not None:
        requests.append(SubnetRequest(subnet=fixed_cidr_v6))
    elif facts.ipv6 and old is not None and old.subnet6 is not None:
        requests.append(SubnetRequest(subnet=old.subnet6.subnet, gateway=old.subnet6.gateway))
    versions = (4, 6) if facts.ipv6 else (4,)
    choices = subnets_for(state, requests, versions, facts)
    ordered = sorted(choices, key=lambda c: c[0].subnet.version)
    gateways = {g.version: g for g in default_gateways}
    for choice, _ in ordered:
        if (wrong := gateways.get(choice.subnet.version)) is not None and wrong not in choice.subnet:
            option = "--default-gateway" if wrong.version == 4 else "--default-gateway-v6"
            raise Failed(f"{option} {wrong} is no address of {choice.subnet}, the default network", hint="--bip and --bip6 choose its subnets")
    return Network(
        id=id,
        name="bridge",
        driver="bridge",
        created=created,
        enable_ipv6=facts.ipv6,
        subnets=tuple(
            make_subnet(c.subnet, replace(r, auxiliary={DEFAULT_GATEWAY[v]: gateways[v]} if v in gateways else {}), gateway=True)
            for c, r in ordered
            for v in (c.subnet.version,)
        ),
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
        found=(old.found if old is not None and old.bridge == bridge_name else facts.addresses.get(bridge_name, ())) if adopted else (),
    )
