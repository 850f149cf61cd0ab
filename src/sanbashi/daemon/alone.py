"""Being the only daemon of a data root, an exec root and a network namespace."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import Conflict, Failed, Invalid
from ..host.claim import claimed
from ..host.monitors import Monitored, monitored
from .config import DaemonConfig

ELSEWHERE = "start this one in a namespace of its own: ip netns add other; ip netns exec other sanbashid ..."
CLOSED, OTHERS = 0o710, 0o007  # modes: of folders that only root enters, and the bits that would let anybody in
OWN_ROOTS = "end it, or start this one with its own --exec-root and --data-root"


@contextlib.contextmanager
def alone(config: DaemonConfig) -> Iterator[None]:
    """Nobody else has the roots and the namespace as long as this lasts; Invalid or Conflict where somebody has."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(pid_file(config.pidfile))
            held.enter_context(data_root(config.data_root))
        except OSError as error:
            raise Failed(f"cannot use {error.filename or config.pidfile}: {error.strerror}") from error
        held.enter_context(namespace())
        refuse_strangers(config, monitored())
        yield


@contextlib.contextmanager
def pid_file(path: Path) -> Iterator[None]:
    """The file with our pid, gone when we are; Invalid where another daemon has it.

    The lock on it goes with the process, however that ends: what a dead daemon wrote holds up nobody, whoever has got its number since.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = lock_file(path)
    if descriptor is None:
        text = path.read_text().strip()
        raise Invalid(f"process with PID {text} is still running", hint=f"another sanbashid uses {path}; {OWN_ROOTS}")
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
        path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def data_root(path: Path) -> Iterator[None]:
    """The data root is ours; Conflict where another daemon has it, be it in another network namespace."""
    path.mkdir(parents=True, exist_ok=True, mode=CLOSED)
    # Below lie files of root's with the setuid bit, in layers and in volumes: nobody else may come as far as that. Versions before this let them.
    if stat.S_IMODE(path.stat().st_mode) & OTHERS:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~OTHERS)
    descriptor = lock_file(path / "lock")
    if descriptor is None:
        raise Conflict(f"another sanbashid uses the data root {path}", hint=OWN_ROOTS)
    try:
        yield
    finally:
        os.close(descriptor)


def lock_file(path: Path) -> int | None:
    """A descriptor that holds the lock of the file that is at this path; None where somebody else holds it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who held it may have removed the file meanwhile, and somebody else made another.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        os.close(descriptor)


@contextlib.contextmanager
def namespace() -> Iterator[None]:
    """The network namespace is ours; Conflict where another daemon has it.

    Two daemons would take each other's links, addresses and rules for leftovers of their own and remove them.
    """
    with claimed() as other:
        if other is not None:
            raise Conflict(
                f"another sanbashid {f'(process {other.pid}) ' if other.pid else ''}runs in this network namespace: "
                "two would remove each other's links and rules",
                hint=f"end it, or {ELSEWHERE}",
            )
        yield


def refuse_strangers(config: DaemonConfig, running: Iterable[Monitored]) -> None:
    """Conflict where containers of a daemon with other roots go on here without it: to us all that is theirs would be left over."""
    exec_root, data = config.exec_root.resolve(), config.data_root.resolve()
    roots: dict[tuple[Path, Path | None], int] = {}
    # Containers have few roots, each of which is looked up once.
    for (named_exec, named_data), count in Counter((one.exec_root, one.data_root) for one in running).items():
        theirs = (named_exec.resolve(), named_data.resolve() if named_data else None)
        if theirs[0] != exec_root or theirs[1] not in (None, data):
            roots[theirs] = roots.get(theirs, 0) + count
    for (their_exec, their_data), count in roots.items():
        options = f"--exec-root {their_exec}{f' --data-root {their_data}' if their_data else ''}"
        raise Conflict(
            f"{count} container{'s' if count > 1 else ''} of a sanbashid with {options} run{'' if count > 1 else 's'} in this network namespace "
            "without it: their links and rules would be removed",
            hint=f"start that one again and end them, or {ELSEWHERE}",
        )
