"""Flows of IPv6 addresses that are gone, forgotten when nobody waits: one look through the kernel's table for all that went meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable

log = logging.getLogger("sanbashi.host")


class Leavers:
    """Has them forgotten on a thread of its own; who gets such an address waits until that is done.

    No filter of the kernel's finds them (conntrack.py), and a look takes 7 ms where the table has 262,144 buckets, and 5 us for each IPv6 flow of the
    host: more than an end of a container should take. Should the daemon die first they stay until they expire.
    """

    def __init__(self, forget: Callable[[Collection[bytes]], None]) -> None:
        self.forget = forget
        self.changed = threading.Condition()
        self.leaving: set[bytes] = set()
        self.sought: set[bytes] = set()  # whose flows are being forgotten
        self.running = False

    def add(self, addresses: Iterable[bytes]) -> None:
        """These, packed, are silent and gone."""
        with self.changed:
            self.leaving.update(addresses)
            if self.leaving and not self.running:
                self.running = True
                threading.Thread(target=self.work, name="leavers", daemon=True).start()

    def settle(self, addresses: Iterable[bytes] | None = None) -> None:
        """Wait until what these began is forgotten, or all."""
        chosen = None if addresses is None else set(addresses)
        with self.changed:
            self.changed.wait_for(lambda: not (self.standing() if chosen is None else chosen & self.standing()))

    def standing(self) -> set[bytes]:
        """All whose flows may be there still."""
        return self.leaving | self.sought

    def work(self) -> None:
        while batch := self.next():
            try:
                self.forget(batch)
            except Exception as error:  # who gets such an address is not to wait for ever, and nobody else could be told
                log.warning("flows of IPv6 addresses that are gone are not forgotten: %s", error, exc_info=not isinstance(error, OSError))

    def next(self) -> set[bytes]:
        """All that have gone since; with none the thread ends."""
        with self.changed:
            self.sought, self.leaving = self.leaving, set()
            self.running = bool(self.sought)
            self.changed.notify_all()
            return self.sought
