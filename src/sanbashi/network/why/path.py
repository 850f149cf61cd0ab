"""The way that packets of a question should go, as a value: by which endpoints, to which address before and after translation."""

from __future__ import annotations

from enum import Enum

from ...records import dataclass
from ..firewall import entering
from ..model import Endpoint, IPAddress, Network, NetworkFacts, NetworkState, PortBinding
from ..options import bridge_options
from .facts import Question


class Kind(Enum):
    """What kind of way it is."""

    INSIDE = "within one namespace"
    SHARED = "on one network"
    ROUTED = "from one network of ours to a container's own address on another"
    TRANSLATED = "from a container to a published port, by an address of the host"
    TO_HOST = "from a container to the host itself"
    OUT = "from a container to the outside"
    FROM_HOST = "from the host to a container's own address"
    FROM_OUTSIDE = "from a neighbour of the host to a published port"
    DIRECT = "from a neighbour of the host to a container's own address"
    NOWHERE = "no way can be drawn: an end of it has no network"


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """`asked` and `asked_port` are what the source sends to, `address` and `port` what the target is reached at; `origin` where it sends from.

    `come` is the endpoint by which it leaves its source, `go` the one by which it arrives; `binding` the publication that leads there.
    """

    kind: Kind
    question: Question
    state: NetworkState
    facts: NetworkFacts
    come: Endpoint | None = None
    go: Endpoint | None = None
    origin: IPAddress | None = None
    asked: IPAddress | None = None
    asked_port: int = 0
    address: IPAddress | None = None
    port: int = 0
    binding: PortBinding | None = None

    @property
    def version(self) -> int:
        return self.address.version if self.address is not None else 4

    @property
    def source_network(self) -> Network | None:
        return self.state.networks[self.come.network_id] if self.come is not None else None

    @property
    def target_network(self) -> Network | None:
        return self.state.networks[self.go.network_id] if self.go is not None else None

    @property
    def networks(self) -> tuple[Network, ...]:
        """Those that it touches, each once."""
        found = [n for n in (self.source_network, self.target_network) if n is not None]
        return tuple({n.id: n for n in found}.values())

    @property
    def sandboxes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(e.sandbox_id for e in (self.come, self.go) if e is not None))

    @property
    def reached(self) -> str:
        """Who takes the packets in the end: the container behind a published port, where one is asked for by an address of the host."""
        return self.go.container_name if self.kind is Kind.TRANSLATED and self.go is not None else self.question.target.name

    @property
    def bridged(self) -> bool:
        """Whether all networks on it are bridges, so that the host's rules have a say."""
        return all(n.driver == "bridge" for n in self.networks)


def address_of(endpoint: Endpoint, version: int) -> IPAddress | None:
    """An endpoint's own address of a family."""
    held = endpoint.ipv4 if version == 4 else endpoint.ipv6
    return held.ip if held is not None else None


def entering_verdict(state: NetworkState, endpoint: Endpoint) -> str:
    """What is done with what is forwarded to an endpoint's network; "" where it is no bridge."""
    network = state.networks[endpoint.network_id]
    return entering(network, bridge_options(network)) if network.driver == "bridge" else ""
