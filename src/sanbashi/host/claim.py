"""The claim to a network namespace: an abstract socket that one process of root's listens at.

An abstract name belongs to the network namespace as links and rules do, is the same in every mount namespace, and goes with the process,
however that ends. But any user may take one: a name counts only where root holds it, and where somebody else has taken the name itself a
daemon takes one beside it, which nobody can guess, and finds others by their names' beginning.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

NAME = "sanbashi.network"  # as every daemon has called it since there were others
PROC = Path("/proc")
LISTENING = 0x10000  # __SO_ACCEPTCON, in the flags of /proc/net/unix
PATIENCE = 1.0  # seconds for a listener to be connected to; none of ours accepts, so that a third who asks is not answered


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a name: `pid` 0 where it cannot be seen from here."""

    pid: int
    uid: int


@contextlib.contextmanager
def claimed() -> Iterator[Holder | None]:
    """Hold the claim as long as this lasts; gives whoever of root's holds it already, and then it is not ours.

    Two that begin in the same moment may both be told of each other.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held:
        name = NAME
        try:
            held.bind(f"\0{name}")
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            name = f"{NAME}.{secrets.token_hex(8)}"
            held.bind(f"\0{name}")
        held.listen(1)
        others = {other: inode for other, inode in listeners() if other != name}
        yield next((holder for holder in holders(others) if holder.uid == 0), None)


def listeners() -> Iterator[tuple[str, str]]:
    """The names of this kind at which somebody listens: (name, the socket's inode)."""
    for line in (PROC / "thread-self/net/unix").read_text(errors="replace").splitlines()[1:]:
        words = line.split(maxsplit=7)  # address, users, protocol, flags, type, state, inode, and a path where there is one
        if len(words) == 8 and int(words[3], 16) & LISTENING and f"{words[7]}.".startswith(f"@{NAME}."):
            yield words[7][1:], words[6]


def holders(names: Mapping[str, str]) -> Iterator[Holder]:
    """Who holds each of these names (name: inode)."""
    seen = owners(set(names.values())) if names else {}
    for name, inode in names.items():
        holder = seen.get(inode) or asked(name)
        if holder is not None:
            yield holder


def owners(inodes: set[str]) -> Mapping[str, Holder]:
    """The process that has each of these sockets open, and the user who made it, as far as /proc shows them."""
    found: dict[str, Holder] = {}
    for process in PROC.iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(FileNotFoundError, PermissionError, ProcessLookupError):
                for descriptor in (process / "fd").iterdir():
                    with contextlib.suppress(FileNotFoundError):
                        inode = str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]")
                        if inode in inodes:
                            found[inode] = Holder(int(process.name), descriptor.stat().st_uid)
    return found


def asked(name: str) -> Holder | None:
    """Who listens at a name, as the kernel tells who connects; None where nobody does any more. Where it does not tell it counts as root."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(PATIENCE)
        try:
            asking.connect(f"\0{name}")
        except ConnectionRefusedError:
            return None
        except TimeoutError:
            return Holder(0, 0)
        pid, uid, _ = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return Holder(pid, uid)
