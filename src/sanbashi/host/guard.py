"""What stands for the moment in which somebody flushes our tables: flows go on, and nothing new passes.

A table with an owner is flushed and deleted by nobody but the socket that made it. It is made to persist as well (Linux 6.9), which outlives
a killed daemon, is anybody's then, and above all is a second flag: of a table with just one, nft 1.0 prints freed memory as JSON and aborts,
which is no way to treat a neighbour. Older kernels have no guard.

Its empty nat chains keep the translation of known flows at work, for else their next packet would meet the host itself and be reset; clients
on ::1 keep what they are lent. Its filters drop what is new, touches a bridge of ours, and does not bear the mark that our own tables put on
what they have judged.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import struct
import threading
from collections.abc import Iterable

from ..network.picture import Element
from ..network.ruleset import statements
from .counts import Counts
from .netlink import ACK, CREATE, HEADER, Message, attribute, text
from .nft import Nft, NftError
from .watching import NFTABLES

log = logging.getLogger("sanbashi.host")

TABLE = "sanbashi_guard"
SETS = ("bridges", "lent6")
JUDGED = "0x04000000"  # table.nft
T = f"inet {TABLE}"
TEXT = f"""
add set {T} bridges {{ type ifname; }}
add set {T} lent6 {{ type inet_proto . inet_service; }}
add chain {T} lending {{ type filter hook output priority raw + 1; policy accept; }}
add rule {T} lending ip6 saddr ::1 ip6 daddr ::1 meta l4proto . th dport @lent6 ip6 saddr set 100::ff00
add chain {T} prerouting {{ type nat hook prerouting priority dstnat + 1; policy accept; }}
add chain {T} output {{ type nat hook output priority -99; policy accept; }}
add chain {T} postrouting {{ type nat hook postrouting priority srcnat + 1; policy accept; }}
add chain {T} forward {{ type filter hook forward priority filter + 25; policy accept; }}
add rule {T} forward ct state established,related accept
add rule {T} forward meta mark and {JUDGED} != 0 accept
add rule {T} forward iifname @bridges drop comment "our rules are gone for a moment"
add rule {T} forward oifname @bridges drop comment "our rules are gone for a moment"
add chain {T} input {{ type filter hook input priority filter + 25; policy accept; }}
add rule {T} input ip6 daddr 100::ff00 ip6 daddr set ::1
add rule {T} input ct state established,related accept
add rule {T} input meta mark and {JUDGED} != 0 accept
add rule {T} input iifname @bridges drop comment "our rules are gone for a moment"
"""
# linux/netfilter/nfnetlink.h and nf_tables.h
BATCH_BEGIN, BATCH_END, NEW_TABLE, RESOURCE = 0x10, 0x11, NFTABLES << 8, NFTABLES
TABLE_NAME, TABLE_FLAGS, OWNER, PERSIST, INET = 1, 2, 2, 4, 1
PATIENCE = 5000  # milliseconds for the kernel's answer


class Guard:
    """The guard's table, held as long as this lives; made in the namespace of the calling thread. `close` takes it away."""

    def __init__(self, counts: Counts) -> None:
        self.nft: Nft | None = Nft(counts)
        self.held: set[Element] = set()
        self.lock = threading.Lock()
        try:
            drop_table(self.nft)
            if code := own_table(self.nft.socket):
                raise NftError(os.strerror(code))
            self.nft.run(TEXT)
        except NftError as error:
            # An older kernel, or another daemon's guard: a flush then costs flows, and is mended all the same.
            log.info("no guard for the firewall tables: %s", error.words.splitlines()[0] if error.words else "nftables refused")
            self.nft.close()
            self.nft = None

    @property
    def ports(self) -> frozenset[int]:
        """The netlink ports of its sockets; none where there is no table."""
        return self.nft.ports if self.nft is not None else frozenset()

    def close(self) -> None:
        """Take the table away."""
        nft, self.nft = self.nft, None
        if nft is not None:
            try:
                nft.run(f"delete table {T}")
            except NftError as error:
                log.warning("the guard's table stays: %s", error.words)
            nft.close()

    def change(self, *, remove: Iterable[Element] = (), add: Iterable[Element] = ()) -> None:
        """Follow changes of the sets that it has too; NftError."""
        gone, new = its_own(remove), its_own(add)
        if gone or new:
            with self.lock:
                self.carry_out(gone & self.held, new - self.held)

    def follow(self, elements: Iterable[Element]) -> None:
        """Hold exactly what of these elements is in a set that it has too; NftError."""
        with self.lock:
            wanted = its_own(elements)
            self.carry_out(self.held - wanted, wanted - self.held)

    def carry_out(self, gone: set[Element], new: set[Element]) -> None:
        if self.nft is not None and (gone or new):
            self.nft.run(statements("delete", sorted(gone, key=str), TABLE) + statements("add", sorted(new, key=str), TABLE))
            self.held = (self.held - gone) | new


def its_own(elements: Iterable[Element]) -> set[Element]:
    """Elements of the sets that the guard's table has too, each by itself."""
    return {single for element in elements if element.family == "inet" and element.set in SETS for single in element.each()}


def drop_table(nft: Nft) -> None:
    """Delete what a daemon that was killed left, and nobody owns any more; absent is success. NftError."""
    try:
        nft.run(f"delete table {T}")
    except NftError as error:
        if error.errno != errno.ENOENT:
            raise


def own_table(descriptor: int) -> int:
    """Make the table, owned by this netlink socket, which libnftables 1.0 has no words for; 0 or the kernel's errno."""
    table = text(TABLE_NAME, TABLE) + attribute(TABLE_FLAGS, struct.pack("!I", OWNER | PERSIST))
    parts = ((BATCH_BEGIN, 0, RESOURCE, 0, b""), (NEW_TABLE, CREATE | ACK, 0, INET, table), (BATCH_END, 0, RESOURCE, 0, b""))
    batch = b"".join(
        Message(kind, flags, struct.pack("!BBH", family, 0, resource) + body).encode(sequence)
        for sequence, (kind, flags, resource, family, body) in enumerate(parts, 1)
    )
    with socket.socket(fileno=os.dup(descriptor)) as channel:
        poll = select.poll()
        poll.register(channel, select.POLLIN)
        channel.send(batch)
        if not poll.poll(PATIENCE):
            return errno.ETIMEDOUT
        answer = channel.recv(65536)
    return -int(struct.unpack_from("=i", answer, HEADER.size)[0])
