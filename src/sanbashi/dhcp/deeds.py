"""What a DHCP client wants done: by whoever has its sockets, and by whoever sets its address."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TypeAlias

from ..network.lease import Lease
from ..records import dataclass
from . import wire


@dataclass(frozen=True, slots=True)
class Send:
    """A message for a server, from an address; `target` None for whoever listens."""

    message: bytes
    source: IPv4Address = wire.NOWHERE
    target: IPv4Address | None = None
    hardware: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """Everybody on the network is to be asked whether he has this address."""

    address: IPv4Address


@dataclass(frozen=True, slots=True)
class Bound:
    """A lease is held, new or renewed."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Lost:
    """The address may be used no longer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A server offers what cannot be taken: another address than the one insisted on, or, as `reason` says, one that somebody has."""

    offered: IPv4Address
    reason: str = ""


Deed: TypeAlias = Send | Probe | Bound | Lost | Refused
