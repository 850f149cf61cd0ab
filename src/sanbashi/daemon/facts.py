"""What the network's commands need to know of the host and of the settings, and looking at the host again."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from ..host.facts import HostFacts
from ..network.model import NetworkFacts
from .config import DaemonConfig
from .core import Core


def network_facts(config: DaemonConfig, facts: HostFacts) -> NetworkFacts:
    """What commands need to know of the host and the settings."""
    return NetworkFacts(
        pools=config.pools,
        avoid=facts.avoid,
        ephemeral=facts.ephemeral,
        reserved_ports=facts.reserved_ports,
        ula=facts.ula,
        default_ip=config.ip,
        icc=config.icc,
        ipv6=config.ipv6,
        ip6_available=facts.ipv6,
        br_netfilter=facts.br_netfilter,
        br_netfilter6=facts.br_netfilter6,
        mtu=config.mtu,
        links_present=facts.links_present,
        links_ours=facts.links_ours,
        addresses=facts.addresses,
        default_options=config.default_network_opts,
        host_input=config.host_input,
        host_resolver=config.host_resolver,
        host_gateways=tuple(ip_address(word) for word in config.host_gateway_ips),
        direct_routing=config.allow_direct_routing,
    )


async def look_again(core: Core) -> None:
    """Take in what has changed of the host's links, routes and name servers."""
    before = core.facts
    seen = await core.on_host(core.kernel.look_again, before)
    if seen != before:
        # Only what was looked at: of the rest something else may have been learnt meanwhile.
        core.facts = replace(core.facts, links=seen.links, routes=seen.routes, on_link=seen.on_link, resolv_conf=seen.resolv_conf)
        core.network_facts = network_facts(core.config, core.facts)
