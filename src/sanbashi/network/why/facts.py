"""What is known when the question is judged: who asks whom, and what the kernel, the resolver and a probe say. Plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

from ...records import dataclass
from ..model import Endpoint, IPAddress
from ..picture import Element, Item

Asking = Literal["tcp", "udp", "sctp", "icmp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One end of the question. `mode` as of a Sandbox; `endpoints` the best gateway first; `joined`: shares the namespace of this other container."""

    kind: Literal["container", "host", "outside", "address"]
    name: str
    status: str = "running"
    mode: str = "private"
    sandbox: str = ""
    container: str = ""  # id
    endpoints: tuple[Endpoint, ...] = ()
    joined: str = ""

    @property
    def runs(self) -> bool:
        return self.kind != "container" or self.status in ("running", "paused")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`asked` is the target as it was typed, `address` where that was, or became, an address; port 0 for icmp."""

    source: Party
    target: Party
    asked: str
    protocol: Asking = "tcp"
    port: int = 0
    address: IPAddress | None = None

    @property
    def place(self) -> str:
        return f"{self.asked} (icmp)" if self.protocol == "icmp" else f"{self.asked}:{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """The kernel's answer to "which way to this address": out of `link`, to `via`, from `source`; `errno` and `words` where it has none."""

    link: str = ""
    via: IPAddress | None = None
    source: IPAddress | None = None
    kind: str = "unicast"
    errno: int = 0
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A socket that takes connections, or datagrams, on a port; `only6`: an IPv6 wildcard that does not take IPv4."""

    address: IPAddress
    process: str = ""
    only6: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NameAnswer:
    """What the asking container is told of a name. `outcome`: ok, nxdomain, failed, timeout; `by`: whom it asked."""

    outcome: Literal["ok", "nxdomain", "failed", "timeout"]
    addresses: tuple[IPAddress, ...] = ()
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule as nft's JSON has it."""

    chain: str
    handle: int
    expressions: Sequence[Mapping[str, Any]]
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A base chain of somebody else's; `mend` is the command that lets forwarded packets pass it, "" where there is none."""

    family: str
    table: str
    name: str
    hook: str
    priority: int
    policy: str = "accept"
    owner: str = "nftables"
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.family} {self.table} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The tables of a namespace that are not ours: base chains, and the rules of each chain by (family, table, chain). `legacy`: older tools whose
    rules nft does not show."""

    chains: tuple[Chain, ...] = ()
    rules: Mapping[tuple[str, str, str], Sequence[Rule]] = field(default_factory=dict)
    legacy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What became of a real packet: answered, refused, unreachable, silent (nothing came within the time), failed; `words` what the kernel said."""

    outcome: Literal["answered", "refused", "unreachable", "silent", "failed"]
    words: str = ""
    milliseconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was seen; None where it was not looked at: there was nothing to look at, or it is not on this way.

    `missing` are items of the two sandboxes and their networks that are not there, or not so; `unwanted` elements of ours that nobody wished.
    """

    name: NameAnswer | None = None
    route: Hop | None = None  # from the source
    forward: Hop | None = None  # through the host, as it comes in
    reply: Hop | None = None  # back from the target
    mtus: Mapping[str, int] = field(default_factory=dict)  # link -> MTU: the ends in the containers, the bridges
    listeners: tuple[Listener, ...] | None = None
    tables: Tables = Tables()
    inner_source: Tables = Tables()
    inner_target: Tables = Tables()
    missing: tuple[Item, ...] = ()
    unwanted: tuple[Element, ...] = ()
    fixed: bool = True  # the fixed chains are as we made them
    closed: frozenset[str] = frozenset()  # links of this way that do not forward; "" for all
    connections: tuple[int, int] | None = None  # how many are tracked, and how many can be
    filters_bridges: bool = False  # bridged packets pass the IP hooks
    uplink: str = ""  # the link to the outside
    probe: Probe | None = None
