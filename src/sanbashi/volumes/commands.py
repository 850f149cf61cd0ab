"""Making, finding and removing volumes: volumes in, the next volumes out; Docker's sentences for what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import immutables

from ..errors import Conflict, Invalid, NotFound
from .model import Volume, check_name

LOCAL_OPTIONS = ("type", "o", "device", "size")


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
    """The volumes with this one, which is the one of that name where there is one already (its options must then agree)."""
    check_name(name)
    if driver not in ("", "local"):
        raise NotFound(f'error looking up volume plugin {driver}: plugin "{driver}" not found')
    options = options or {}
    check_options(options)
    old = volumes.get(name)
    if old is not None:
        if options and dict(options) != dict(old.options):
            raise Conflict(f'create {name}: volume name "{name}" already exists with different options')
        return volumes, old
    volume = Volume(name=name, created=created, mountpoint=mountpoint(name), options=dict(options), labels=dict(labels or {}), anonymous=anonymous)
    return volumes.set(name, volume), volume


def check_options(options: Mapping[str, str]) -> None:
    """The local driver's options: type, o and device are mount(8)'s; a size needs a quota that we do not keep."""
    for key in options:
        if key not in LOCAL_OPTIONS:
            raise Invalid(f'invalid option: "{key}"')
    if "size" in options:
        raise Invalid("quota size requested but no quota support")
    if options.get("type") and options["type"] not in ("none", "tmpfs") and not options.get("device"):
        raise Invalid("missing device in volume options")
    if options.get("device") and not options.get("type"):
        raise Invalid("missing type in volume options")
    if options.get("o") and not options.get("type"):
        raise Invalid("missing type in volume options")


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
