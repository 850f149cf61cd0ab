"""Where `cp` takes from and puts to: docker's rules for slashes, dots, links, and what a copy is called at its destination."""

# Paths are text here: a copy of many files would make as many Path objects.
# ruff: noqa: PTH109, PTH110, PTH112, PTH114

import os
import posixpath

from sanbashi.cli.failure import Failure


class Place:
    """A path on either side: what it is there. `rebase` is what a copy is called where the path's own last name would not do."""

    __slots__ = ("exists", "is_directory", "path", "rebase")

    def __init__(self, path: str, *, exists: bool = False, is_directory: bool = False, rebase: str = "") -> None:
        self.path = path
        self.exists = exists
        self.is_directory = is_directory
        self.rebase = rebase

    def split(self) -> tuple[str, str]:
        """(directory, last name); the name is "." where the path asks for a directory's contents."""
        clean = posixpath.normpath(self.path)
        if asks_contents(self.path):
            return clean, "."
        return posixpath.dirname(clean) or ".", posixpath.basename(clean)


def asks_contents(path: str) -> bool:
    """Whether a path ends in a dot."""
    return path == "." or path.endswith("/.")


def arrange(source: Place, target: Place) -> tuple[str, str]:
    """(the directory to extract in, what the copy's first name becomes there: "." for contents alone); Failure with docker's words."""
    name = source.rebase or source.split()[1]
    if target.exists and target.is_directory:
        return target.path, name
    if target.exists and source.is_directory:
        raise Failure("cannot copy directory")
    if not target.exists and not source.is_directory and (target.path.endswith(("/", "/.")) or not target.path):
        raise Failure("no such directory")
    if not target.path:  # `cp DIRECTORY CONTAINER:` copies what is in it
        return "/", "."
    return target.split()


def split_argument(text: str) -> tuple[str, str]:
    """(container, path); no container for a local path, which may hold a colon where it begins with a dot or slash."""
    container, colon, path = text.partition(":")
    if text.startswith("/") or not colon or container.startswith("."):
        return "", text
    return container, path


def whole_path(path: str) -> str:
    """A path of this machine from its root on."""
    return posixpath.join(os.getcwd(), path)


def local_source(path: str, *, follow: bool) -> Place:
    """A path to copy from here; its last link is followed where asked, or where a slash or dot follows it."""
    if follow or path.endswith("/") or asks_contents(path):
        real = os.path.realpath(path)
        rebase = ""
        if posixpath.basename(posixpath.normpath(path)) != posixpath.basename(real) and not asks_contents(path):
            rebase = posixpath.basename(posixpath.normpath(path))
        real += "/." if asks_contents(path) else ""
    else:
        head, tail = posixpath.split(posixpath.normpath(path))
        real, rebase = posixpath.join(os.path.realpath(head or "."), tail), ""
    if not os.path.lexists(real.removesuffix("/.") or "/"):
        raise Failure(f"lstat {posixpath.normpath(whole_path(path))}: no such file or directory")
    return Place(real, exists=True, is_directory=os.path.isdir(real) and not os.path.islink(real), rebase=rebase)


def local_target(path: str) -> Place:
    """A path to copy to here; a link is followed."""
    whole = whole_path(path)
    if not os.path.isdir(posixpath.dirname(posixpath.normpath(whole)) or "/"):
        raise Failure(f'invalid output path: directory "{posixpath.dirname(posixpath.normpath(whole))}" does not exist')
    if os.path.lexists(whole.rstrip("/") or "/"):
        real = os.path.realpath(whole)
        return Place(real, exists=os.path.exists(real), is_directory=os.path.isdir(real))
    return Place(whole)
