"""Which published ports come to nothing on a container's networks: Docker drops them in silence, we say so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .model import Network, PortSpec
from .options import bridge_options
from .publishing import ANY4
from .spelling import bracketed, numbers


def discarded(networks: Sequence[Network], specs: Iterable[PortSpec]) -> Iterator[str]:
    """A sentence for each publication that none of these networks can carry; one for all where none of them publishes anything."""
    specs = tuple(specs)
    if not specs or not networks:
        return
    able = [network for network in networks if publishes(network)]
    if not able:
        yield "Published ports are discarded: " + ", ".join(map(reason, networks))
        return
    names = " and ".join(network.name for network in able)
    for spec in specs:
        if not any(carries(network, spec) for network in able):
            yield f"Published port {written(spec)} is discarded: there is no IPv4 on {names}"


def publishes(network: Network) -> bool:
    """Whether ports are published on a network: only a bridge stands between its containers and the world."""
    return network.driver == "bridge" and (not network.internal or bridge_options(network).inbound)


def carries(network: Network, spec: PortSpec) -> bool:
    """Whether a publication has an address on a network; a host's IPv6 is led to IPv4 where there is no other, not the reverse."""
    default = bridge_options(network).host_binding
    address = spec.host_ip or (None if default == ANY4 else default)
    return network.enable_ipv4 or address is None or address.version == 6


def reason(network: Network) -> str:
    """Why a network publishes nothing."""
    if network.driver in ("null", "host"):
        return f"the network mode is {network.name}"
    if network.driver == "bridge":
        return f"network {network.name} is internal"
    return f"containers on {network.name} ({network.driver}) are reached at their own addresses"


def written(spec: PortSpec) -> str:
    """A publication as `docker ps` shows it."""
    choice = spec.host_port_end - spec.host_port + 1 if spec.host_port_end else spec.count
    ports = numbers(spec.host_port, choice) if spec.host_port else ""
    host = f"{bracketed(spec.host_ip)}:" if spec.host_ip is not None else ""
    return f"{host}{ports}->{numbers(spec.container_port, spec.count)}/{spec.protocol}"
