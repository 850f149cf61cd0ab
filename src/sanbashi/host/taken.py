"""What stands in the way of a port that the keeper is to bind, in words."""

from __future__ import annotations

import errno
from collections.abc import Iterable

from sanbashi.errors import Failed
from sanbashi.keeper.protocol import reason
from sanbashi.network.picture import Forwarder, HeldPort, HostResolver, Item
from sanbashi.network.spelling import bracketed

from .holders import clashes, holder

OPEN_FILES = "the keeper has a descriptor for every published port: raise the daemon's hard limit of open files (LimitNOFILE=)"


class PortTaken(Failed):
    """A host port that cannot be bound; `item` is what was to hold it."""

    def __init__(self, item: HeldPort | Forwarder, code: int, ours: Iterable[Item]) -> None:
        place = f"{bracketed(item.address)}:{item.port}/{item.protocol}"
        who = ""
        if code == errno.EADDRINUSE:
            mine = (str(other) for run in ours if isinstance(run, HeldPort | Forwarder) for other in at(run, item.port) if clash(other, item))
            who = next(mine, "") or holder(item.protocol, item.address, item.port)
        hint = f"in the way is {who}" if who else OPEN_FILES if code == errno.EMFILE else ""
        super().__init__(f"failed to bind host port {place}: {reason(code)}", hint=hint)
        self.item = item
        self.errno = code


class HostResolverTaken(Failed):
    """The address at which the host was to ask for names cannot be bound."""

    def __init__(self, item: HostResolver, code: int) -> None:
        who = ""
        if code == errno.EADDRINUSE:
            who = holder("udp", item.address, item.port) or holder("tcp", item.address, item.port)
        super().__init__(
            f"names of containers cannot be served to the host at {bracketed(item.address)}:{item.port}: {reason(code)}",
            hint=f"in the way is {who}; give another address of the loopback by --host-resolver" if who else "",
        )


def at(run: HeldPort | Forwarder, port: int) -> Iterable[HeldPort | Forwarder]:
    """Of ports of ours the one with this number."""
    return (single for single in run.each() if single.port == port) if 0 <= port - run.port < run.count else ()


def clash(one: HeldPort | Forwarder, other: HeldPort | Forwarder) -> bool:
    """Whether two of our own ports exclude each other; ours on [::] never hold IPv4."""
    same = (one.protocol, one.port, one.address.version) == (other.protocol, other.port, other.address.version)
    return same and clashes(one.address, other.address)
