"""The keeper as a program: takes over the lock and the listening socket that its client made, and runs until nothing needs it.

sanbashi-keeper --exec-root DIRECTORY --lock DESCRIPTOR --listener DESCRIPTOR [--resolv-conf FILE]

Exit status 0 when it was no longer needed or was asked to end (SIGTERM included), 2 for wrong arguments.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path

from .asking import Asking
from .control import Control
from .hostservers import HostServers
from .keeping import Keeping
from .leases import Leases
from .loop import READ, Loop
from .protocol import SOCKET
from .serving import Answering

USAGE = "usage: sanbashi-keeper --exec-root DIRECTORY --lock DESCRIPTOR --listener DESCRIPTOR [--resolv-conf FILE]"
YOUNG = 10_000  # new objects until the next look for garbage: the 500 ports of a container are half of that, and nothing of theirs is any
NAME = b"sanbashi-keeper"  # comm holds 15 characters


def main(arguments: list[str]) -> int:
    """Run until nothing needs it."""
    # argparse costs a quarter of the whole start, and our only caller is our own code.
    if len(arguments) % 2:
        print(USAGE, file=sys.stderr)
        return 2
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    try:
        exec_root = Path(options.pop("--exec-root"))
        lock = int(options.pop("--lock"))
        listener = socket.socket(fileno=int(options.pop("--listener")))
        resolv_conf = Path(options.pop("--resolv-conf", "/etc/resolv.conf"))
        os.fstat(lock)
    except (KeyError, ValueError, OSError):
        options["?"] = "?"
    if options:
        print(USAGE, file=sys.stderr)
        return 2
    os.set_inheritable(lock, False)
    os.set_inheritable(listener.fileno(), False)
    serve(exec_root, listener, resolv_conf)
    return 0


def serve(exec_root: Path, listener: socket.socket, resolv_conf: Path) -> None:
    """Everything wired, until the end."""
    Path("/proc/self/comm").write_bytes(NAME)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop = Loop()
    asking = Asking(loop, log)
    answering = Answering(loop, asking, HostServers(asking, resolv_conf))
    keeping = Keeping(loop, answering, Leases(loop, log), log)
    path = exec_root / SOCKET

    def end(because: str) -> None:
        log(f"ends, because {because}")
        path.unlink(missing_ok=True)  # before the lock goes: from then on the path is another's
        keeping.close()
        control.close()
        loop.stop()

    control = Control(loop, keeping, asking, listener, end)
    woken, waker = socket.socketpair()
    for end_of_pair in (woken, waker):
        end_of_pair.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: None)  # the loop reads it from the socket
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    loop.watch(woken.fileno(), READ, lambda events: end(f"signal {woken.recv(16)[0]} came"))
    gc.collect()
    gc.freeze()  # what is loaded now is never garbage
    gc.set_threshold(YOUNG)
    log(f"runs as process {os.getpid()}")
    loop.run()


def log(line: str) -> None:
    """One line of the decision log, with the time in UTC."""
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "keeper", line, file=sys.stderr, flush=True)
