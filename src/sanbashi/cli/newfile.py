"""A file that appears under its name only when it is whole: the output of save and export."""

import posix
from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISLNK, S_ISSOCK

from sanbashi.cli.failure import Failure
from sanbashi.cli.output import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# What a rename would put a file in the place of: /dev/null is gone then, for the whole machine.
NO_TARGETS = (
    (S_ISDIR, "directory"),
    (S_ISLNK, "symbolic link directly"),
    (S_ISFIFO, "named pipe (FIFO)"),
    (S_ISSOCK, "socket"),
    (S_ISCHR, "character device file"),
    (S_ISBLK, "block device file"),
)


def check_target(path: str, doing: str) -> None:
    """Failure in Docker's words, after `doing`, where nothing can be written under this name."""
    if problem := problem_of(path):
        raise Failure(f"{doing}: {problem}")


def problem_of(path: str) -> str:
    """What is wrong with a path to write to; empty where nothing is."""
    folder = path.rpartition("/")[0].rstrip("/")
    try:
        if folder and not S_ISDIR(posix.stat(folder).st_mode):
            return f"invalid output path: stat {folder}: not a directory"
    except OSError as problem:
        return f"invalid output path: stat {folder}: {(problem.strerror or '').lower()}"
    try:
        mode = posix.lstat(path).st_mode
    except FileNotFoundError:
        return ""
    except OSError as problem:
        return f"failed to stat output path: lstat {path}: {(problem.strerror or '').lower()}"
    kind = next((name for is_one, name in NO_TARGETS if is_one(mode)), "")
    return f"cannot write to a {kind}" if kind else ""


def write_new(path: str, parts: "Iterable[bytes]") -> None:
    """Write all parts, or leave what was there as it was; Failure. `check_target` comes first, before the parts are asked for."""
    unfinished = f"{path}.part"
    try:
        target = posix.open(unfinished, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise Failure(f"open {path}: {(problem.strerror or '').lower()}") from None
    try:
        for part in parts:
            write(target, part)
        posix.rename(unfinished, path)
    except BaseException:
        posix.unlink(unfinished)
        raise
    finally:
        posix.close(target)
