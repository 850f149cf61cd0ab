"""What stands in the kernel, an item each: namespaces, settings, links, addresses, routes, neighbours, elements of our tables.

As of every item: `key` names it, `str(item)` is its line, `namespace` "" is the host and otherwise a sandbox id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, replace

from ..records import dataclass
from .model import IPAddress, IPInterface, IPNetwork
from .spelling import where

Announce = tuple[int, int]  # times, milliseconds between


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

    `family` is inet or bridge. Verdict data is one field: "goto into_nat", "drop", "accept". `count`: how many elements it is; in each the port, the
    last field of the key and of the data, is one more than in the last.
    """

    family: str
    set: str
    fields: tuple[str, ...]
    data: tuple[str, ...] = ()
    count: int = 1

    @property
    def key(self) -> tuple[object, ...]:
        return ("element", self.family, self.set, self.fields)

    def each(self) -> Iterator[Element]:
        """Every element by itself."""
        for n in range(self.count):
            yield Element(self.family, self.set, further(self.fields, n), further(self.data, n)) if n else replace(self, count=1)

    def __str__(self) -> str:
        last = self.count - 1
        key, data = (" . ".join(words) + (f"-{further(words, last)[-1]}" if last and words else "") for words in (self.fields, self.data))
        return f"{self.family} {self.set} {{ {key}{' : ' + data if data else ''} }}"


def further(words: tuple[str, ...], n: int) -> tuple[str, ...]:
    """The words with their port that many further."""
    return (*words[:-1], str(int(words[-1]) + n)) if words else ()
