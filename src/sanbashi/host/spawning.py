"""Starting programs by posix_spawn(3), without the interpreter's lock: until the new program runs, no other thread would get any work done.

subprocess holds the lock from its vfork(2) to the child's execve(2), 0.3 ms and, where all processors are taken, several. Each start of a container
is three programs of ours beside the threads that make the rest of it. What a program says goes into memory files, so nobody has to read along.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .mounts import libc

ROOM = 1024  # more than any libc has for what its calls fill; its own sizes no call tells
SETSIGDEF, SETSIGMASK, SETSID = 0x04, 0x08, 0x80  # spawn.h
# Python ignores the first two, which no program expects; the others are the C library's own, which it would leave ignored in the program.
RESTORED = (signal.SIGPIPE, signal.SIGXFSZ, 32, 33)
SET = 128  # bytes of a sigset_t
ABOVE = 32  # a program is not given so many descriptors


def spawn(words: Sequence[str], *, given: Sequence[int], env: Mapping[str, str] | None = None, cwd: Path | None = None, session: bool = False) -> int:
    """Start a program in the calling thread's namespaces: its pid, to be waited for. OSError where it cannot be.

    `given` become its descriptors 0, 1, 2 and so on, and it has no others. `session`: it leads one of its own.
    """
    actions, attributes, pid = ctypes.create_string_buffer(ROOM), ctypes.create_string_buffer(ROOM), ctypes.c_int()
    with ExitStack() as stack:
        libc.posix_spawn_file_actions_init(actions)
        stack.callback(libc.posix_spawn_file_actions_destroy, actions)
        libc.posix_spawnattr_init(attributes)
        stack.callback(libc.posix_spawnattr_destroy, attributes)
        done = [libc.posix_spawn_file_actions_addchdir_np(actions, os.fsencode(cwd))] if cwd is not None else []
        for number, descriptor in enumerate(given):
            if descriptor < len(given):  # would be replaced before it is copied
                descriptor = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, ABOVE)
                stack.callback(os.close, descriptor)
            done.append(libc.posix_spawn_file_actions_adddup2(actions, descriptor, number))
        done += [
            libc.posix_spawn_file_actions_addclosefrom_np(actions, len(given)),
            libc.posix_spawnattr_setsigdefault(attributes, sum(1 << number - 1 for number in RESTORED).to_bytes(SET, "little")),
            libc.posix_spawnattr_setsigmask(attributes, bytes(SET)),
            libc.posix_spawnattr_setflags(attributes, ctypes.c_short(SETSIGDEF | SETSIGMASK | (SETSID if session else 0))),
        ]
        environment = [f"{name}={value}" for name, value in (os.environ if env is None else env).items()]
        code = max(done) or libc.posix_spawnp(ctypes.byref(pid), os.fsencode(words[0]), actions, attributes, strings(words), strings(environment))
        if code:
            raise OSError(code, os.strerror(code), words[0])
    return pid.value


def strings(words: Sequence[str]) -> ctypes.Array[ctypes.c_char_p]:
    """A char *[] with its end."""
    return (ctypes.c_char_p * (len(words) + 1))(*map(os.fsencode, words), None)


def status(pid: int) -> int:
    """Wait for a child's end: its exit status, or less than 0 the signal that ended it; blocking."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@contextmanager
def nothing() -> Iterator[int]:
    """A descriptor that gives nothing and takes all."""
    descriptor = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class Said:
    """What a program writes, in a memory file."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("said", os.MFD_CLOEXEC)

    def __enter__(self) -> Said:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def text(self) -> str:
        """All of it so far."""
        return os.pread(self.descriptor, os.fstat(self.descriptor).st_size, 0).decode("utf-8", "replace")
