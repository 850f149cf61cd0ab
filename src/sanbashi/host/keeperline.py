"""A connection to the keeper, and the start of one where none runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import immutables

import sanbashi
from sanbashi.errors import Unavailable
from sanbashi.keeper import protocol

PATIENCE = 10.0  # seconds for a keeper to come up, and for any reply of it
PAUSE = 0.005  # seconds between two attempts while another starts one


class Line:
    """A greeted connection; one request at a time. ConnectionError when the keeper goes, TimeoutError when it says nothing."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._received = bytearray()
        self.left = False  # by us
        self._socket.settimeout(PATIENCE)
        hello = self.request({"hello": list(protocol.VERSIONS)})
        if "refused" in hello:
            raise Unavailable(
                hello["refused"], hint="stop the keeper that runs (kill PID); names and forwarded ports pause until the daemon starts its own"
            )
        self.version: int = hello["hello"]
        self.keeper: str = hello["keeper"]
        self.revision: int = hello["revision"]
        self.pid: int = hello["pid"]

    def request(self, frame: protocol.Frame, descriptors: Sequence[int] = ()) -> protocol.Frame:
        """Send a request, wait for its reply."""
        data = protocol.pack(frame)
        sent = socket.send_fds(self._socket, [data], list(descriptors)) if descriptors else self._socket.send(data)
        self._socket.sendall(memoryview(data)[sent:])
        return self.read()

    def read(self) -> protocol.Frame:
        """The next frame."""
        while (reply := protocol.unpack(self._received)) is None:
            chunk = self._socket.recv(1 << 18)
            if not chunk:
                raise ConnectionResetError("the keeper is gone")
            self._received += chunk
        return reply

    def listen(self, heard: Callable[[protocol.Frame], None]) -> None:
        """Hear what the keeper says unasked, until it is gone or `close` is called by another thread."""
        try:
            if self.version >= protocol.LEASES:
                heard(self.request({"subscribe": True}))
            self._socket.settimeout(None)
            while True:
                heard(self.read())
        except OSError:
            return

    def close(self) -> None:
        self.left = True
        with contextlib.suppress(OSError):  # gone already
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes a thread that waits for the end
        self._socket.close()


class Exec:
    """The exec root as a short path: a socket's name holds 107 bytes, a directory's may be longer."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __enter__(self) -> Self:
        self._descriptor = os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._descriptor)

    @property
    def socket(self) -> str:
        return f"/proc/self/fd/{self._descriptor}/{protocol.SOCKET}"


def reach(root: Path, resolv_conf: Path) -> tuple[Line, subprocess.Popen[bytes] | None]:
    """A line to the keeper of an exec root, started if none runs; and the process if it is our child. Unavailable."""
    until = time.monotonic() + PATIENCE
    with Exec(root) as place:
        while True:
            child = start(root, place, resolv_conf)
            try:
                return Line(connect(place)), child
            except (ConnectionError, FileNotFoundError, BrokenPipeError):
                if child is not None and (status := child.wait(PATIENCE)) is not None:
                    raise Unavailable(f"the keeper ended at once with status {status}", hint=f"{root / protocol.LOG} says why") from None
            except TimeoutError:
                raise Unavailable("the keeper does not answer", hint=f"see {root / protocol.LOG}") from None
            if time.monotonic() > until:
                raise Unavailable(f"no keeper can be reached at {root / protocol.SOCKET}, and its lock is held")
            time.sleep(PAUSE)


def join(root: Path) -> Line:
    """One more line to the keeper that runs; ConnectionError, FileNotFoundError."""
    with Exec(root) as place:
        return Line(connect(place))


def connect(place: Exec) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.connect(place.socket)
    except OSError:
        connected.close()
        raise
    return connected


def start(root: Path, place: Exec, resolv_conf: Path) -> subprocess.Popen[bytes] | None:
    """Start a keeper; None where one runs. The lock is taken here and lives on in the child, so that two can never serve one root.

    The listening socket is made here as well: whoever connects from now on is heard as soon as the keeper is up, and nobody has to look whether
    it is.
    """
    lock = os.open(root / protocol.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        (root / protocol.SOCKET).unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            os.fchmod(listener.fileno(), 0o600)  # before bind: the file is never open to others
            listener.bind(place.socket)
            listener.listen(64)
            with (root / protocol.LOG).open("ab") as log:
                return subprocess.Popen(
                    command(root, lock, listener.fileno(), resolv_conf),
                    pass_fds=(lock, listener.fileno()),
                    start_new_session=True,  # signals to the daemon's group or terminal are not meant for it
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    cwd="/",
                    env={},
                )
    finally:
        os.close(lock)


def runs(root: Path) -> bool:
    """Whether a keeper serves an exec root (or is just being started)."""
    try:
        lock = os.open(root / protocol.LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def wait_for_lock(root: Path) -> None:
    """Until the keeper of an exec root is gone: it holds the lock for its whole life."""
    lock = os.open(root / protocol.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        os.close(lock)


def command(root: Path, lock: int, listener: int, resolv_conf: Path) -> list[str]:
    """The command line: an isolated interpreter without site, which starts in half the time, and the two directories that it needs."""
    package = Path(sanbashi.__file__).parent
    paths = dict.fromkeys((package.parent, Path(immutables.__file__).parent.parent))
    return [
        *(sys.executable, "-I", "-S", str(package / "keeper" / "__main__.py")),
        *(word for path in paths for word in ("--path", str(path))),
        *("--exec-root", str(root), "--lock", str(lock), "--listener", str(listener), "--resolv-conf", str(resolv_conf)),
    ]
