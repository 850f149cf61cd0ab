"""What stands for the moment in which somebody flushes our tables: flows go on, and nothing new passes.

A table with an owner (Linux 5.12) is flushed and deleted by nobody but the socket that made it, and goes with that socket. Its empty
nat chains keep the translation of known flows at work, for else their next packet would meet the host itself and be reset. Its filters drop
what is new, touches a bridge of ours, and does not bear the mark that our own tables put on what they have judged.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from ..network.picture import Element
from .counts import Counts
from .nft import Nft, NftError

log = logging.getLogger("sanbashi.host")

TABLE = "sanbashi_guard"
JUDGED = "0x04000000"  # table.nft
TEXT = f"""table inet {TABLE} {{
    flags owner;
    set bridges {{ type ifname; }}
    chain prerouting {{ type nat hook prerouting priority dstnat + 1; policy accept; }}
    chain output {{ type nat hook output priority -99; policy accept; }}
    chain postrouting {{ type nat hook postrouting priority srcnat + 1; policy accept; }}
    chain forward {{ type filter hook forward priority filter + 25; policy accept;
        ct state established,related accept
        meta mark and {JUDGED} != 0 accept
        iifname @bridges drop comment "our rules are gone for a moment"
        oifname @bridges drop comment "our rules are gone for a moment"
    }}
    chain input {{ type filter hook input priority filter + 25; policy accept;
        ct state established,related accept
        meta mark and {JUDGED} != 0 accept
        iifname @bridges drop comment "our rules are gone for a moment"
    }}
}}
"""


class Guard:
    """The guard's table, held as long as this lives; made in the namespace of the calling thread. `close` takes it away."""

    def __init__(self, counts: Counts) -> None:
        self.nft: Nft | None = Nft(counts)
        self.bridges: frozenset[str] = frozenset()
        self.lock = threading.Lock()
        try:
            self.nft.run(TEXT)
        except NftError as error:
            # An older kernel, or another daemon's guard: a flush then costs flows, and is mended all the same.
            log.info("no guard for the firewall tables: %s", error.words.splitlines()[0] if error.words else "nftables refused")
            self.close()

    @property
    def port(self) -> int:
        """The netlink port of its socket, 0 where there is none."""
        return self.nft.port if self.nft is not None else 0

    def close(self) -> None:
        """Take the table away."""
        if self.nft is not None:
            self.nft.close()
            self.nft = None

    def change(self, *, remove: Iterable[Element] = (), add: Iterable[Element] = ()) -> None:
        """Follow changes of the set of our bridges; NftError."""
        gone, new = {e.fields[0] for e in remove if is_bridge(e)}, {e.fields[0] for e in add if is_bridge(e)}
        if gone or new:
            with self.lock:
                self.set_bridges((self.bridges - gone) | new)

    def follow(self, elements: Iterable[Element]) -> None:
        """Guard exactly the bridges among these elements; NftError."""
        with self.lock:
            self.set_bridges({e.fields[0] for e in elements if is_bridge(e)})

    def set_bridges(self, bridges: Iterable[str]) -> None:
        wanted = frozenset(bridges)
        if self.nft is None or wanted == self.bridges:
            return
        text = f"flush set inet {TABLE} bridges\n"
        if wanted:
            names = ", ".join(f'"{bridge}"' for bridge in sorted(wanted))
            text += f"add element inet {TABLE} bridges {{ {names} }}\n"
        self.nft.run(text)
        self.bridges = wanted


def is_bridge(element: Element) -> bool:
    """Whether an element says that a link is a bridge of ours."""
    return (element.family, element.set) == ("inet", "bridges")
