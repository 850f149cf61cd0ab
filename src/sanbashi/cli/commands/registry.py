"""login, logout, push, search."""

from sanbashi.cli.command import FORMAT_TABLE, Call, Command
from sanbashi.cli.failure import Failure
from sanbashi.cli.gotemplate.values import Methods
from sanbashi.cli.output import STDIN, STDOUT, err, is_terminal, out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HUB = "https://index.docker.io/v1/"
SEARCH = "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}"
HEADINGS = {"Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL", "IsAutomated": "AUTOMATED"}
FLAGS = {"IsOfficial": "is_official", "IsAutomated": "is_automated"}
WIDTH = 45  # characters of a description


def address_of(words: list[str]) -> str:
    """The registry's name in the settings file: the host that was given, or Docker Hub's address."""
    host = words[0].partition("://")[2] or words[0] if words else ""
    host = host.partition("/")[0]
    return HUB if host in ("", "docker.io", "index.docker.io", "registry-1.docker.io") else host


def login(call: Call) -> None:
    """Checks credentials with the daemon and keeps them."""
    from sanbashi.cli.settings import save_auth, stored_auth

    given = call.given
    address = address_of(call.args)
    user, password = given.text("username"), given.text("password")
    if given.changed("password"):
        err("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n")
        if given.on("password-stdin"):
            raise Failure("--password and --password-stdin are mutually exclusive")
    if given.on("password-stdin"):
        if not user:
            raise Failure("Must provide --username with --password-stdin")
        password = read_all().removesuffix("\n").removesuffix("\r")
    auth: dict[str, str] = {}
    if not user and not password and (auth := stored_auth(address)):
        err(f"Authenticating with existing credentials... [Username: {auth.get('username', '')}]\n")
    elif not user or not password:
        user, password = asked(user, password)
    auth = auth or {"username": user, "password": password}
    answer = call.daemon.post("/auth", {**auth, "serveraddress": address}) or {}
    token = str(answer.get("IdentityToken") or "")
    if token:
        auth = {"username": auth["username"], "identitytoken": token}
    path = save_auth(address, auth)
    err(f"\nWARNING! Your credentials are stored unencrypted in '{path}'.\n")
    out(f"{answer.get('Status') or 'Login Succeeded'}\n")


def asked(user: str, password: str) -> tuple[str, str]:
    """Name and password from the terminal."""
    if not is_terminal(STDIN):
        raise Failure("Error: Cannot perform an interactive login from a non TTY device")
    if not user:
        out("Username: ")
        user = read_line().strip()
    if not user:
        raise Failure("username is required")
    if not password:
        from getpass import getpass

        password = getpass("Password: ")
    if not password:
        raise Failure("password is required")
    return user, password


def read_line() -> str:
    """A line of standard input."""
    import posix

    data = b""
    while not data.endswith(b"\n") and (part := posix.read(STDIN, 1)):
        data += part
    return data.decode("utf-8", "surrogateescape").removesuffix("\n")


def read_all() -> str:
    """Standard input to its end."""
    import posix

    data = b""
    while part := posix.read(STDIN, 1 << 16):
        data += part
    return data.decode("utf-8", "surrogateescape")


def logout(call: Call) -> None:
    """Forgets credentials."""
    from sanbashi.cli.settings import save_auth

    address = address_of(call.args)
    out(f"Removing login credentials for {address}\n")
    save_auth(address, {})


def push(call: Call) -> None:
    """Pushes an image's tag, or all of a repository's."""
    from sanbashi.cli.client import escape
    from sanbashi.cli.imagename import ImageName
    from sanbashi.cli.progress import messages, show_all
    from sanbashi.cli.settings import registry_auth

    given = call.given
    if not given.on("disable-content-trust", True):
        raise Failure("image signatures are not supported: leave --disable-content-trust at true")
    if given.changed("platform"):
        raise Failure("--platform is not supported: an image has one platform here")
    name = ImageName(call.args[0])
    if name.digest:
        raise Failure("cannot push a digest reference")
    every = given.on("all-tags")
    if every and name.tag:
        raise Failure("tag can't be used with --all-tags/-a")
    if not every and not name.tag and not given.on("quiet"):
        out("Using default tag: latest\n")
    query = {} if every else {"tag": name.tag or "latest"}
    auth = registry_auth(name.registry) or "e30="
    path = f"/images/{escape(f'{name.registry}/{name.path}', '/:')}/push"
    response = call.daemon.request("POST", path, query, headers={"X-Registry-Auth": auth})
    if not given.on("quiet"):
        show_all(response.parts(), STDOUT)
        return
    for message in messages(response.parts()):
        if message.get("errorDetail"):
            raise Failure(str(message["errorDetail"].get("message", "")))
    out((f"{name.registry}/{name.path}" if every else name.whole()) + "\n")


class SearchRow(Methods):
    """A row of `search`."""

    type = "*search.searchContext"
    columns = tuple(HEADINGS)

    def __init__(self, found: "dict[str, Any]", trunc: bool) -> None:
        self.found = found
        self.trunc = trunc

    def column(self, name: str) -> str:
        found = self.found
        if name == "Description":
            from sanbashi.cli.units import ellipsis

            text = str(found.get("description") or "").replace("\n", " ").replace("\r", " ")
            return ellipsis(text, WIDTH) if self.trunc else text
        if name in FLAGS:
            return "[OK]" if found.get(FLAGS[name]) else ""
        return str(found.get("star_count", 0) if name == "StarCount" else found.get("name", ""))

    def json_column(self, name: str) -> str:
        return str(bool(self.found.get(FLAGS[name]))).lower() if name in FLAGS else self.column(name)


def search(call: Call) -> None:
    """Searches a registry, Docker Hub unless the term names another."""
    from sanbashi.cli.client import filters_text
    from sanbashi.cli.settings import registry_auth
    from sanbashi.cli.table import render

    given = call.given
    term = call.args[0]
    host = term.partition("/")[0]
    named = "/" in term and ("." in host or ":" in host or host == "localhost")
    auth = registry_auth(host if named else "docker.io")
    filters = {key: dict(value) for key, value in given.values.get("filter", {}).items()}
    query = {"term": term, "limit": given.number("limit") or "", "filters": filters_text(filters)}
    found = call.daemon.request("GET", "/images/search", query, headers={"X-Registry-Auth": auth} if auth else None).json() or []
    found.sort(key=lambda each: -each.get("star_count", 0))
    form = given.text("format")
    out(render(SEARCH if form in ("", "table") else form, [SearchRow(each, not given.on("no-trunc")) for each in found], HEADINGS))


_PLATFORM = 'Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")'

COMMANDS = {
    "login": Command(
        "[OPTIONS] [SERVER]",
        login,
        flags="""
-p, --password string  Password or Personal Access Token (PAT)
    --password-stdin  Take the Password or Personal Access Token (PAT) from stdin
-u, --username string  Username
""",
        most=1,
    ),
    "logout": Command("[SERVER]", logout, most=1),
    "push": Command(
        "[OPTIONS] NAME[:TAG]",
        push,
        flags=f"""
-a, --all-tags  Push all tags of an image to the repository
    --disable-content-trust  Skip image signing (default true)
    --platform string  Push a platform-specific manifest as a single-platform image to the registry. {_PLATFORM}
-q, --quiet  Suppress verbose output
""",
        least=1,
        most=1,
        aliases="image push, push",
    ),
    "search": Command(
        "[OPTIONS] TERM",
        search,
        flags=f"""
-f, --filter filter  Filter output based on conditions provided
    --format string  {FORMAT_TABLE}
    --limit int  Max number of search results
    --no-trunc  Don't truncate output
""",
        least=1,
        most=1,
    ),
}
