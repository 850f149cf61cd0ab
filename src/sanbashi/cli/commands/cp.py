"""cp."""

import posixpath

from sanbashi.cli.client import Daemon, named
from sanbashi.cli.command import Call, Command
from sanbashi.cli.failure import DaemonError, Failure
from sanbashi.cli.output import STDERR, STDIN, STDOUT, err, is_terminal, write
from sanbashi.cli.places import Place, arrange, local_source, local_target, split_argument, whole_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

DIRECTORY, LINK = 1 << 31, 1 << 27  # bits of Go's fs.FileMode


def cp(call: Call) -> None:
    """Copies from or to a container."""
    source, target = call.args
    for text, side in ((source, "source"), (target, "destination")):
        if not text:
            raise Failure(f"{side} can not be empty")
    from_container, path = split_argument(source)
    to_container, place = split_argument(target)
    if from_container and to_container:
        raise Failure("copying between containers is not supported")
    if from_container:
        copy_out(call, from_container, path, place)
    elif to_container:
        copy_in(call, path, to_container, place)
    else:
        raise Failure("must specify at least one container source")


def stat_header(text: str) -> "dict[str, Any]":
    """What the daemon says of a path."""
    from binascii import a2b_base64

    from sanbashi.cli.json_text import decode

    found: dict[str, Any] = decode(a2b_base64(text).decode())
    return found


def look(daemon: Daemon, container: str, path: str) -> "dict[str, Any]":
    """HEAD of a path; DaemonError."""
    response = daemon.request("HEAD", f"/containers/{named('container', container)}/archive", {"path": path})
    response.read()
    return stat_header(response.headers["x-docker-container-path-stat"])


def followed(path: str, target: str) -> str:
    """Where a link leads, as an absolute path."""
    return target if target.startswith("/") else posixpath.join(posixpath.dirname(path.rstrip("/")), target)


def copy_out(call: Call, container: str, path: str, local: str) -> None:
    """From a container to here, or as a tar to standard output."""
    daemon = call.daemon
    target = None if local == "-" else local_target(local)
    rebase = ""
    if call.given.on("follow-link"):
        found = look(daemon, container, path)
        if found["mode"] & LINK:
            leads = followed(path, found["linkTarget"])
            name = posixpath.basename(posixpath.normpath(path))
            rebase = name if name != posixpath.basename(leads) else ""
            path = leads
    response = daemon.request("GET", f"/containers/{named('container', container)}/archive", {"path": path})
    if target is None:
        for data in response.parts():
            write(STDOUT, data)
        return
    found = stat_header(response.headers["x-docker-container-path-stat"])
    source = Place(path or "/", exists=True, is_directory=bool(found["mode"] & DIRECTORY), rebase=rebase)
    directory, called = arrange(source, target)
    from sanbashi.cli.tar_stream import Parts, unpack

    parts = Parts(response.parts())
    contents = source.split()[1] in (".", "")
    try:
        unpack(parts, directory, called, contents=contents)
    except OSError as problem:
        raise Failure(f"{problem.filename or directory}: {(problem.strerror or '').lower()}") from None
    tell(call, parts.size, whole_path(local))


def copy_in(call: Call, local: str, container: str, path: str) -> None:
    """From here, or a tar from standard input, to a container."""
    from sanbashi.cli.commands.transfer import parts_of

    daemon = call.daemon
    target = container_target(daemon, container, path)
    sent = 0

    def counted(parts: "Iterator[bytes]") -> "Iterator[bytes]":
        nonlocal sent
        for part in parts:
            sent += len(part)
            yield part

    if local == "-":
        if not target.is_directory:
            raise Failure(f'destination "{container}:{path}" must be a directory')
        directory, parts = target.path, parts_of(STDIN)
    else:
        from sanbashi.cli.tar_stream import pack

        source = local_source(local, follow=call.given.on("follow-link"))
        directory, called = arrange(source, target)
        parts = pack(source.path, called)
    query = {"path": directory, "noOverwriteDirNonDir": "true", "copyUIDGID": call.given.on("archive")}
    try:
        url = f"/containers/{named('container', container)}/archive"
        daemon.request("PUT", url, query, counted(parts), {"Content-Type": "application/x-tar"}).read()
    except OSError as problem:
        raise Failure(f"{problem.filename or local}: {(problem.strerror or '').lower()}") from None
    tell(call, sent, f"{container}:{path}")


def container_target(daemon: Daemon, container: str, path: str) -> Place:
    """What the destination is now; a link is followed, and what is not there is made by the copy."""
    if not path:
        return Place("")
    try:
        found = look(daemon, container, path)
        if found["mode"] & LINK:
            path = followed(path, found["linkTarget"])
            found = look(daemon, container, path)
    except DaemonError as problem:
        if problem.code != 404:
            raise
        return Place(path)
    return Place(path, exists=True, is_directory=bool(found["mode"] & DIRECTORY))


def tell(call: Call, size: int, where: str) -> None:
    """How much was copied, on a terminal."""
    if not call.given.on("quiet") and is_terminal(STDERR):
        from sanbashi.cli.units import human_size

        err(f"Successfully copied {human_size(size, 3)} to {where}\n")


COMMANDS = {
    "cp": Command(
        "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tsanbashi cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
        cp,
        about=(
            "Copy files/folders between a container and the local filesystem\n\n"
            "Use '-' as the source to read a tar archive from stdin\nand extract it to a directory destination in a container.\n"
            "Use '-' as the destination to stream a tar archive of a\ncontainer source to stdout."
        ),
        flags="""
-a, --archive  Archive mode (copy all uid/gid information)
-L, --follow-link  Always follow symbol link in SRC_PATH
-q, --quiet  Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached
""",
        least=2,
        most=2,
        aliases="container cp, cp",
    )
}
