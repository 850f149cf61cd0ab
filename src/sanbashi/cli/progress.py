"""The daemon's progress stream: bars in place on a terminal, plain lines otherwise."""

import time

from sanbashi.cli.failure import Failure
from sanbashi.cli.json_text import decode
from sanbashi.cli.output import is_terminal, terminal_size, write
from sanbashi.cli.times import SECOND, show_duration
from sanbashi.cli.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class Display:
    """Shows messages on one descriptor; a line an id is rewritten where it is a terminal."""

    def __init__(self, fd: int, *, terminal: bool | None = None) -> None:
        self.fd = fd
        self.terminal = is_terminal(fd) if terminal is None else terminal
        self.lines: dict[str, int] = {}

    def show(self, message: "dict[str, Any]") -> None:
        """One message; Failure where it tells of an error."""
        if "aux" in message:
            return
        progress = message.get("progressDetail")
        name = str(message.get("id") or "")
        below = 0
        text = ""
        if name and (progress is not None or message.get("progress")):
            if name not in self.lines:
                self.lines[name] = len(self.lines)
                text = "\n" if self.terminal else ""
            below = len(self.lines) - self.lines[name]
            if self.terminal:
                text += f"\x1b[{below}A"
        else:
            self.lines = {}
        problem = message.get("errorDetail") or ({"message": message["error"]} if message.get("error") else None)
        text += "" if problem else self.line(message, progress, name)
        if name and self.terminal and below:
            text += f"\x1b[{below}B"
        write(self.fd, text.encode("utf-8", "surrogateescape"))
        if problem:
            raise Failure(str(problem.get("message", "")))

    def line(self, message: "dict[str, Any]", progress: "dict[str, Any] | None", name: str) -> str:
        """The message in one line."""
        ending = ""
        start = ""
        bar = progress_bar(progress, terminal_size(self.fd)[1] or 200) if progress is not None else ""
        if self.terminal and not message.get("stream") and progress is not None:
            start, ending = "\x1b[2K\r", "\r"
        elif bar:
            return ""
        start += f"{name}: " if name else ""
        status = str(message.get("status") or "")
        if progress is not None and self.terminal:
            return f"{start}{status} {bar}{ending}"
        if message.get("progress"):
            return f"{start}{status} {message['progress']}{ending}"
        if message.get("stream"):
            return f"{start}{message['stream']}{ending}"
        return f"{start}{status}{ending}\n"


def progress_bar(progress: "dict[str, Any]", width: int, *, now: float | None = None) -> str:
    """`[====>   ]  1.2MB/5MB`; without the bar on a narrow terminal."""
    current, total = int(progress.get("current") or 0), int(progress.get("total") or 0)
    units = str(progress.get("units") or "")
    if current <= 0 and total <= 0:
        return ""
    if total <= 0:
        return f"{current} {units}" if units else f"{human_size(current):>8}"
    percentage = min(int(current / total * 100) // 2, 50)
    bar = f"[{'=' * percentage}>{' ' * (50 - percentage)}] " if width > 110 else ""
    numbers = ""
    if not progress.get("hidecounts"):
        if units:
            numbers = f"{current} {units}" if current > total else f"{current}/{total} {units}"
        else:
            numbers = f"{human_size(current):>8}" + ("" if current > total else f"/{human_size(total)}")
    left = ""
    started = int(progress.get("start") or 0)
    if width > 50 and current > 0 and started > 0 and percentage < 50:
        passed = (time.time() if now is None else now) - started
        left = " " + show_duration(round((total - current) * (passed / current)) * SECOND)
    return bar + numbers + left


def messages(parts: "Iterable[bytes]") -> "Iterable[dict[str, Any]]":
    """The messages of a stream, one a line."""
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if line.strip():
                yield decode(line.decode("utf-8", "surrogateescape"))
    if rest.strip():
        yield decode(rest.decode("utf-8", "surrogateescape"))


def show_all(parts: "Iterable[bytes]", fd: int) -> None:
    """A whole stream on one descriptor."""
    display = Display(fd)
    for message in messages(parts):
        display.show(message)
