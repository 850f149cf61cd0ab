"""Who listens at abstract names of this network namespace.

The kernel's sock_diag gives names, inodes and users apart. /proc/net/unix prints a name as it is, and a name may hold a line's end: whatever
stands there may have been written by any user.
"""

from __future__ import annotations

import contextlib
import errno
import struct
from collections.abc import Iterator
from pathlib import Path

from ..records import dataclass
from .counts import Counts
from .netlink import DUMP, SOCK_DIAG, SOCK_DIAG_BY_FAMILY, Message, Netlink, attributes

PROC = Path("/proc")
# linux/unix_diag.h
REQUEST = struct.Struct("=BBHIIIQ")  # family, protocol, padding, states, inode, what to show, cookie
ANSWER = struct.Struct("=BBBBIQ")  # family, type, state, padding, inode, cookie
SHOW_NAME, SHOW_UID = 0x1, 0x40
ANY_COOKIE = (1 << 64) - 1
NAME, UID = 0, 7
LISTEN = 10  # TCP_LISTEN, which sockets of this family use too
LISTENING = 0x10000  # __SO_ACCEPTCON, in the flags of /proc/net/unix
WITHOUT = (errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT)  # a kernel that has no unix_diag, or no sock_diag


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket at which somebody listens; `name` without its zero byte, `uid` as seen from our user namespace."""

    name: bytes
    inode: int
    uid: int


def told() -> list[Listener] | None:
    """Who listens, as the kernel tells it; None where it does not: without unix_diag, and before Linux 5.3, which gives no user."""
    request = REQUEST.pack(1, 0, 0, 1 << LISTEN, 0, SHOW_NAME | SHOW_UID, ANY_COOKIE)  # AF_UNIX
    found: list[Listener] = []
    try:
        with Netlink(SOCK_DIAG, Counts()) as asking:
            for _, body in asking.ask(Message(SOCK_DIAG_BY_FAMILY, DUMP, request)):
                inode, about = ANSWER.unpack_from(body)[4], attributes(body, ANSWER.size)
                if UID not in about:
                    return None
                if about.get(NAME, b"").startswith(b"\0"):
                    found.append(Listener(about[NAME][1:], inode, struct.unpack("=I", about[UID])[0]))
    except OSError as error:
        if error.errno not in WITHOUT:
            raise
        return None
    return found


def printed() -> Iterator[tuple[bytes, int]]:
    """What /proc shows of who listens, (name, inode): either may be a lie."""
    for line in (PROC / "thread-self/net/unix").read_bytes().split(b"\n"):
        words = line.split(maxsplit=7)  # address, users, protocol, flags, type, state, inode, and a path where there is one
        if len(words) == 8 and words[7].startswith(b"@"):
            with contextlib.suppress(ValueError):  # the heading, and the rest of a name with a line's end in it
                if int(words[3], 16) & LISTENING:
                    yield words[7][1:], int(words[6])
