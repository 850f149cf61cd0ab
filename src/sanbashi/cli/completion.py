"""What the shells' completion scripts ask: `sanbashi __complete WORD...` prints a candidate a line."""

from sanbashi.cli.failure import Failure
from sanbashi.cli.output import out
from sanbashi.cli.verbs import GROUPS, TOP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sanbashi.cli.client import Daemon
    from sanbashi.cli.command import Command

    Find = Callable[[list[str]], tuple[Command | None, str, list[str]]]  # the command that words name, its path, what is left

_CONTAINERS = frozenset(
    ("attach", "commit", "cp", "diff", "exec", "export", "kill", "logs", "pause", "port", "rename", "restart", "rm", "start", "stats", "stop", "top")
) | frozenset(("unpause", "update", "wait", "why"))
_IMAGES = frozenset(("run", "create", "history", "rmi", "save", "tag", "images"))


def complete(words: list[str], find: "Find", daemon: "Callable[[], Daemon]") -> int:
    """Print the candidates for the last word."""
    *before, last = words or [""]
    out("".join(candidate + "\n" for candidate in candidates(before, last, find, daemon) if candidate.startswith(last)))
    return 0


def candidates(before: list[str], last: str, find: "Find", daemon: "Callable[[], Daemon]") -> list[str]:
    """Verbs, flags, or the names of what the verb takes."""
    if not before:
        return sorted({*TOP, *GROUPS})
    if before[0] in GROUPS and len(before) == 1:
        return sorted(GROUPS[before[0]][1])
    from sanbashi.cli.flags import read_table

    try:
        command, path, _ = find(before)
    except Failure:
        return []
    if command is None:
        return []
    flags = read_table(command.flags) if command.flags else {}
    if last.startswith("-"):
        return [*sorted(f"--{flag.name}" for flag in flags.values() if not flag.hidden), "--help"]
    wanted = "network" if before[-1] in ("--network", "--net") else kind_of(path)
    try:
        return names_of(wanted, daemon) + (["host", "outside"] if path.endswith(" why") else [])
    except Failure:
        return []  # no daemon: nothing to offer


def kind_of(path: str) -> str:
    """What the arguments of a verb name."""
    words = path.split()[1:]
    if len(words) == 2 and words[0] in ("image", "network", "volume"):
        return words[0] if words[1] not in ("create", "ls", "prune") else ""
    verb = words[-1]
    return "container" if verb in _CONTAINERS or verb == "inspect" else "image" if verb in _IMAGES else ""


def names_of(kind: str, connected: "Callable[[], Daemon]") -> list[str]:
    """The names of all objects of a kind."""
    daemon = connected()
    if kind == "container":
        return [name[1:] for each in daemon.get("/containers/json", all=True) for name in each["Names"]]
    if kind == "network":
        return [each["Name"] for each in daemon.get("/networks")]
    if kind == "volume":
        return [each["Name"] for each in daemon.get("/volumes").get("Volumes") or []]
    if kind == "image":
        return [tag for each in daemon.get("/images/json") for tag in each.get("RepoTags") or []]
    return []
