"""Help in docker's layout: usage, what the verb does, aliases, options wrapped to the terminal."""

from sanbashi.cli.command import PROGRAM, Command
from sanbashi.cli.flags import Flag, read_table
from sanbashi.cli.output import terminal_size
from sanbashi.cli.verbs import COMMON, GLOBAL, GROUPS, OTHER, TOP, Verb


def command_help(command: Command, path: str) -> str:
    """One command's help."""
    words = path.split()[1:]
    verb = TOP[words[0]] if len(words) == 1 else GROUPS[words[0]][1][words[1]]
    parts = [f"Usage:  {path} {command.usage}".rstrip(), command.about or verb[2]]
    if command.aliases:
        parts.append("Aliases:\n  " + ", ".join(f"{PROGRAM} {each}" for each in command.aliases.split(", ")))
    if command.flags:
        parts.append("Options:\n" + flag_lines(list(read_table(command.flags).values())))
    return "\n\n".join(parts) + "\n"


def group_help(name: str) -> str:
    """The help of a group of verbs."""
    about, verbs = GROUPS[name]
    ending = f"Run '{PROGRAM} {name} COMMAND --help' for more information on a command."
    return f"Usage:  {PROGRAM} {name} COMMAND\n\n{about}\n\nCommands:\n{verb_lines(verbs)}\n\n{ending}\n"


def root_help() -> str:
    """The help of the whole program."""
    groups = {name: ("", "", about) for name, (about, _) in GROUPS.items() if name != "completion"}
    parts = [
        f"Usage:  {PROGRAM} [OPTIONS] COMMAND",
        "A container engine whose heart is the network",
        "Common Commands:\n" + verb_lines(COMMON, ordered=True),
        "Management Commands:\n" + verb_lines(groups),
        "Commands:\n" + verb_lines(OTHER),
        "Global Options:\n" + flag_lines([flag for flag in read_table(GLOBAL).values()]),
        f"Run '{PROGRAM} COMMAND --help' for more information on a command.",
    ]
    return "\n\n".join(parts) + "\n"


def verb_lines(verbs: dict[str, Verb], *, ordered: bool = False) -> str:
    """`  name        what it does`, a verb a line."""
    names = list(verbs) if ordered else sorted(verbs)
    width = max(11, *map(len, names))
    return "\n".join(f"  {name:<{width}} {verbs[name][2]}" for name in names)


def flag_lines(flags: list[Flag]) -> str:
    """The options by name, usage wrapped to the width of the terminal."""
    width = (terminal_size(0)[1] or 80) - 1
    rows: list[tuple[str, str]] = []
    for flag in sorted(flags, key=lambda flag: flag.name):
        if not flag.hidden:
            head = f"  -{flag.short}, --{flag.name}" if flag.short else f"      --{flag.name}"
            rows.append((f"{head} {flag.type}" if flag.type else head, flag.usage.replace("\\n", "\n")))
    longest = max(len(head) for head, _ in rows)
    return "\n".join(f"{head:<{longest}}   {wrap(longest + 3, width, usage)}".rstrip() for head, usage in rows)


def wrap(indent: int, width: int, text: str) -> str:
    """Text in lines that fit beside an indent; the last may run five characters over rather than leave an orphan."""
    room = width - indent
    margin = "\n" + " " * indent
    first = ""
    if room < 24:
        indent = 16
        room = width - indent
        margin = first = "\n" + " " * indent
    if room < 24:
        return text.replace("\n", margin)
    slop = 5
    room -= slop
    lines: list[str] = []
    while text:
        line, text = cut(room, slop, text)
        lines.append(line.replace("\n", margin))
    return first + margin.join(lines)


def cut(room: int, slop: int, text: str) -> tuple[str, str]:
    """A first line and the rest: at the last white space in reach, at a line's own end before that."""
    if room + slop > len(text):
        return text, ""
    space = max(text.rfind(char, 0, room) for char in " \t\n")
    if space <= 0:
        return text, ""
    newline = text.rfind("\n", 0, room)
    at = newline if 0 < newline < space else space
    return text[:at], text[at + 1 :]
