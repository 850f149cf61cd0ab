"""What the daemon and the keeper say to each other over EXEC_ROOT/keeper.sock.

A frame is four bytes of length and JSON. Descriptors (SCM_RIGHTS) travel with the first byte of the frame that counts them. Each request has one
reply, in order:

  {"hello": [versions]}                -> {"hello": version, "keeper": id, "revision": n, "pid": n} or {"refused": sentence}
  {"items": true}                      -> {"revision": n, "items": [...]}
  {"change": revision, "remove": [...], "add": [...], "sockets": [n, ...], "whole": bool}
                                       -> {"revision": n, "failed": [[place in add, errno], ...]} or {"stale": revision}
  {"status": true}                     -> {"revision": n, ...counts}
  {"subscribe": true}                  -> {"leases": [report, ...]}, and after it, unasked, {"leases": [report]} at each change of a lease
  {"end": true}                        -> {"ending": true}

A port of an item may stand for those that follow it as well, as many as the count at its end says; `failed` counts each as an item of its own.

`change` names the revision that the sender knows: another's change in between is never overwritten unseen. `whole`: all or nothing. `sockets`: how
many descriptors belong to each added item: UDP, TCP and namespace for a new resolver, or the namespace alone (1), as for a lease. Where the keeper
lost a port on the way that it was to go on keeping, the reply has "lost": [[item, errno], ...] as well.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, ip_address
from typing import Any, cast

from sanbashi.network.lease import Lease, lease_of, lease_plain
from sanbashi.network.model import IPAddress, Protocol
from sanbashi.network.picture import Forwarder, HeldPort, HostResolver, Item, Leasing, Names, Resolver, Zone
from sanbashi.network.spelling import spelled

LEASES, RANGES = 3, 4  # the first versions that know them
VERSIONS = (1, 2, LEASES, RANGES)  # that this side speaks; 2 knows the resolver of the host
SOCKET = "keeper.sock"  # under the exec root
LOCK = "keeper.lock"
LOG = "keeper.log"
LARGEST = 64 << 20  # bytes of a frame
MAX_DESCRIPTORS = 250  # of one frame; SCM_MAX_FD is 253

Frame = dict[str, Any]


class NotUnderstood(Exception):
    """A frame that is not one of the above."""


def pack(frame: Frame) -> bytes:
    """A frame as bytes."""
    body = json.dumps(frame, separators=(",", ":")).encode()
    return len(body).to_bytes(4, "big") + body


def unpack(received: bytearray) -> Frame | None:
    """Take the first whole frame out of what was received; None where there is none yet. NotUnderstood."""
    if len(received) < 4:
        return None
    length = int.from_bytes(received[:4], "big")
    if length > LARGEST:
        raise NotUnderstood(f"a frame of {length} bytes")
    if len(received) < 4 + length:
        return None
    body = bytes(received[4 : 4 + length])
    del received[: 4 + length]
    try:
        frame = json.loads(body)
    except ValueError:
        raise NotUnderstood("a frame that is not JSON") from None
    if not isinstance(frame, dict):
        raise NotUnderstood("a frame that is not an object")
    return frame


def plain(item: Item) -> list[Any]:
    """An item as JSON can carry it: its kind, then its fields in order, and how many ports it is where that is to be said."""
    return [KIND_OF[type(item)], *(encode(getattr(item, name)) for name in FIELDS[type(item)]), *counted(item)]


def plain_all(items: Iterable[Item]) -> list[list[Any]]:
    """Items as JSON can carry them. Ports, which come by the hundred, in the shortest way."""
    found: list[list[Any]] = []
    for item in items:
        if isinstance(item, HeldPort):
            found.append(["held", item.protocol, spelled(item.address), item.port, *counted(item)])
        elif isinstance(item, Forwarder):
            found.append(["forwarder", item.protocol, spelled(item.address), item.port, spelled(item.target), item.target_port, *counted(item)])
        else:
            found.append(plain(item))
    return found


def counted(item: Item) -> tuple[int, ...]:
    """How many ports it is, where that is more than one."""
    return (item.count,) if isinstance(item, HeldPort | Forwarder) and item.count > 1 else ()


def encode(value: Any) -> Any:
    if isinstance(value, Lease):
        return lease_plain(value)
    if isinstance(value, tuple):
        return [encode(part) for part in value]
    return value if value is None or isinstance(value, (str, int, bool)) else spelled(value)


def item_of(words: Any) -> Item:
    """The item that `plain` wrote; NotUnderstood."""
    try:
        kind, *values = words
        return READERS[kind](*values)
    except (TypeError, ValueError, KeyError) as error:
        raise NotUnderstood(f"an item that is not one: {error}") from None


def _port(protocol: Protocol, address: str, port: int, count: int = 1) -> HeldPort:
    return HeldPort(protocol, address_of(address), port, count)


def _forwarder(protocol: Protocol, address: str, port: int, target: str, target_port: int, count: int = 1) -> Forwarder:
    return Forwarder(protocol, address_of(address), port, address_of(target), target_port, count)


@functools.lru_cache(maxsize=1024)
def address_of(text: str) -> IPAddress:
    """The address that a text spells, kept: hundreds of ports name the same few. ValueError."""
    return ip_address(text)


def _names(network: str, endpoint: str, names: Sequence[str], addresses: Sequence[str]) -> Names:
    return Names(network, endpoint, tuple(names), tuple(ip_address(address) for address in addresses))


def _resolver(
    sandbox: str,
    networks: Sequence[str],
    upstreams: Sequence[str],
    follow_host: bool,
    forward: bool,
    links: Sequence[tuple[str, str, Sequence[str]]],
    ndots_set: bool,
    search: Sequence[str],
    port: int,
) -> Resolver:
    resolved = tuple((alias, network, tuple(ip_address(address) for address in addresses)) for alias, network, addresses in links)
    return Resolver(sandbox, tuple(networks), tuple(upstreams), follow_host, forward, resolved, ndots_set, tuple(search), port)


def _host_resolver(address: str, port: int) -> HostResolver:
    return HostResolver(ip_address(address), port)


def _leasing(
    sandbox: str, endpoint: str, link: str, client_id: str, hostname: str, ask: str | None, insist: bool, lease: dict[str, Any] | None
) -> Leasing:
    asked = IPv4Address(ask) if ask is not None else None
    return Leasing(sandbox, endpoint, link, client_id, hostname, asked, insist, lease_of(lease) if lease is not None else None)


READERS: dict[str, Callable[..., Item]] = {
    "held": _port,
    "forwarder": _forwarder,
    "zone": Zone,
    "names": _names,
    "resolver": _resolver,
    "host resolver": _host_resolver,
    "leasing": _leasing,
}
KIND_OF: dict[type, str] = {
    HeldPort: "held",
    Forwarder: "forwarder",
    Zone: "zone",
    Names: "names",
    Resolver: "resolver",
    HostResolver: "host resolver",
    Leasing: "leasing",
}
SINCE: dict[type, int] = {HostResolver: 2, Leasing: LEASES}  # kinds that earlier versions do not know
FIELDS: dict[type, tuple[str, ...]] = {kind: tuple(n for n in cast(Any, kind).__dataclass_fields__ if n != "count") for kind in KIND_OF}


def reason(code: int) -> str:
    """An errno in the words of Go's standard library, which Docker's messages carry."""
    return os.strerror(code).lower()
