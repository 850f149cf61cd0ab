"""What the keeper keeps, an item each: held ports, forwarders, resolvers and the names they answer with, leases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from ipaddress import IPv4Address

from ..records import dataclass
from .lease import Lease
from .model import IPAddress, Protocol
from .spelling import bracketed, numbers, where

THE_HOST = "host"  # in place of an endpoint's id: names of the host itself, which a container's own of the same spelling go before


Key = tuple[object, ...]


def held(protocol: Protocol, address: IPAddress, port: int) -> Key:
    """The key of a port of the host; its address as a number, for a thousand of these are looked up at a start."""
    return "held", protocol, address.version, int(address), port


def twin_of(key: Key) -> Key:
    """Of a held port's key, that of the same port on every address of the other family; that of nothing, for a port on one address."""
    kind, protocol, version, address, port = key
    return (kind, protocol, 4 if version == 6 else 6, address, port) if not address else ()


@dataclass(frozen=True, slots=True)
class HeldPort:
    """A host port that a socket of the keeper holds, so that no other process can take it. `address` 0.0.0.0 or :: for every address.

    `count`: how many ports it is, from this one on.
    """

    protocol: Protocol
    address: IPAddress
    port: int
    count: int = 1

    @property
    def key(self) -> Key:
        return held(self.protocol, self.address, self.port)

    def each(self) -> Iterator[HeldPort]:
        """Every port by itself."""
        return (HeldPort(self.protocol, self.address, self.port + n) for n in range(self.count))

    def __str__(self) -> str:
        return f"held port {bracketed(self.address)}:{numbers(self.port, self.count)}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Forwarder:
    """A port that the keeper's forwarder serves in user space, because the kernel cannot translate between the families.

    `count`: how many ports it is, each number one more than the last.
    """

    protocol: Protocol
    address: IPAddress
    port: int
    target: IPAddress
    target_port: int
    count: int = 1

    @property
    def key(self) -> Key:
        return held(self.protocol, self.address, self.port)  # the same socket as a HeldPort, but listening

    def each(self) -> Iterator[Forwarder]:
        """Every port by itself."""
        return (Forwarder(self.protocol, self.address, self.port + n, self.target, self.target_port + n) for n in range(self.count))

    def __str__(self) -> str:
        place = f"{bracketed(self.address)}:{numbers(self.port, self.count)}/{self.protocol}"
        return f"forwarder {place} to {bracketed(self.target)}:{numbers(self.target_port, self.count)}"


@dataclass(frozen=True, slots=True)
class Resolver:
    """The resolver of one sandbox at 127.0.0.11: which networks it sees, in order, and whom it asks for the rest.

    `port`: 0 in a wish means any; once bound the recorded port is wished. `host_upstreams` are asked from the host's namespace (the host's
    own resolv.conf when `follow_host`), `upstreams` from the container's. `forward` False: nothing outside is ever asked from the host's side.
    `links`: (alias, endpoint names in the zone) of this sandbox alone. `ndots_set`: the user set ndots, so single labels are not forwarded.
    """

    sandbox: str
    networks: tuple[str, ...]  # network ids
    upstreams: tuple[str, ...] = ()
    follow_host: bool = True
    forward: bool = True
    links: tuple[tuple[str, str, tuple[IPAddress, ...]], ...] = ()  # (alias, network id or "", addresses)
    ndots_set: bool = False
    search: tuple[str, ...] = ()
    port: int = 0

    @property
    def key(self) -> Key:
        return ("resolver", self.sandbox)

    def __str__(self) -> str:
        return f"resolver in {self.sandbox[:12]}"


@dataclass(frozen=True, slots=True)
class HostResolver:
    """Where the host itself asks for the names of containers: UDP and TCP on one port of an address of its loopback."""

    address: IPAddress
    port: int

    @property
    def key(self) -> Key:
        return ("host resolver",)

    def __str__(self) -> str:
        return f"host resolver at {bracketed(self.address)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Zone:
    """A network's name, needed for NAME.NETWORK and PTR answers."""

    network: str  # id
    name: str

    @property
    def key(self) -> Key:
        return ("zone", self.network)

    def __str__(self) -> str:
        return f"zone {self.name}"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one endpoint in its network's zone; the first is what PTR answers."""

    network: str  # id
    endpoint: str  # id
    names: tuple[str, ...]
    addresses: tuple[IPAddress, ...]

    @property
    def key(self) -> Key:
        return ("names", self.network, self.endpoint)

    def __str__(self) -> str:
        return f"names {','.join(self.names)} = {','.join(map(str, self.addresses))}"


@dataclass(frozen=True, slots=True)
class Leasing:
    """A lease that the keeper gets for an endpoint's interface, renews, and gives back when this goes.

    `client_id` as hex. `ask`: the address that is asked for; `insist`: no other will do. `lease`: what was held when the daemon last heard, for a
    keeper that does not know; never compared.
    """

    sandbox: str
    endpoint: str
    link: str
    client_id: str
    hostname: str = ""
    ask: IPv4Address | None = None
    insist: bool = False
    lease: Lease | None = field(default=None, compare=False)

    @property
    def key(self) -> Key:
        return ("leasing", self.endpoint)

    def __str__(self) -> str:
        return f"lease for {self.link}{where(self.sandbox)}"
