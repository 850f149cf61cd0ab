"""What a driver is: checks of a network at its creation, and the items of a network and of an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ...records import dataclass
from ..ipam import default_gateway
from ..model import Endpoint, IPAddress, Network, NetworkFacts, NetworkState, Subnet
from ..picture import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """An endpoint with what of its sandbox matters to its items: the bridges of all its networks, and whether it is the way out."""

    endpoint: Endpoint
    bridges: tuple[str, ...] = ()
    hostname: str = ""  # of its container
    gateway4: bool = False
    gateway6: bool = False


def way_out(network: Network, subnet: Subnet) -> IPAddress | None:
    """What an endpoint would use as gateway; nothing where the network is internal."""
    return None if network.internal else default_gateway(subnet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """`check` raises what is wrong with a network's options and returns warnings. `single`: the predefined network is the only one.

    `links`: its endpoints have an interface and addresses. `place`: a new network with the host's link that it stands on settled; raises what
    other networks and the kernel have against it. `reserves_gateway`: whether a gateway is reserved where none was asked for. `way_out`: the
    gateway of endpoints on a subnet. `publishes`: ports can be published. `many_subnets`: more than one of a family.
    """

    name: str
    single: bool = False
    links: bool = False
    publishes: bool = False
    many_subnets: bool = False
    host_ends: bool = False  # each endpoint has an interface on the host too
    own_macs: bool = True
    check: Callable[[Network], tuple[str, ...]] = lambda network: ()
    place: Callable[[NetworkState, Network, NetworkFacts], Network] = lambda state, network, facts: network
    reserves_gateway: Callable[[Network, int], bool] = lambda network, version: False
    way_out: Callable[[Network, Subnet], IPAddress | None] = way_out
    network_items: Callable[[Network, NetworkFacts], Iterable[Item]] = lambda network, facts: ()
    endpoint_items: Callable[[Network, Joined, NetworkFacts], Iterable[Item]] = lambda network, joined, facts: ()
