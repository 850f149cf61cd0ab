"""A program at a real pseudo-terminal: type a line, read until the prompt comes back, change the size of the window."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence

PROMPT = re.compile(r"root@[0-9a-f]{12}:/[^\n]*# $")
ECHOED = 40  # of a typed line: a longer one may be folded
# What apt draws on the last line of the screen, between saving the cursor's place and going back to it.
ASIDE = re.compile(r"\x1b7.*?(?:\x1b8|\Z)", re.DOTALL)
# One thing that a terminal acts on: the window's title, a control sequence (its parameters and letter in groups), a character.
TOKEN = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[([0-9;?]*)[ -/]*([@-~])|\x1b[()][0-9A-B]|\x1b[0-9=>A-Z]|[^\x1b]|\x1b", re.DOTALL)


def plain(text: str) -> str:
    """What a person sees of a terminal's output: lines that progress bars write over and over stand as they ended; colours are left out."""
    lines: list[list[str]] = [[]]
    row = column = 0
    for token in TOKEN.finditer(ASIDE.sub("", text)):
        letter, count = token[2], int(token[1]) if (token[1] or "").isdigit() else 1
        if letter == "A":
            row = max(0, row - count)
        elif letter == "B":
            row += count
        elif letter == "J":
            lines[row:] = [lines[row][:column]]
        elif letter == "K":
            lines[row] = [] if token[1] == "2" else lines[row][:column]
        elif token[0] == "\n":
            row += 1
        elif token[0] == "\r":
            column = 0
        elif token[0] == "\b":
            column = max(0, column - 1)
        elif token[0] >= " ":
            line = lines[row]
            line.extend(" " * (column - len(line)))
            line[column : column + 1] = token[0]
            column += 1
        lines.extend([] for _ in range(row + 1 - len(lines)))
    return "\n".join("".join(line) for line in lines)


class Terminal:
    """A command that runs at a terminal of its own; close() or the end of the command ends it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], size: tuple[int, int] = (40, 120)) -> None:
        self.echo = ""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
            os.execvpe(command[0], list(command), dict(environment))

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, line: str) -> None:
        self.echo = line[:ECHOED]
        self.send(line.encode() + b"\n")

    def send(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def read(self, patience: float, *, prompt: bool = True) -> tuple[str, bool]:
        """(what came, whether the prompt came at its end): until the prompt, the end of the command, or for `patience` seconds."""
        deadline = time.monotonic() + patience
        came = b""
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.master], [], [], deadline - time.monotonic())
            if not ready:
                break
            try:
                piece = os.read(self.master, 65536)
            except OSError:  # EIO: the other end is closed
                break
            if not piece:
                break
            came += piece
            seen = plain(came.decode(errors="replace"))
            # A shell that hears of its terminal's size draws its prompt again: only one after the echo of what was typed is the answer's end.
            if prompt and self.echo in seen and PROMPT.search(seen):
                return seen, True
        return plain(came.decode(errors="replace")), False

    def wait(self, patience: float = 10) -> int | None:
        """The exit status, None where it does not end in time."""
        pidfd = os.pidfd_open(self.pid)
        try:
            ready, _, _ = select.select([pidfd], [], [], patience)
        finally:
            os.close(pidfd)
        if not ready:
            return None
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = 0
        return status

    def close(self) -> None:
        """End the command if it runs, and give the terminal back."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGHUP)
            if self.wait(2) is None:
                os.kill(self.pid, signal.SIGKILL)
                self.wait()
        if self.master >= 0:
            os.close(self.master)
            self.master = -1
