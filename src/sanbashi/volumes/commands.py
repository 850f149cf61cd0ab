"""Making, finding and removing volumes: volumes in, the next volumes out; Docker's sentences for what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import immutables

from ..errors import Conflict, NotFound
from .model import Volume, check_name
from .options import check_options


def create_volume(
    volumes: immutables.Map[str, Volume],
    name: str,
    *,
    created: str,
    mountpoint: Callable[[str], str],
    driver: str = "local",
    options: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    anonymous: bool = False,
) -> tuple[immutables.Map[str, Volume], Volume]:
    """The volumes with this one, which is the one of that name where there is one already, whatever its options: so Docker has it."""
    check_name(name)
    if driver not in ("", "local"):
        raise NotFound(f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found')
    options = options or {}
    check_options(options)
    old = volumes.get(name)
    if old is not None:
        return volumes, old
    volume = Volume(name=name, created=created, mountpoint=mountpoint(name), options=dict(options), labels=dict(labels or {}), anonymous=anonymous)
    return volumes.set(name, volume), volume


def find_volume(volumes: Mapping[str, Volume], name: str) -> Volume:
    """The volume of that name."""
    volume = volumes.get(name)
    if volume is None:
        raise NotFound(f"get {name}: no such volume")
    return volume


def remove_volume(volumes: immutables.Map[str, Volume], name: str, users: Iterable[str], *, force: bool = False) -> immutables.Map[str, Volume]:
    """The volumes without this one; `users` are the ids of the containers that mount it. `force` makes "not there" no mistake."""
    if name not in volumes:
        if force:
            return volumes
        raise NotFound(f"get {name}: no such volume")
    using = sorted(users)
    if using:
        raise Conflict(f"remove {name}: volume is in use - [{', '.join(using)}]")
    return volumes.delete(name)
