"""What a driver is: checks of a network at its creation, and the items of a network and of an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..model import Endpoint, Network, NetworkFacts
from ..picture import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """An endpoint with what of its sandbox matters to its items: the bridges of all its networks, and whether it is the way out."""

    endpoint: Endpoint
    bridges: tuple[str, ...] = ()
    gateway4: bool = False
    gateway6: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """`check` raises what is wrong with a network's options and returns warnings. `single`: the predefined network is the only one.

    `links`: its endpoints have an interface and addresses.
    """

    name: str
    single: bool = False
    links: bool = False
    check: Callable[[Network], tuple[str, ...]] = lambda network: ()
    network_items: Callable[[Network, NetworkFacts], Iterable[Item]] = lambda network, facts: ()
    endpoint_items: Callable[[Network, Joined, NetworkFacts], Iterable[Item]] = lambda network, joined, facts: ()
