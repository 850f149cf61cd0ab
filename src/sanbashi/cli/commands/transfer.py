"""pull, load, save, import."""

import posix

from sanbashi.cli.command import Call, Command
from sanbashi.cli.failure import Failure
from sanbashi.cli.output import STDIN, STDOUT, is_terminal, out, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def pull(call: Call) -> None:
    """Pulls an image and prints its whole name."""
    from sanbashi.cli.imagename import ImageName
    from sanbashi.cli.pulling import pull_image

    given = call.given
    if not given.on("disable-content-trust", True):
        raise Failure("image signatures are not supported: leave --disable-content-trust at true")
    name = ImageName(call.args[0])
    if given.on("all-tags") and not name.bare():
        raise Failure("tag can't be used with --all-tags/-a")
    if not given.on("all-tags") and name.bare() and not given.on("quiet"):
        out("Using default tag: latest\n")
    fd = None if given.on("quiet") else STDOUT
    pull_image(call.daemon, call.args[0], given.text("platform"), fd, all_tags=given.on("all-tags"))
    out((f"{name.registry}/{name.path}" if given.on("all-tags") else name.whole()) + "\n")


def parts_of(fd: int, path: str = "/dev/stdin") -> "Iterator[bytes]":
    """What a descriptor gives until its end; Failure where it cannot be read, as a directory."""
    try:
        while data := posix.read(fd, 1 << 18):
            yield data
    except OSError as problem:
        raise Failure(f"read {path}: {(problem.strerror or '').lower()}") from None


def opened(path: str) -> int:
    """A descriptor of a file; Failure with Go's words."""
    try:
        return posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as problem:
        raise Failure(f"open {path}: {(problem.strerror or '').lower()}") from None


def wanted_platform(call: Call) -> "dict[str, str]":
    """--platform as the API takes it; nothing where it was not given."""
    from sanbashi.cli.commands.inspect import platform_text

    return {"platform": platform_text(text)} if (text := call.given.text("platform")) else {}


def load(call: Call) -> None:
    """Loads images from a tar archive."""
    given = call.given
    if given.text("input"):
        source = opened(given.text("input"))
    else:
        if is_terminal(STDIN):
            raise Failure("requested load from stdin, but stdin is empty")
        source = STDIN
    query = {"quiet": "1" if given.on("quiet") or not is_terminal(STDOUT) else "0", **wanted_platform(call)}
    headers = {"Content-Type": "application/x-tar"}
    response = call.daemon.request("POST", "/images/load", query, parts_of(source, given.text("input", "/dev/stdin")), headers)
    if "json" in response.headers.get("content-type", ""):
        from sanbashi.cli.progress import show_all

        show_all(response.parts(), STDOUT)
        return
    for data in response.parts():
        write(STDOUT, data)


def save(call: Call) -> None:
    """Writes images to a tar archive; a file appears under its name only when it is whole."""
    path = call.given.text("output")
    if not path and is_terminal(STDOUT):
        raise Failure("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    query = {"names": call.args, **wanted_platform(call)}
    if not path:
        for data in call.daemon.request("GET", "/images/get", query).parts():
            write(STDOUT, data)
        return
    from sanbashi.cli.newfile import check_target, write_new

    check_target(path, "failed to save image")
    write_new(path, call.daemon.request("GET", "/images/get", query).parts())


def import_(call: Call) -> None:
    """Makes an image of a file system's tar archive."""
    from sanbashi.cli.progress import show_all

    given, source = call.given, call.args[0]
    remote = source.startswith(("http://", "https://"))
    body = None if remote else (parts_of(STDIN) if source == "-" else parts_of(opened(source), source))
    query = {
        "fromSrc": source if remote else "-",
        "repo": call.args[1] if len(call.args) > 1 else "",
        "message": given.text("message"),
        "changes": given.many("change"),
        "platform": given.text("platform"),
    }
    show_all(call.daemon.request("POST", "/images/create", query, body, {"Content-Type": "text/plain"}).parts(), STDOUT)


_PLATFORM = 'Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")'

COMMANDS = {
    "pull": Command(
        "[OPTIONS] NAME[:TAG|@DIGEST]",
        pull,
        flags="""
-a, --all-tags  Download all tagged images in the repository
    --disable-content-trust  Skip image verification (default true)
    --platform string  Set platform if server is multi-platform capable
-q, --quiet  Suppress verbose output
""",
        least=1,
        most=1,
        aliases="image pull, pull",
    ),
    "load": Command(
        "[OPTIONS]",
        load,
        flags=f"""
-i, --input string  Read from tar archive file, instead of STDIN
    --platform string  Load only the given platform variant. {_PLATFORM}
-q, --quiet  Suppress the load output
""",
        most=0,
        aliases="image load, load",
    ),
    "save": Command(
        "[OPTIONS] IMAGE [IMAGE...]",
        save,
        flags=f"""
-o, --output string  Write to a file, instead of STDOUT
    --platform string  Save only the given platform variant. {_PLATFORM}
""",
        least=1,
        aliases="image save, save",
    ),
    "import": Command(
        "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
        import_,
        flags="""
-c, --change list  Apply Dockerfile instruction to the created image
-m, --message string  Set commit message for imported image
    --platform string  Set platform if server is multi-platform capable
""",
        least=1,
        aliases="image import, import",
    ),
}
