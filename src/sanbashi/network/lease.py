"""What a DHCP server lends to an endpoint, and what the keeper tells of it; values that travel as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any, Literal

from ..records import dataclass

LeaseRoute = tuple[IPv4Network, IPv4Address | None]  # destination, gateway; None is on-link
# waiting: asked for; bound: held; lost: to be used no longer; refused: the server has another address than the one insisted on
Word = Literal["waiting", "bound", "lost", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A lease as the server wrote it. Times in seconds: `begun` on the clock that counts since boot, the others after it; `ends` 0 is never.

    `mtu` 0: nothing said, or more than the link has. `routes` are option 121's but for the default route, whose gateway is `router`.
    """

    address: IPv4Interface
    server: IPv4Address
    server_mac: str = ""
    router: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    mtu: int = 0
    routes: tuple[LeaseRoute, ...] = ()
    begun: float = 0.0
    renew: float = 0.0
    rebind: float = 0.0
    ends: float = 0.0

    @property
    def domains(self) -> tuple[str, ...]:
        """The search list: option 119, else the one domain of option 15."""
        return self.search or ((self.domain,) if self.domain else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseReport:
    """How it stands with an endpoint's lease. `reason`: why it was lost; `offered`: the address that the server has instead."""

    endpoint: str
    word: Word
    lease: Lease | None = None
    reason: str = ""
    offered: str = ""


# -- as JSON


def lease_plain(lease: Lease) -> dict[str, Any]:
    """A lease as JSON can carry it."""
    return {
        "address": str(lease.address),
        "server": str(lease.server),
        "server_mac": lease.server_mac,
        "router": str(lease.router) if lease.router is not None else None,
        "dns": [str(server) for server in lease.dns],
        "domain": lease.domain,
        "search": list(lease.search),
        "mtu": lease.mtu,
        "routes": [[str(to), str(via) if via is not None else None] for to, via in lease.routes],
        "begun": lease.begun,
        "renew": lease.renew,
        "rebind": lease.rebind,
        "ends": lease.ends,
    }


def lease_of(words: Mapping[str, Any]) -> Lease:
    """The lease that `lease_plain` wrote; ValueError, KeyError, TypeError."""
    return Lease(
        address=IPv4Interface(words["address"]),
        server=IPv4Address(words["server"]),
        server_mac=words["server_mac"],
        router=IPv4Address(words["router"]) if words["router"] is not None else None,
        dns=tuple(map(IPv4Address, words["dns"])),
        domain=words["domain"],
        search=tuple(words["search"]),
        mtu=words["mtu"],
        routes=tuple((IPv4Network(to), IPv4Address(via) if via is not None else None) for to, via in words["routes"]),
        begun=words["begun"],
        renew=words["renew"],
        rebind=words["rebind"],
        ends=words["ends"],
    )


def report_plain(report: LeaseReport) -> dict[str, Any]:
    """A report as JSON can carry it."""
    lease = lease_plain(report.lease) if report.lease is not None else None
    return {"endpoint": report.endpoint, "word": report.word, "lease": lease, "reason": report.reason, "offered": report.offered}


def report_of(words: Mapping[str, Any]) -> LeaseReport:
    """The report that `report_plain` wrote; ValueError, KeyError, TypeError."""
    lease = lease_of(words["lease"]) if words["lease"] is not None else None
    return LeaseReport(endpoint=words["endpoint"], word=words["word"], lease=lease, reason=words["reason"], offered=words["offered"])
