"""inspect, and container, image, network and volume inspect."""

import posix

from sanbashi.cli.client import Daemon, named
from sanbashi.cli.command import FORMAT, Call, Command
from sanbashi.cli.failure import DaemonError, Failure
from sanbashi.cli.output import err, out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# kind: (path, shape)
KINDS = {
    "container": ("/containers/{}/json", "container.InspectResponse"),
    "image": ("/images/{}/json", "image.InspectResponse"),
    "network": ("/networks/{}", "network.Inspect"),
    "volume": ("/volumes/{}", "volume.Volume"),
}
TYPES = ("config", "container", "image", "network", "node", "plugin", "secret", "service", "task", "volume")


def fetch(daemon: Daemon, kind: str, name: str, query: "dict[str, Any]") -> str:
    """The daemon's own JSON of one object."""
    path = KINDS[kind][0].format(named(kind, name).replace("%2F", "/").replace("%3A", ":").replace("%40", "@"))
    return daemon.request("GET", path, query).text()


def show(names: list[str], form: str, find: "Callable[[str], tuple[str, str, bool]]") -> None:
    """Prints each object that `find` gives as (shape, JSON text, raw) by template or as one array; failures come last, together."""
    template = None
    if form not in ("", "json"):
        from sanbashi.cli.gotemplate.template import Template, TemplateError

        try:
            template = Template(form)
        except TemplateError as problem:
            raise Failure(f"template parsing error: {problem}", 64) from None
    texts: list[str] = []
    failures: list[Failure] = []
    for name in names:
        try:
            shape, text, raw = find(name)
            if template is not None:
                text = executed(template, shape, text, raw)
            elif not raw:
                text = retyped(shape, text)
            texts.append(text)
        except Failure as problem:
            failures.append(problem)
    if template is not None:
        out("".join(text + "\n" for text in texts) or "\n")
    elif not texts:
        out("[]\n")
    else:
        from sanbashi.cli.gotemplate.encode import compact, indent

        whole = "[" + ",".join(text.strip() for text in texts) + "]"
        out((indent(whole) if form == "" else compact(whole)) + "\n")
    if failures:
        raise Failure("\n".join(each.text() for each in failures))


def retyped(shape: str, text: str) -> str:
    """The JSON with the fields of the type, in its order."""
    from sanbashi.cli.gotemplate.encode import encode
    from sanbashi.cli.json_text import decode
    from sanbashi.cli.shapes import typed

    return encode(typed(shape, decode(text)))


def executed(template: "Any", shape: str, text: str, raw: bool) -> str:
    """The template over the typed object; where that fails and the daemon's text may be used, over that."""
    from sanbashi.cli.gotemplate.template import TemplateError
    from sanbashi.cli.json_text import decode
    from sanbashi.cli.shapes import typed

    try:
        return str(template.run(typed(shape, decode(text))))
    except TemplateError as problem:
        if not raw:
            raise Failure(f"template parsing error: {problem}") from None
    try:
        return str(template.run(decode(text, numbers_as_text=True), strict=True))
    except TemplateError as problem:
        raise Failure(f"template parsing error: {problem}") from None


def one_kind(kind: str) -> "Callable[[Call], None]":
    """The inspect command of one kind."""

    def inspect(call: Call) -> None:
        given = call.given
        query: dict[str, Any] = {"size": given.on("size"), "verbose": given.on("verbose")}
        if given.text("platform"):
            query["platform"] = platform_text(given.text("platform"))
        show(
            call.args,
            given.text("format"),
            lambda name: (KINDS[kind][1], fetch(call.daemon, kind, name, query), kind != "volume"),
        )

    return inspect


SYSTEMS = "aix android darwin dragonfly freebsd hurd illumos ios js linux netbsd openbsd plan9 solaris wasip1 windows zos"
ARCHITECTURES = "386 amd64 arm arm64 armbe loong64 mips mips64 mips64le mipsle ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm"


def platform_text(text: str) -> str:
    """`linux/arm64/v8` as the API takes it."""
    from sanbashi.cli.gotemplate.encode import encode

    parts = text.split("/")
    if len(parts) == 1:
        word = {"x86_64": "amd64", "aarch64": "arm64", "macos": "darwin"}.get(text.lower(), text.lower())
        if word in SYSTEMS.split():
            machine = posix.uname().machine
            parts = [word, {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)]
        elif word in ARCHITECTURES.split():
            parts = ["linux", word]
        else:
            from sanbashi.cli.gotemplate.text import quote

            raise Failure(f"invalid platform: {quote(text)}: unknown operating system or architecture: invalid argument")
    return encode(dict(zip(("os", "architecture", "variant"), parts, strict=False)))


def any_kind(call: Call) -> None:
    """Looks a name up as container, image, network and volume, in this order."""
    given = call.given
    wanted = given.text("type")
    if wanted and wanted not in TYPES:
        from sanbashi.cli.gotemplate.text import quote

        raise Failure(f"unknown type: {quote(wanted)}: must be one of {', '.join(map(quote, TYPES))}")
    if wanted and wanted not in KINDS:
        raise Failure(f"there is no object of type {wanted}: clusters and plugins are not supported")

    def find(name: str) -> tuple[str, str, bool]:
        for kind, (_, shape) in KINDS.items():
            if wanted in ("", kind):
                query = {"size": True} if kind == "container" and given.on("size") else {}
                try:
                    text = fetch(call.daemon, kind, name, query)
                except DaemonError as problem:
                    skippable = problem.code == 404 or "not supported" in problem.message or "invalid reference format" in problem.message
                    if wanted or not skippable:
                        raise
                    continue
                if given.on("size") and kind != "container":
                    err(f"WARNING: --size ignored for {kind}\n")
                return shape, text, True
        raise Failure(f"Error: No such object: {name}")

    show(call.args, given.text("format"), find)


_FORMAT_ROW = f"-f, --format string  {FORMAT}"
_SIZE_ROW = "-s, --size  Display total file sizes"
_PLATFORM_ROW = (
    "--platform string  Inspect a specific platform of the multi-platform image.\\nIf the image or the server is not multi-platform capable, "
    "the command will error out if the platform does not match.\\n'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)"
)

COMMANDS = {
    "inspect": Command(
        "[OPTIONS] NAME|ID [NAME|ID...]",
        any_kind,
        flags=f"""
{_FORMAT_ROW}
-s, --size  Display total file sizes if the type is container
    --type string  Only inspect objects of the given type
""",
        least=1,
    ),
    "container inspect": Command("[OPTIONS] CONTAINER [CONTAINER...]", one_kind("container"), flags=f"{_FORMAT_ROW}\n{_SIZE_ROW}", least=1),
    "image inspect": Command("[OPTIONS] IMAGE [IMAGE...]", one_kind("image"), flags=f"{_FORMAT_ROW}\n{_PLATFORM_ROW}", least=1),
    "network inspect": Command(
        "[OPTIONS] NETWORK [NETWORK...]",
        one_kind("network"),
        flags=f"{_FORMAT_ROW}\n-v, --verbose  Verbose output for diagnostics",
        least=1,
    ),
    "volume inspect": Command("[OPTIONS] VOLUME [VOLUME...]", one_kind("volume"), flags=_FORMAT_ROW, least=1),
}
