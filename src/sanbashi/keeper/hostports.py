"""The host ports that are held, and the sockets behind them: one for both families where a port is published on every address of each."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Collection, Mapping

from sanbashi.network.picture import Forwarder, HeldPort, Item, Key, twin_of

from .datagrams import DatagramForwarder
from .holding import hold, hold_beside, serve
from .loop import Loop
from .remains import Remains
from .streams import StreamForwarder

Port = HeldPort | Forwarder
Holding = socket.socket | StreamForwarder | DatagramForwarder | None  # None: held in our book alone


class HostPorts:
    """Ports by key, kept among the other `items`. Two of them that are one port on every address of each family may have one holding.

    `lost`: what is kept no longer though nobody asked for that, and the errno; whoever tells of it takes it out.
    """

    def __init__(self, loop: Loop, items: dict[Key, Item], log: Callable[[str], None]) -> None:
        self._loop, self._items, self._log = loop, items, log
        self.lost: list[tuple[Port, int]] = []
        self._holdings: dict[Key, Holding] = {}

    def take(self, new: Mapping[Key, Port], *, whole: bool) -> dict[Key, int]:
        """Bind ports, by key; the errno of each that cannot be bound. With `whole` the first such is the last that is tried."""
        remains = Remains([item.port for item in new.values()])
        for key, item in new.items():
            twin_key = twin_of(key)
            if item.address.version == 4 and twin_key in new and key not in self._items and twin_key not in self._items:
                self._take_both(key, item, twin_key, new[twin_key], remains)
        refused: dict[Key, int] = {}
        for key, item in new.items():
            if key in self._items:
                continue
            try:
                self._holdings[key] = self._holding(item, remains)
            except OSError as error:
                refused[key] = error.errno or errno.EIO
                if whole:
                    break
            else:
                self._items[key] = item
        return refused

    def _take_both(self, key: Key, item: Port, twin_key: Key, twin: Port, remains: Remains) -> None:
        """Bind one socket for both. Where that fails each is tried by itself, which also tells which of them is in whose way."""
        if not isinstance(item, HeldPort) or item.protocol == "sctp":
            return
        try:
            holding = self._holding(twin, remains, both=True)
        except OSError:
            return
        self._holdings[key] = self._holdings[twin_key] = holding
        self._items[key], self._items[twin_key] = item, twin

    def _holding(self, item: Port, remains: Remains, *, both: bool = False) -> Holding:
        if isinstance(item, HeldPort):
            return hold(item, remains, both=both)
        served = serve(item, remains, both=both)
        return StreamForwarder(self._loop, item, served) if item.protocol == "tcp" else DatagramForwarder(self._loop, item, served)

    def release(self, keys: Collection[Key]) -> None:
        """Let ports go; those that are not held are gone already."""
        gone = [key for key in keys if self._items.pop(key, None) is not None]
        for key in gone:
            holding = self._holdings.pop(key)
            if holding is None:
                continue
            twin_key = twin_of(key)
            if self._holdings.get(twin_key) is not holding:
                holding.close()
            elif isinstance(twin := self._items.get(twin_key), Port):
                self._part(twin_key, twin, holding)

    def _part(self, key: Key, stays: Port, holding: socket.socket | StreamForwarder | DatagramForwarder) -> None:
        """Give the one that stays of two a socket of its own; the port is never free meanwhile, and connections through the forwarder go on."""
        if isinstance(holding, StreamForwarder) and isinstance(stays, Forwarder):
            holding.drain()
        try:
            alone = hold_beside(stays, holding if isinstance(holding, socket.socket) else holding.bound)
        except OSError as error:  # no descriptor is left: better to hold more than is asked for than to lose what is
            self._log(f"{stays} has no socket of its own, so the family that was given up is held as well: {error}")
            if isinstance(holding, StreamForwarder) and not holding.bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                self._lose(key, stays, holding, error)
            return
        if isinstance(stays, Forwarder) and not isinstance(holding, socket.socket):
            try:
                holding.move(alone)
            except OSError as error:
                self._lose(key, stays, holding, error)
        else:
            holding.close()
            self._holdings[key] = alone

    def _lose(self, key: Key, item: Port, holding: StreamForwarder | DatagramForwarder, error: OSError) -> None:
        self._log(f"lost {item}: {error}")
        holding.close()
        del self._items[key], self._holdings[key]
        self.lost.append((item, error.errno or errno.EIO))
