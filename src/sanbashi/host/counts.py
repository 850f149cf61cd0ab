"""What one piece of work cost, counted and not timed, so that a test can compare it at 10 and at 1,000 containers."""

from __future__ import annotations

import threading
from dataclasses import field

from ..records import dataclass


@dataclass(slots=True)
class Counts:
    """Counters that only grow; several threads may add at a time."""

    netlink_messages: int = 0
    nft_elements: int = 0
    nft_transactions: int = 0
    files_read: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, *, netlink_messages: int = 0, nft_elements: int = 0, nft_transactions: int = 0, files_read: int = 0) -> None:
        """Count what was just done."""
        with self.lock:
            self.netlink_messages += netlink_messages
            self.nft_elements += nft_elements
            self.nft_transactions += nft_transactions
            self.files_read += files_read
