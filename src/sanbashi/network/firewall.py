"""Networks and endpoints to elements of the fixed tables; datapath.md's table is loaded once, only elements ever change.

A network's policy is one element in each map: what may enter its bridge, what may leave it, what may reach the host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from itertools import groupby
from operator import attrgetter

from .leasing import has_leases
from .model import Endpoint, IPAddress, Network, PortBinding, Protocol
from .names import link_local
from .options import BridgeOptions, bridge_options, guarded
from .picture import Element
from .spelling import spelled

OWN6 = IPv6Address("::1")
LENT6 = IPv6Address("100::ff00")  # table.nft
TRANSLATED = ("nat", "nat-unprotected")


def inet(set_name: str, *fields: object, data: tuple[object, ...] = (), count: int = 1) -> Element:
    """An element of the inet table, or as many as `count` says."""
    return Element("inet", set_name, tuple(map(field, fields)), tuple(map(field, data)), count)


def bridging(set_name: str, *fields: object) -> Element:
    """An element of the bridge table."""
    return Element("bridge", set_name, tuple(map(field, fields)))


def field(value: object) -> str:
    """A field of an element as nft spells it."""
    return spelled(value) if isinstance(value, IPv4Address | IPv6Address) else str(value)


# -- networks


def network_elements(network: Network) -> Iterator[Element]:
    """What stands in the tables for a network, whatever joins it."""
    options, bridge = bridge_options(network), network.bridge
    versions = families(network)
    yield inet("bridges", bridge)
    if options.icc:
        yield inet("icc", bridge, bridge)
    yield inet("entering", bridge, data=(entering(network, options),))
    for trusted in options.trusted:
        yield inet("trusted", trusted, bridge)
    if network.internal:
        yield inet("leaving", bridge, data=("drop",))
        addresses = bridge_addresses(network)
        yield inet("to_host", bridge, data=("goto host_from_internal" if addresses else "drop",))
        for address in addresses:
            yield inet(f"gateways{address.version}", bridge, address)
        return
    yield inet("outward", bridge)
    for version, source in ((4, options.source4), (6, options.source6)):
        if version in versions and options.masquerade and options.mode(version) in TRANSLATED:
            yield inet(f"masquerade{version}", bridge)
            if source is not None:
                yield inet(f"source{version}", bridge, data=(source,))


def families(network: Network) -> tuple[int, ...]:
    """The IP versions that a network speaks."""
    return (4,) * network.enable_ipv4 + (6,) * network.enable_ipv6


def entering(network: Network, options: BridgeOptions) -> str:
    """The verdict on what is forwarded to a network's bridge: of two families' modes the stricter, since one map serves both."""
    if network.internal:
        return "goto into_nat" if options.inbound else "drop"
    modes = {options.mode(version) for version in families(network)}
    if modes == {"nat-unprotected"}:
        return "accept"
    return "goto into_nat" if "nat" in modes else "goto into_routed"


def bridge_addresses(network: Network) -> tuple[IPAddress, ...]:
    """The addresses that the host has on a network's bridge."""
    inhibited = bridge_options(network).inhibit_ipv4
    return tuple(s.gateway for s in network.subnets if s.gateway is not None and not (inhibited and s.version == 4))


# -- endpoints


def endpoint_elements(
    network: Network, endpoint: Endpoint, bridges: Iterable[str], *, host_input: bool = False, direct: bool = False, own6: bool = True
) -> Iterator[Element]:
    """What stands for an endpoint. `bridges`: those of every network that its sandbox has joined, its own among them.

    `host_input`: the daemon's setting, for networks that say nothing. `direct`: what is published may be reached at the container's own address too.
    `own6`: an answer to the host's own ::1 is translated after it has left the bridge.
    """
    if guarded(network, endpoint.driver_options):
        yield from ownership(endpoint, asking=has_leases(network))
    if not bridge_options(network).icc:
        yield bridging("quiet", endpoint.host_interface)
    yield from published(endpoint, own6=own6)
    if direct:
        yield from directly(endpoint)
    own = bridge_options(network).host_input
    if host_input if own is None else own:
        yield from gated(endpoint)
    translated = {p.host_ip.version for p in endpoint.ports if p.host_port}
    for address in (i.ip for i in (endpoint.ipv4, endpoint.ipv6) if i is not None and i.version in translated):
        if has_leases(network):
            # The gateway of such a container is a router outside, so that no answer of it would pass us.
            yield inet("detached4", address)
            continue
        # Where a container is on the client's network as well, its answer would go there directly and not pass us.
        for bridge in bridges:
            yield inet(f"shortcut{address.version}", bridge, address)
        yield inet(f"itself{address.version}", address, address)


def ownership(endpoint: Endpoint, *, asking: bool = False) -> Iterator[Element]:
    """What an endpoint may send from and answer for: its addresses; before it has one 0.0.0.0 and ::; its link-local addresses.

    `asking`: it gets its address from a server, which it asks from 0.0.0.0.
    """
    port, mac = endpoint.host_interface, endpoint.mac
    own4: list[object] = [a for a in endpoint.link_local if a.version == 4]
    own6: list[object] = [a for a in endpoint.link_local if a.version == 6]
    if endpoint.ipv4 is not None:
        own4 += [endpoint.ipv4.ip, "0.0.0.0"]
    elif asking:
        own4.append("0.0.0.0")
    if endpoint.ipv6 is not None:
        own6.append(endpoint.ipv6.ip)
    if own6:
        own6 += [link_local(mac), "::"]
    for address in own4:
        yield bridging("owned4", port, mac, address)
    for address in dict.fromkeys(own6):
        yield bridging("owned6", port, mac, address)
        if address != "::":
            yield bridging("target6", port, mac, f"0x{int(address):032x}")  # type: ignore[call-overload]
    yield bridging("guarded", port)


def includes_own6(host_ip: IPAddress) -> bool:
    """Whether what is published on an address is published on ::1, alone or among all addresses."""
    return host_ip in (OWN6, IPv6Address("::"))


def by_host_ip(ports: Iterable[PortBinding]) -> Iterator[tuple[IPAddress, Iterator[PortBinding]]]:
    """Publications that are on the same address of the host beside each other: what is said of an address is found out once, not once a port."""
    return groupby(sorted(ports, key=lambda p: p.host_ip.version), key=attrgetter("host_ip"))


def published(endpoint: Endpoint, *, own6: bool = True) -> Iterator[Element]:
    """An element a port; a routed one is opened untranslated, one that the kernel cannot translate is the forwarder's.

    `own6`: see endpoint_elements. Where that is not so, clients on ::1 are lent another address.
    """
    for host_ip, ports in by_host_ip(endpoint.ports):
        version = host_ip.version
        interface = endpoint.ipv4 if version == 4 else endpoint.ipv6
        if interface is None:
            continue
        everywhere, loopback, address, target = host_ip.is_unspecified, host_ip.is_loopback, spelled(host_ip), spelled(interface.ip)
        lent = not own6 and includes_own6(host_ip)
        for p in ports:
            port = str(p.host_port)
            if not p.host_port:
                if not loopback:  # for the host alone, which reaches the container anyway
                    yield Element("inet", f"opened{version}", (target, p.protocol, str(p.container_port)))
            elif everywhere:
                yield Element("inet", f"published{version}_any", (p.protocol, port), (target, str(p.container_port)), p.count)
            else:
                yield Element("inet", f"published{version}", (address, p.protocol, port), (target, str(p.container_port)), p.count)
            if lent and p.host_port:
                yield Element("inet", "lent6", (p.protocol, port), count=p.count)


def gated(endpoint: Endpoint) -> Iterator[Element]:
    """The published ports that an unknown client reaches only once the host's own input policy has let it pass.

    What the forwarder serves is an ordinary server of the host, which that policy sees anyway.
    """
    for host_ip, ports in by_host_ip(endpoint.ports):
        if (endpoint.ipv4 if host_ip.version == 4 else endpoint.ipv6) is None:
            continue
        if host_ip.is_unspecified:
            yield from (inet(f"gated{host_ip.version}_any", p.protocol, p.host_port, count=p.count) for p in ports if p.host_port)
        else:
            yield from (inet(f"gated{host_ip.version}", host_ip, p.protocol, p.host_port, count=p.count) for p in ports if p.host_port)


def directly(endpoint: Endpoint) -> Iterator[Element]:
    """Each published port opened at the container's own address, once."""
    targets = {
        (i.ip, p.protocol, p.container_port)
        for run in endpoint.ports
        if run.host_port
        for p in run.each()
        for i in (endpoint.ipv4, endpoint.ipv6)
        if i is not None
    }
    yield from (inet(f"opened{address.version}", address, protocol, port) for address, protocol, port in targets)


def link_elements(client: Endpoint, server: Endpoint, ports: Iterable[tuple[int, Protocol]]) -> Iterator[Element]:
    """What lets a client reach a linked server's ports where the network lets nobody talk."""
    for version, ours, theirs in ((4, client.ipv4, server.ipv4), (6, client.ipv6, server.ipv6)):
        if ours is not None and theirs is not None:
            for port, protocol in ports:
                yield inet(f"links{version}", ours.ip, theirs.ip, protocol, port)
                yield bridging(f"links{version}", ours.ip, theirs.ip, protocol, port)
