"""Kernel network state as a value: a Picture is a set of Items, and it describes both what we want and what is there.

An Item is one thing that exists or not. `key` names it: two items of one key cannot exist together, so a changed value is a replacement.
`str(item)` is the line that the log, a dry run, an error and a golden file all print. `namespace` "" is the host, otherwise a sandbox id.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Protocol as TypingProtocol

from .lease import Lease
from .model import IPAddress, IPInterface, IPNetwork, Protocol

Announce = tuple[int, int]  # times, milliseconds between


class Item(TypingProtocol):
    """One thing in the kernel or the keeper that exists or not."""

    @property
    def key(self) -> tuple[object, ...]: ...


@dataclass(frozen=True, slots=True)
class Namespace:
    """A pinned network namespace with lo up; its file is EXEC_ROOT/netns/<sandbox id[:12]>."""

    sandbox: str

    @property
    def key(self) -> tuple[object, ...]:
        return ("namespace", self.sandbox)

    def __str__(self) -> str:
        return f"namespace {self.sandbox[:12]}"


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A kernel setting of ours; `path` with slashes: net/ipv4/conf/docker0/route_localnet."""

    namespace: str
    path: str
    value: str

    @property
    def key(self) -> tuple[object, ...]:
        return ("sysctl", self.namespace, self.path)

    def __str__(self) -> str:
        return f"sysctl {self.path}={self.value}{where(self.namespace)}"


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge on the host. `alias` is sanbashi:<network id[:12]>; `adopted`: it was there before us, never made or removed by us."""

    name: str
    alias: str
    mtu: int = 0
    adopted: bool = False
    mac: str = ""  # "": left to the kernel, never compared

    @property
    def key(self) -> tuple[object, ...]:
        return ("link", "", self.name)

    def __str__(self) -> str:
        return f"bridge {self.name}"


@dataclass(frozen=True, slots=True)
class Veth:
    """A veth pair: `name` on the host, a port of `master`, and `peer` with `mac` in the namespace.

    `alias` is sanbashi:<network id[:12]>:<endpoint id[:12]>. `announce`: how often, and at how many milliseconds, its addresses are announced
    to neighbours when it comes up.
    """

    name: str
    alias: str
    master: str
    namespace: str
    peer: str
    mac: str
    mtu: int = 0
    hairpin: bool = False
    announce: Announce = field(default=(0, 0), compare=False)

    @property
    def key(self) -> tuple[object, ...]:
        return ("link", "", self.name)

    def __str__(self) -> str:
        return f"veth {self.name} on {self.master} to {self.peer}{where(self.namespace)}"


@dataclass(frozen=True, slots=True)
class Parent:
    """A link on the host that sublinks stand on: the VLAN `tag` of the link `over`, or with `over` "" a dummy.

    `alias` is sanbashi:vlan:<name> for a VLAN, which networks may share, and sanbashi:<network id[:12]> for a dummy.
    """

    name: str
    alias: str
    over: str = ""
    tag: int = 0

    @property
    def key(self) -> tuple[object, ...]:
        return ("link", "", self.name)

    def __str__(self) -> str:
        return f"VLAN {self.tag} of {self.over}: {self.name}" if self.over else f"dummy {self.name}"


@dataclass(frozen=True, slots=True)
class Sublink:
    """A macvlan or ipvlan interface in a namespace, on the host's link `parent`; `mode` and `flag` in Docker's words.

    `mac` "": the parent's (ipvlan, passthru). `alias` as a veth pair's. `announce` as there.
    """

    kind: str
    parent: str
    namespace: str
    name: str
    alias: str
    mode: str
    flag: str = ""
    mac: str = ""
    mtu: int = 0
    announce: Announce = field(default=(0, 0), compare=False)

    @property
    def key(self) -> tuple[object, ...]:
        return ("link", self.namespace, self.name)

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({self.mode}) on {self.parent}{where(self.namespace)}"


@dataclass(frozen=True, slots=True)
class Address:
    """An address on a link. `announce` as a veth pair's, for one that comes to a link that is up."""

    namespace: str
    link: str
    address: IPInterface
    announce: Announce = field(default=(0, 0), compare=False)

    @property
    def key(self) -> tuple[object, ...]:
        return ("address", self.namespace, self.link, self.address)

    def __str__(self) -> str:
        return f"address {self.address} on {self.link}{where(self.namespace)}"


@dataclass(frozen=True, slots=True)
class Mtu:
    """An MTU that was leased, on a link in a namespace; it goes with the link."""

    namespace: str
    link: str
    mtu: int

    @property
    def key(self) -> tuple[object, ...]:
        return ("mtu", self.namespace, self.link)

    def __str__(self) -> str:
        return f"MTU {self.mtu} on {self.link}{where(self.namespace)}"


@dataclass(frozen=True, slots=True)
class Up:
    """A link that is up: bridges before routes, endpoint links (both ends of the veth) after rules."""

    namespace: str
    link: str
    endpoint: bool = False

    @property
    def key(self) -> tuple[object, ...]:
        return ("up", self.namespace, self.link)

    def __str__(self) -> str:
        return f"{self.link} up{where(self.namespace)}"


@dataclass(frozen=True, slots=True)
class Route:
    """A route; `via` None is on-link. `table` "" is main. Ours carry route protocol 83."""

    namespace: str
    destination: IPNetwork
    link: str
    via: IPAddress | None = None
    metric: int = 0
    kind: str = "unicast"
    table: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        return ("route", self.namespace, self.destination, self.link, self.metric, self.kind, self.table)

    def __str__(self) -> str:
        return f"route {self.destination}{f' via {self.via}' if self.via else ''} dev {self.link}{where(self.namespace)}"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A permanent neighbour entry on the host (namespace "") for an endpoint that we own."""

    namespace: str
    link: str
    address: IPAddress
    mac: str

    @property
    def key(self) -> tuple[object, ...]:
        return ("neighbour", self.namespace, self.link, self.address)

    def __str__(self) -> str:
        return f"neighbour {self.address} {self.mac} on {self.link}{where(self.namespace)}"


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a set or map of our tables. `fields` and `data` in nft's own spelling, a field each: ("docker0",), ("172.17.0.2", "80").

    `family` is inet or bridge. Verdict data is one field: "goto into_nat", "drop", "accept".
    """

    family: str
    set: str
    fields: tuple[str, ...]
    data: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[object, ...]:
        return ("element", self.family, self.set, self.fields)

    def __str__(self) -> str:
        return f"{self.family} {self.set} {{ {' . '.join(self.fields)}{' : ' + ' . '.join(self.data) if self.data else ''} }}"


@dataclass(frozen=True, slots=True)
class HeldPort:
    """A host port that a socket of the keeper holds, so that no other process can take it. `address` 0.0.0.0 or :: for every address."""

    protocol: Protocol
    address: IPAddress
    port: int

    @property
    def key(self) -> tuple[object, ...]:
        return ("held", self.protocol, self.address, self.port)

    def __str__(self) -> str:
        return f"held port {bracketed(self.address)}:{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Forwarder:
    """A port that the keeper's forwarder serves in user space, because the kernel cannot translate between the families."""

    protocol: Protocol
    address: IPAddress
    port: int
    target: IPAddress
    target_port: int

    @property
    def key(self) -> tuple[object, ...]:
        return ("held", self.protocol, self.address, self.port)  # the same socket as a HeldPort, but listening

    def __str__(self) -> str:
        return f"forwarder {bracketed(self.address)}:{self.port}/{self.protocol} to {bracketed(self.target)}:{self.target_port}"


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
    def key(self) -> tuple[object, ...]:
        return ("resolver", self.sandbox)

    def __str__(self) -> str:
        return f"resolver in {self.sandbox[:12]}"


@dataclass(frozen=True, slots=True)
class HostResolver:
    """Where the host itself asks for the names of containers: UDP and TCP on one port of an address of its loopback."""

    address: IPAddress
    port: int

    @property
    def key(self) -> tuple[object, ...]:
        return ("host resolver",)

    def __str__(self) -> str:
        return f"host resolver at {bracketed(self.address)}:{self.port}"


@dataclass(frozen=True, slots=True)
class Zone:
    """A network's name, needed for NAME.NETWORK and PTR answers."""

    network: str  # id
    name: str

    @property
    def key(self) -> tuple[object, ...]:
        return ("zone", self.network)

    def __str__(self) -> str:
        return f"zone {self.name}"


THE_HOST = "host"  # in place of an endpoint's id: names of the host itself, which a container's own of the same spelling go before


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one endpoint in its network's zone; the first is what PTR answers."""

    network: str  # id
    endpoint: str  # id
    names: tuple[str, ...]
    addresses: tuple[IPAddress, ...]

    @property
    def key(self) -> tuple[object, ...]:
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
    def key(self) -> tuple[object, ...]:
        return ("leasing", self.endpoint)

    def __str__(self) -> str:
        return f"lease for {self.link}{where(self.sandbox)}"


# The order in which things come into being; they go in the exact reverse, and a replacement adds before it removes where both can exist.
# Rules stand before an endpoint can talk and until it cannot; routes stand as long as a rule may translate to them.
ORDER: tuple[tuple[type, str], ...] = (
    (Namespace, "namespace"),
    (Bridge, "link"),
    (Parent, "link"),
    (Veth, "link"),
    (Sublink, "link"),
    (Sysctl, "sysctl"),
    (Mtu, "address"),
    (Address, "address"),
    (Up, "bridge up"),  # endpoint=False
    (Neighbour, "neighbour"),
    (Route, "route"),
    (HeldPort, "held port"),
    (Forwarder, "held port"),
    (Element, "rules"),
    (Up, "endpoint up"),  # endpoint=True
    (Zone, "names"),
    (Resolver, "names"),
    (Names, "names"),
    (HostResolver, "names"),
    (Leasing, "leases"),  # the server is asked when the endpoint can talk, and given back what it lent before it cannot
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A set of items, one of each key."""

    items: frozenset[Item] = field(default_factory=frozenset)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __or__(self, other: Picture) -> Picture:
        return Picture(self.items | other.items)

    def __sub__(self, other: Picture) -> Picture:
        return Picture(self.items - other.items)

    @classmethod
    def of(cls, items: Iterable[Item]) -> Picture:
        return cls(frozenset(items))


def where(namespace: str) -> str:
    """The part of an item's line that names its namespace."""
    return f" in {namespace[:12]}" if namespace else ""


def bracketed(address: IPAddress) -> str:
    """An address as it stands before a colon and a port."""
    return f"[{spelled(address)}]" if address.version == 6 else spelled(address)


@functools.lru_cache(maxsize=4096, typed=True)
def spelled(value: IPAddress | IPInterface | IPNetwork) -> str:
    """An address as text, kept: hundreds of ports name the same few, and to spell one of IPv6 takes longer than all else of a port."""
    return str(value)
