"""A runtime's program as it would otherwise copy itself: in memory, where nobody can write to it.

So that a container never gets at the host's binary (CVE-2019-5736), crun copies its own into a sealed memory file and starts anew from that, with
every verb. It leaves that out where it was started from such a file, and says why: sharing one is as safe, for nobody can write to it whatever he
does. A verb takes half the time then.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from pathlib import Path

# linux/memfd.h, linux/fcntl.h. The seals are these and no others: the runtimes compare.
MFD_EXEC = 0x10
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
ELF = b"\x7fELF"
LABELS = Path("/sys/fs/selinux/enforce")  # where programs have labels, from which the host's policy follows, a copy would have another


class Sealed:
    """A program and its sealed copy, which is found at `link` for as long as this process has it open. Any thread may ask; `close` when done."""

    def __init__(self, program: Path, link: Path) -> None:
        self.program = program
        self.link = link
        self._lock = threading.Lock()
        self._descriptor = -1
        self._copied: tuple[int, ...] = ()  # which file it is a copy of
        self._usable = False

    def path(self) -> Path:
        """What to start: the copy, made when first asked for and whenever the program was replaced; the program itself where there can be none."""
        with self._lock:
            try:
                status = self.program.stat()
                which = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
                if which != self._copied:
                    self._usable = not LABELS.exists() and self._copy()
                    self._copied = which
            except OSError:
                return self.program
            return self.link if self._usable else self.program

    def _copy(self) -> bool:
        """Whether there is a copy now. One that was there before has the same place, so that whoever was told of it finds the new one."""
        content = self.program.read_bytes()
        if not content.startswith(ELF):  # a script says by its place what it starts
            return False
        writing = memory_file(self.program.name)
        try:
            with os.fdopen(os.dup(writing), "wb") as file:
                file.write(content)
            fcntl.fcntl(writing, fcntl.F_ADD_SEALS, SEALS)
            if fcntl.fcntl(writing, fcntl.F_GET_SEALS) != SEALS:  # the host wants memory files not to be programs
                return False
            reading = os.open(f"/proc/self/fd/{writing}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(writing)
        if self._descriptor >= 0:
            os.dup2(reading, self._descriptor, inheritable=False)
            os.close(reading)
            return True
        try:
            draft = self.link.with_name(f".{self.link.name}.new")
            draft.unlink(missing_ok=True)
            draft.symlink_to(f"/proc/{os.getpid()}/fd/{reading}")
            draft.rename(self.link)
        except OSError:
            os.close(reading)
            raise
        self._descriptor = reading
        return True

    def close(self) -> None:
        """Let go of the copy; what was started from it goes on."""
        with self._lock:
            if self._descriptor >= 0:
                self.link.unlink(missing_ok=True)
                os.close(self._descriptor)
                self._descriptor, self._copied, self._usable = -1, (), False


def memory_file(name: str) -> int:
    """A memory file that can be a program and can be sealed; OSError where the host has none."""
    with contextlib.suppress(OSError):  # before Linux 6.3 there is no such flag, and no need of it
        return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | MFD_EXEC)
    return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
