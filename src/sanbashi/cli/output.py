"""Standard output and error as bytes, without the cost of Python's text layers; what a terminal is and how large."""

import posix

from sanbashi.cli.failure import Failure

STDIN, STDOUT, STDERR = 0, 1, 2
STREAMS = {STDOUT: "/dev/stdout", STDERR: "/dev/stderr"}


def write(fd: int, data: bytes | memoryview) -> None:
    """All of the bytes; waits where the descriptor is non-blocking and full, Failure where nothing more can be written."""
    view = memoryview(data)
    while view:
        try:
            view = view[posix.write(fd, view) :]
        except BlockingIOError:
            from select import select

            select([], [fd], [])
        except OSError as problem:
            raise Failure(f"write {STREAMS.get(fd, 'output file')}: {(problem.strerror or '').lower()}") from None


def out(text: str) -> None:
    """Text to standard output."""
    if text:
        write(STDOUT, text.encode("utf-8", "surrogateescape"))


def err(text: str) -> None:
    """Text to standard error."""
    if text:
        write(STDERR, text.encode("utf-8", "surrogateescape"))


def is_terminal(fd: int) -> bool:
    """Whether the descriptor is a terminal."""
    try:
        return posix.isatty(fd)
    except OSError:
        return False


def terminal_size(fd: int) -> tuple[int, int]:
    """(rows, columns); (0, 0) where there is no terminal."""
    try:
        columns, rows = posix.get_terminal_size(fd)
    except OSError:
        return 0, 0
    return rows, columns


def environment(name: str, default: str = "") -> str:
    """A variable of the environment."""
    value = posix.environ.get(name.encode())
    return default if value is None else value.decode("utf-8", "surrogateescape")


def lookup(name: str) -> str | None:
    """A variable of the environment, None where it is not set."""
    value = posix.environ.get(name.encode("utf-8", "surrogateescape"))
    return None if value is None else value.decode("utf-8", "surrogateescape")
