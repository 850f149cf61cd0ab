"""build."""

import os

from sanbashi.cli import values
from sanbashi.cli.command import Call, Command
from sanbashi.cli.failure import Failure
from sanbashi.cli.output import STDIN, STDOUT, err, is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def build(call: Call) -> int:
    """Builds an image from a Dockerfile."""
    from sanbashi.cli.progress import Display, messages
    from sanbashi.cli.settings import all_auths

    given = call.given
    query = query_of(call)
    parts, query["dockerfile"] = context_of(call.args[0], given.text("file"))
    for flag in ("compress", "disable-content-trust", "isolation"):
        if flag == "isolation" and given.text(flag) not in ("", "default"):
            raise Failure(f"invalid isolation {given.text(flag)}: only default is supported")
    headers = {"Content-Type": "application/x-tar", "X-Registry-Config": all_auths()}
    response = call.daemon.request("POST", "/build", query, parts, headers)
    display = Display(STDOUT)
    built = ""
    for message in messages(response.parts()):
        built = str((message.get("aux") or {}).get("ID") or built)
        if given.on("quiet") and str(message.get("stream", "")).startswith("sha256:"):
            built = str(message["stream"]).strip()
        problem = message.get("errorDetail")
        if problem:
            err(f"{problem.get('message', '')}\n")
            if message.get("hint"):
                err(f"hint: {message['hint']}\n")
            return int(problem.get("code") or 1)
        display.show(message)
    if given.text("iidfile"):
        with open(given.text("iidfile"), "w") as file:  # noqa: PTH123 - pathlib costs more than the whole command
            file.write(built)
    return 0


def query_of(call: Call) -> "dict[str, Any]":
    """The request's query."""
    from sanbashi.cli.gotemplate.encode import encode
    from sanbashi.cli.output import lookup

    given = call.given
    arguments: dict[str, str | None] = {}
    for each in given.many("build-arg"):
        name, equals, value = str(each).partition("=")
        arguments[name] = value if equals else lookup(name)
    numbers = {"cpushares": "cpu-shares", "cpuperiod": "cpu-period", "cpuquota": "cpu-quota", "memory": "memory", "memswap": "memory-swap"}
    query: dict[str, Any] = {
        "t": given.many("tag"),
        "version": "1",
        "buildargs": encode(arguments) if arguments else "",
        "labels": encode(given.pairs("label")) if given.many("label") else "",
        "cachefrom": encode(given.many("cache-from")) if given.many("cache-from") else "",
        "ulimits": encode(given.many("ulimit")) if given.many("ulimit") else "",
        "extrahosts": given.many("add-host"),
        "securityopt": given.many("security-opt"),
        "networkmode": given.text("network", "default"),
        "target": given.text("target"),
        "platform": given.text("platform"),
        "cgroupparent": given.text("cgroup-parent"),
        "cpusetcpus": given.text("cpuset-cpus"),
        "cpusetmems": given.text("cpuset-mems"),
        "shmsize": given.number("shm-size") or "",
        "q": "1" if given.on("quiet") else "",
        "nocache": "1" if given.on("no-cache") else "",
        "pull": "1" if given.on("pull") else "",
        "squash": "1" if given.on("squash") else "",
        "rm": "1" if given.on("rm", True) else "0",
        "forcerm": "1" if given.on("force-rm") else "",
    }
    return query | {name: given.number(flag) for name, flag in numbers.items() if given.changed(flag)}


def context_of(where: str, file: str) -> "tuple[Iterator[bytes], str]":
    """The context's bytes and the Dockerfile's name in it."""
    from sanbashi.cli.context import archive, file_alone, is_archive
    from sanbashi.cli.ignored import Ignored

    if where == "-":
        first, rest = standard_input()
        if not is_archive(first):
            data = first + b"".join(rest)
            if not data.strip():
                raise Failure("unable to prepare context: Dockerfile from stdin is empty")
            return iter([file_alone("Dockerfile", data)]), "Dockerfile"
        return piped(first, rest), file or "Dockerfile"
    if where.startswith(("http://", "https://", "git://", "git@", "github.com/")):
        raise Failure(
            f"build contexts from an address are not supported: {where}", hint="fetch it and give its directory, or pipe it: ... | sanbashi build -"
        )
    if not os.path.isdir(where):  # noqa: PTH112
        raise Failure(f"unable to prepare context: path {where!r} not found".replace("'", '"'))
    root = os.path.realpath(where)
    extra: dict[str, bytes] = {}
    if file == "-":
        first, rest = standard_input()
        name = ".dockerfile.stdin"
        extra[name] = first + b"".join(rest)
    else:
        path = os.path.realpath(file) if file else os.path.join(root, "Dockerfile")  # noqa: PTH118
        if not os.path.isfile(path):  # noqa: PTH113
            raise Failure(f"unable to prepare context: unable to evaluate symlinks in Dockerfile path: lstat {path}: no such file or directory")
        name = os.path.relpath(path, root)
        if name.startswith("../"):
            with open(path, "rb") as opened:  # noqa: PTH123
                name, extra = ".dockerfile.outside", {".dockerfile.outside": opened.read()}
    rules = ""
    for candidate in (f"{root}/{name}.dockerignore", f"{root}/.dockerignore"):
        if os.path.isfile(candidate):  # noqa: PTH113
            with open(candidate, encoding="utf-8", errors="surrogateescape") as opened_rules:  # noqa: PTH123
                rules = opened_rules.read()
            break
    return archive(root, Ignored(rules), frozenset((name, ".dockerignore")), extra), name


def standard_input() -> "tuple[bytes, Iterator[bytes]]":
    """The first bytes of standard input and the rest."""
    from sanbashi.cli.commands.transfer import parts_of

    if is_terminal(STDIN):
        raise Failure("unable to prepare context: standard input is a terminal: pipe a Dockerfile or a tar archive")
    parts = parts_of(STDIN)
    first = b""
    while len(first) < 512 and (part := next(parts, b"")):
        first += part
    return first, parts


def piped(first: bytes, rest: "Iterator[bytes]") -> "Iterator[bytes]":
    yield first
    yield from rest


COMMANDS = {
    "build": Command(
        "[OPTIONS] PATH | URL | -",
        build,
        flags="""
    --add-host list  Add a custom host-to-IP mapping ("host:ip")
    --build-arg list  Set build-time variables
    --cache-from strings  Images to consider as cache sources
    --cgroup-parent string  Set the parent cgroup for the "RUN" instructions during build
    --compress  Compress the build context using gzip
    --cpu-period int  Limit the CPU CFS (Completely Fair Scheduler) period
    --cpu-quota int  Limit the CPU CFS (Completely Fair Scheduler) quota
-c, --cpu-shares int  CPU shares (relative weight)
    --cpuset-cpus string  CPUs in which to allow execution ("0-3", "0,1")
    --cpuset-mems string  MEMs in which to allow execution ("0-3", "0,1")
    --disable-content-trust  Skip image verification (default true)
-f, --file string  Name of the Dockerfile (Default is "PATH/Dockerfile")
    --force-rm  Always remove intermediate containers
    --iidfile string  Write the image ID to the file
    --isolation string  Container isolation technology
    --label list  Set metadata for an image
-m, --memory bytes  Memory limit
    --memory-swap bytes  Swap limit equal to memory plus swap: -1 to enable unlimited swap
    --network string  Set the networking mode for the RUN instructions during build (default "default")
    --no-cache  Do not use cache when building the image
    --platform string  Set platform if server is multi-platform capable
    --pull  Always attempt to pull a newer version of the image
-q, --quiet  Suppress the build output and print image ID on success
    --rm  Remove intermediate containers after a successful build (default true)
    --security-opt strings  Security options
    --shm-size bytes  Size of "/dev/shm"
~--squash  Squash newly built layers into a single new layer
-t, --tag list  Name and optionally a tag in the "name:tag" format
    --target string  Set the target build stage to build.
    --ulimit ulimit  Ulimit options (default [])
""",
        least=1,
        most=1,
        readers={"add-host": values.extra_host, "label": values.label, "memory-swap": values.swap, "ulimit": values.ulimit},
        aliases="image build, builder build, build",
    ),
}
