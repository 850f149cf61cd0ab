"""What the kernel says of one way: routes of both ends and through the host, links, listeners, rules of others; at the cost of that way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import StepFailed
from ..network.model import IPAddress
from ..records import dataclass
from . import rtnetlink, sysctl
from .counts import Counts
from .foreignrules import foreign_rules
from .namespaces import inside
from .netlink import ROUTE, SOCK_DIAG, Netlink
from .nft import NftError
from .routing import hop, uplink
from .sockets import listening, named, processes_of

COUNT, MOST = "net/netfilter/nf_conntrack_count", "net/netfilter/nf_conntrack_max"
CONF = "net/ipv4/conf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """What to look at. `source`, `target`: namespaces, None for the host's; `from_container`, `to_container`: whether that end is one's at all.

    `asked` is what the source sends to, `address` what that is after translation, `origin` where it comes from. `ours`: our bridges.
    """

    version: int
    source: Path | None = None
    target: Path | None = None
    from_container: bool = False
    to_container: bool = False
    from_outside: bool = False
    asked: IPAddress | None = None
    address: IPAddress | None = None
    origin: IPAddress | None = None
    source_bridge: str = ""
    target_bridge: str = ""
    source_link: tuple[str, str] = ("", "")  # (interface within, what it is called in the answer)
    target_link: tuple[str, str] = ("", "")
    forwarded: bool = False
    listens: tuple[str, int] | None = None  # protocol, port
    process: tuple[str, int] | None = None  # the target's container and its first process
    ours: frozenset[str] = frozenset()


def look(what: Looking, counts: Counts) -> dict[str, Any]:
    """The fields of Facts that the kernel fills. StepFailed."""
    try:
        return Sight(what, counts).all()
    except FileNotFoundError as error:  # a namespace went meanwhile
        raise StepFailed("look into the container's namespace", errno=error.errno or 0, stderr=str(error)) from error
    except OSError as error:
        raise StepFailed("look at the kernel's routes and sockets", errno=error.errno or 0, stderr=str(error)) from error
    except NftError as error:
        raise StepFailed("look at the rules of others", errno=error.errno, stderr=error.words) from error


@dataclass
class Sight:
    """One look."""

    what: Looking
    counts: Counts

    def all(self) -> dict[str, Any]:
        what, found = self.what, dict[str, Any]()
        mtus: dict[str, int] = {}
        with Netlink(ROUTE, self.counts) as netlink:
            found["uplink"], neighbour = uplink(netlink, what.version, what.ours)
            origin = neighbour if what.from_outside else what.origin
            come = what.source_bridge or (found["uplink"] if what.from_outside else "")
            if what.forwarded and what.address is not None:
                found["forward"] = hop(netlink, what.address, source=origin, come=come)
            for bridge in {what.source_bridge, what.target_bridge} - {""}:
                link = rtnetlink.link(netlink, bridge)
                if link is not None:
                    mtus[bridge] = link.mtu
        found["closed"] = frozenset(self.closed([come, what.target_bridge if not what.from_outside else "", found["uplink"]]))
        if not what.from_outside and what.asked is not None:
            with self.at(what.source), Netlink(ROUTE, self.counts) as netlink:
                found["route"] = hop(netlink, what.asked)
                self.size(netlink, what.source_link, mtus)
        if what.to_container or what.target is None:
            with self.at(what.target), Netlink(ROUTE, self.counts) as netlink:
                if origin is not None and what.to_container:
                    found["reply"] = hop(netlink, origin)
                self.size(netlink, what.target_link, mtus)
        found["mtus"] = mtus
        if what.listens is not None:
            found["listeners"] = self.listeners(*what.listens)
        found["tables"] = foreign_rules(self.counts)
        for name, there, is_container in (("inner_source", what.source, what.from_container), ("inner_target", what.target, what.to_container)):
            if is_container and there is not None:
                with self.at(there):
                    found[name] = foreign_rules(self.counts)
        count, most = (sysctl.read(path, self.counts) for path in (COUNT, MOST))
        found["connections"] = (int(count), int(most)) if count and most else None
        return found

    def at(self, namespace: Path | None) -> contextlib.AbstractContextManager[None]:
        return inside(namespace) if namespace is not None else contextlib.nullcontext()

    def size(self, netlink: Netlink, link: tuple[str, str], mtus: dict[str, int]) -> None:
        """The MTU of an interface within, under what it is called in the answer."""
        name, called = link
        if name and (held := rtnetlink.link(netlink, name)) is not None:
            mtus[called] = held.mtu

    def closed(self, links: list[str]) -> Iterator[str]:
        """Those of these links that do not forward, "" for all: only where the way is one that is forwarded."""
        if not self.what.forwarded:
            return
        if self.what.version == 6:
            if sysctl.read("net/ipv6/conf/all/forwarding", self.counts) == "0":
                yield ""
            return
        if sysctl.read("net/ipv4/ip_forward", self.counts) == "0":
            yield ""
        for link in filter(None, dict.fromkeys(links)):
            if sysctl.read(f"{CONF}/{link}/forwarding", self.counts) == "0":
                yield link

    def listeners(self, protocol: str, port: int) -> tuple[Any, ...] | None:
        """Who listens at the target; None for protocols without sockets that can be listed."""
        if protocol not in ("tcp", "udp"):
            return ()
        with self.at(self.what.target), Netlink(SOCK_DIAG, self.counts) as netlink:
            found = listening(netlink, protocol, port)
        if not found:
            return ()
        process = self.what.process
        return named(found, processes_of(*process) if process is not None else None)
