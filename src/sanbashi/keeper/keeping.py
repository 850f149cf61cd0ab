"""The truth of the keeper: which items it keeps, at which revision, and the sockets that stand behind them."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Mapping, Sequence

from sanbashi.network.picture import HostResolver, Item, Key, Leasing, Names, Resolver, Zone

from ..records import dataclass
from .hostports import HostPorts, Port
from .hostserving import HostServed
from .leases import Leases
from .loop import Loop
from .serving import Answering, Served


@dataclass(frozen=True, slots=True)
class Addition:
    """An item to be kept, with the descriptors that came for it: UDP, TCP and namespace; or the namespace alone, as for a lease; or none."""

    item: Item
    descriptors: tuple[int, ...] = ()


class Keeping:
    """Items by key. A change happens wholly or not at all; only ports can fail, so they go first."""

    def __init__(self, loop: Loop, answering: Answering, leases: Leases, log: Callable[[str], None]) -> None:
        self._loop, self._answering, self.leases = loop, answering, leases
        self.items: dict[Key, Item] = {}
        self.revision = 0
        self._ports = HostPorts(loop, self.items, log)
        self._served: dict[str, Served] = {}
        self._host: HostServed | None = None

    def change(self, remove: Sequence[Item], add: Sequence[Addition], *, whole: bool) -> list[tuple[int, int]]:
        """Keep other items from now on; (place in `add`, errno) of what failed. With `whole` a failure leaves everything as it was."""
        added = {addition.item.key for addition in add} if remove else ()
        leaving = {key: self.items[key] for key in (item.key for item in remove) if key in self.items and key not in added}
        failed = self._take_ports(leaving, add, whole)
        if failed and whole:
            for addition in add:
                close(addition.descriptors)
            self.revision += bool(self._ports.lost)
            return failed
        for place, addition in enumerate(add):
            if not isinstance(addition.item, Port) and (code := self._add(addition)):
                failed.append((place, code))
        self._ports.release([key for key, item in leaving.items() if isinstance(item, Port)])
        for item in leaving.values():
            if not isinstance(item, Port):
                self._remove(item)
        self.revision += 1
        return failed

    def take_lost(self) -> list[tuple[Port, int]]:
        """What a change lost beside what it was asked to remove, each with its errno; told once."""
        lost, self._ports.lost = self._ports.lost, []
        return lost

    def _take_ports(self, leaving: Mapping[Key, Item], add: Sequence[Addition], whole: bool) -> list[tuple[int, int]]:
        """Bind the ports that are added. What is in their way and leaves in the same change is let go first, and taken back on failure."""
        places: dict[Key, int] = {}
        new: dict[Key, Port] = {}
        for place, addition in enumerate(add):
            item = addition.item
            if isinstance(item, Port) and self.items.get(key := item.key) != item:
                places[key], new[key] = place, item
        numbers = {(item.protocol, item.port) for item in new.values()} if leaving else ()
        in_the_way = {key: item for key, item in leaving.items() if isinstance(item, Port) and (item.protocol, item.port) in numbers}
        in_the_way |= {key: there for key in new if isinstance(there := self.items.get(key), Port)}
        self._ports.release(in_the_way)
        refused = self._ports.take(new, whole=whole)
        if refused and whole:
            self._ports.release([key for key in new if key not in refused])
            if lost := self._ports.take(in_the_way, whole=False):
                raise OSError(next(iter(lost.values())), "a port that was let go for a moment was taken by somebody else")
        return [(places[key], code) for key, code in refused.items()]

    def _add(self, addition: Addition) -> int:
        """Keep a name, a zone, a resolver or a lease; an errno, or 0."""
        item, descriptors = addition.item, addition.descriptors
        before = self.items.get(item.key)
        if isinstance(item, Resolver):
            if code := self._serve(item, descriptors):
                close(descriptors)
                return code
        elif isinstance(item, HostResolver):
            if code := self._serve_host(item, before):
                return code
        elif isinstance(item, Leasing):
            if len(descriptors) != 1:
                close(descriptors)
                return errno.EBADF
            self.leases.add(item, descriptors[0])
        elif isinstance(item, Zone | Names):
            if isinstance(before, Zone | Names):
                self._answering.directory.remove(before)
            self._answering.directory.add(item)
            self._answering.changed(item.network)
        self.items[item.key] = item
        return 0

    def _serve(self, item: Resolver, descriptors: tuple[int, ...]) -> int:
        served = self._served.get(item.sandbox)
        if len(descriptors) < 2:
            if served is None or item.port != served.item.port:
                return errno.ENOTSOCK
            served.change(item, descriptors[0] if descriptors else None)
            return 0
        udp, tcp = (socket.socket(fileno=descriptor) for descriptor in descriptors[:2])
        if served is not None:
            served.close()
        namespace = descriptors[2] if len(descriptors) > 2 else None
        self._served[item.sandbox] = Served(self._answering, item, udp, tcp, namespace)
        return 0

    def _serve_host(self, item: HostResolver, before: Item | None) -> int:
        """Serve the host at another address from now on; where that fails the one before stays."""
        if item == before:
            return 0
        try:
            serving = HostServed(self._answering, item)
        except OSError as error:
            return error.errno or errno.EIO
        if self._host is not None:
            self._host.close()
            self._answering.tell_host(True)
        self._host = serving
        return 0

    def _remove(self, item: Item) -> None:
        del self.items[item.key]
        if self._host is not None and isinstance(item, HostResolver):
            self._host.close()
            self._host = None
        if isinstance(item, Resolver):
            self._served.pop(item.sandbox).close()
        elif isinstance(item, Leasing):
            self.leases.remove(item.endpoint)
        elif isinstance(item, Zone | Names):
            self._answering.directory.remove(item)
            self._answering.changed(item.network)

    def close(self) -> None:
        """Let go of everything. Leases are not given back: whoever has the addresses may go on without us."""
        self.leases.close()
        self._ports.release([key for key, item in self.items.items() if isinstance(item, Port)])
        for item in list(self.items.values()):
            if not isinstance(item, Leasing):
                self._remove(item)


def close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
