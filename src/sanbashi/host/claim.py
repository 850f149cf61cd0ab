"""The claim to a network namespace: an abstract socket that one process of root's listens at.

An abstract name belongs to the network namespace as links and rules do, is the same in every mount namespace, and goes with the process,
however that ends. But any user may take one: a name counts only where root holds it, and where somebody else has taken the name itself a
daemon takes one beside it, which nobody can guess, and finds others by their names' beginning.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import socket
import struct
from collections.abc import Iterator

from ..records import dataclass
from .abstract_names import printed, told
from .peeking import opened

NAME = b"sanbashi.network"  # as every daemon has called it since there were others
PIDFD_GETFD = 438  # the same number on every machine that there are daemons for
libc = ctypes.CDLL(None, use_errno=True)


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
            held.bind(b"\0" + name)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            name = b"%b.%b" % (NAME, secrets.token_hex(8).encode())
            held.bind(b"\0" + name)
        held.listen()
        yield next((holder for holder in holders(name) if holder.uid == 0), None)


def holders(own: bytes) -> Iterator[Holder]:
    """Who listens at names of this kind other than our own."""
    known = told()
    if known is None:
        yield from confirmed({(name, inode) for name, inode in printed() if ours(name) and name != own})
        return
    others = [one for one in known if ours(one.name) and one.name != own]
    processes = opened({one.inode for one in others})
    for one in others:
        yield Holder(processes.get(one.inode, (0, 0))[0], one.uid)


def ours(name: bytes) -> bool:
    """Whether a daemon may have chosen this name."""
    return name == NAME or name.startswith(NAME + b".")


def confirmed(said: set[tuple[bytes, int]]) -> Iterator[Holder]:
    """Who holds these names, each with the inode that is said of it, as sockets themselves tell: neither need be true."""
    processes = opened({inode for _, inode in said})
    for name, inode in said:
        # Who connects stays in the queue, of which an older daemon's is short: the process that we see is looked at first.
        holder = (looked_at(*processes[inode], name) if inode in processes else None) or asked(name)
        if holder is not None:
            yield holder


def looked_at(pid: int, number: int, name: bytes) -> Holder | None:
    """Who listens at the socket that a process has open; None where that has another name, or the kernel does not let us see (Linux 5.6)."""
    with contextlib.ExitStack() as stack:
        try:
            process = os.pidfd_open(pid)
            stack.callback(os.close, process)
            copy = libc.syscall(PIDFD_GETFD, process, number, 0)
            if copy < 0:
                return None
            stack.callback(os.close, copy)
            found = stack.enter_context(socket.fromfd(copy, socket.AF_UNIX, socket.SOCK_STREAM))
            return credentials(found) if found.getsockname() == b"\0" + name else None
        except OSError:  # it has ended or closed it, or there are no pidfds: its name can still be asked
            return None


def asked(name: bytes) -> Holder | None:
    """Who listens at a name, as the kernel tells who connects; None where nobody does any more, or too many wait for that to be told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)  # nobody of ours accepts: where the queue is full, it remains so
        try:
            asking.connect(b"\0" + name)
        except (ConnectionRefusedError, BlockingIOError):
            return None
        return credentials(asking)


def credentials(of: socket.socket) -> Holder:
    """Who began to listen at this socket, or at the one that it is connected to; as our namespaces number them."""
    pid, uid, _ = struct.unpack("iII", of.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII")))
    return Holder(pid, uid)
