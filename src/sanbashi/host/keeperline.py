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
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import immutables

import sanbashi
from sanbashi.errors import Unavailable
from sanbashi.keeper import protocol

from . import keeperprocess as process
from .keeperprocess import Silent, keeper_of, looked_at, patiently, stopped

Result = TypeVar("Result")


class Line:
    """A greeted connection; one request at a time. ConnectionError when the keeper goes, Silent when it says nothing."""

    def __init__(self, root: Path, connected: socket.socket) -> None:
        self._root, self._socket = root, connected
        self._received = bytearray()
        self.left = False  # by us
        self.pid = 0  # as long as it has not told
        try:
            hello = self.request({"hello": list(protocol.VERSIONS)})
            if "refused" in hello:
                raise Unavailable(
                    hello["refused"], hint="stop the keeper that runs (kill PID); names and forwarded ports pause until the daemon starts its own"
                )
        except (OSError, Unavailable):
            connected.close()
            raise
        self.version: int = hello["hello"]
        self.keeper: str = hello["keeper"]
        self.revision: int = hello["revision"]
        self.pid = hello["pid"]

    def request(self, frame: protocol.Frame, descriptors: Sequence[int] = ()) -> protocol.Frame:
        """Send a request, wait for its reply."""
        self.send(frame, descriptors)
        return self.read()

    def send(self, frame: protocol.Frame, descriptors: Sequence[int] = ()) -> None:
        """Send a request; its reply must be read before the next."""
        data = memoryview(protocol.pack(frame))
        if descriptors:
            data = data[self._patiently(partial(socket.send_fds, self._socket, [data], list(descriptors))) :]
        while data:
            data = data[self._patiently(partial(self._socket.send, data)) :]

    def read(self) -> protocol.Frame:
        """The next frame."""
        while (reply := protocol.unpack(self._received)) is None:
            chunk = self._patiently(partial(self._socket.recv, 1 << 18))
            if not chunk:
                raise ConnectionResetError("the keeper is gone")
            self._received += chunk
        return reply

    def _patiently(self, call: Callable[[], Result]) -> Result:
        return patiently(self._root, self.pid, call)

    def listen(self, heard: Callable[[protocol.Frame], None]) -> None:
        """Hear what the keeper says unasked, until it is gone or `close` is called by another thread."""
        try:
            self._socket.settimeout(None)  # who only listens has time, also for the first word
            if self.version >= protocol.LEASES:
                heard(self.request({"subscribe": True}))
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
    """A line to the keeper of an exec root, started if none runs; and the process if it is our child. Unavailable.

    One that is about to end is waited for, and the next is started in its place; one that is slow is waited for as well.
    """
    begun = time.monotonic()
    pause = process.PAUSE
    child: subprocess.Popen[bytes] | None = None
    with Exec(root) as place:
        while True:
            child = start(root, place, resolv_conf) or child
            try:
                return Line(root, connect(root, place)), child
            except (ConnectionError, FileNotFoundError):
                if child is not None and (status := ended(child)) is not None:
                    raise Unavailable(f"the keeper ended at once with status {status}", hint=f"{root / protocol.LOG} says why") from None
            waited = time.monotonic() - begun
            if waited > process.PATIENCE:
                pause = process.LOOK
                pid, asleep = looked_at(root)
                if asleep or waited > process.ENDURANCE:
                    raise Silent(root, pid, asleep=asleep)
            time.sleep(pause)


def ended(child: subprocess.Popen[bytes]) -> int | None:
    """The status of a keeper that hears nobody any more; None while it still is about to end."""
    try:
        return child.wait(process.PATIENCE)
    except subprocess.TimeoutExpired:
        return None


def join(root: Path) -> Line:
    """One more line to the keeper that runs; ConnectionError where it is about to end."""
    with Exec(root) as place:
        try:
            return Line(root, connect(root, place))
        except FileNotFoundError:
            raise ConnectionResetError("the keeper is gone") from None


def connect(root: Path, place: Exec) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connected.settimeout(process.PATIENCE)
    try:
        patiently(root, 0, partial(connected.connect, place.socket))
    except (OSError, Unavailable):
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


def wait_for_end(root: Path, *, at_once: bool = False) -> None:
    """Until the keeper of an exec root is gone: it holds the lock for its whole life.

    One that is stopped, or takes too long, is killed; with `at_once` any. Silent where not even that ends it.
    """
    begun = time.monotonic()
    due = 0.0 if at_once else process.PATIENCE
    while runs(root):
        waited = time.monotonic() - begun
        if waited >= due and (pid := keeper_of(root)):
            if at_once or stopped(pid) or waited > process.GRACE:
                process.kill(pid)
            due += process.PATIENCE
        if waited > process.ENDURANCE:
            pid, asleep = looked_at(root)
            raise Silent(root, pid, asleep=asleep)
        time.sleep(process.PAUSE)


def command(root: Path, lock: int, listener: int, resolv_conf: Path) -> list[str]:
    """The command line: an isolated interpreter without site, which starts in half the time, and the two directories that it needs."""
    package = Path(sanbashi.__file__).parent
    paths = dict.fromkeys((package.parent, Path(immutables.__file__).parent.parent))
    return [
        *(sys.executable, "-I", "-S", str(package / "keeper" / "__main__.py")),
        *(word for path in paths for word in ("--path", str(path))),
        *("--exec-root", str(root), "--lock", str(lock), "--listener", str(listener), "--resolv-conf", str(resolv_conf)),
    ]
