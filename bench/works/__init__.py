"""The pieces of work, a subject a file; joined in their order in the table ALL."""

from __future__ import annotations

from . import growth, listing, names, networks, ports, pulls, stages, starts, traffic

ALL = (
    *starts.WORKS,
    *stages.WORKS,
    *ports.WORKS,
    *growth.WORKS,
    *networks.WORKS,
    *listing.WORKS,
    *names.WORKS,
    *traffic.WORKS,
    *pulls.WORKS,
)
