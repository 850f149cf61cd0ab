"""A leased address as JSON: ours, beside what Docker shows of an endpoint."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from ..network.lease import Lease
from ..network.leasing import has_leases
from ..network.model import Endpoint, Network


def lease_json(network: Network | None, endpoint: Endpoint | None, *, now: float | None = None, since_boot: float | None = None) -> dict[str, Any]:
    """`DhcpLease` of an endpoint whose address is leased, null while it has none; nothing for all others."""
    if network is None or endpoint is None or not has_leases(network):
        return {}
    if endpoint.lease is None:
        return {"DhcpLease": None}
    now = time.time() if now is None else now
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME) if since_boot is None else since_boot
    return {"DhcpLease": lease_words(endpoint.lease, now - since_boot)}


def lease_words(lease: Lease, booted: float) -> dict[str, Any]:
    """What the server said; times as RFC 3339 in UTC, "" for never. `booted`: when this machine was, in seconds of the epoch."""

    def moment(after: float) -> str:
        return datetime.fromtimestamp(booted + lease.begun + after, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    return {
        "Server": str(lease.server),
        "Obtained": moment(0),
        "Renews": moment(lease.renew) if lease.ends else "",
        "Expires": moment(lease.ends) if lease.ends else "",
        "Dns": [str(server) for server in lease.dns],
        "Domains": list(lease.domains),
        "Mtu": lease.mtu,
        "Routes": [{"Destination": str(to), "Gateway": str(via) if via is not None else ""} for to, via in lease.routes],
    }
