"""What a verb is: its usage, its flags, how many arguments it takes, and the function that carries it out."""

from sanbashi.cli.failure import Failure
from sanbashi.cli.flags import FlagError, FlagParser, Given, read_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from sanbashi.cli.client import Daemon

PROGRAM = "sanbashi"
FORMAT_TABLE = (
    "Format output using a custom template:\\n'table':            Print output in table format with column headers (default)\\n"
    "'table TEMPLATE':   Print output in table format using the given Go template\\n'json':             Print in JSON format\\n"
    "'TEMPLATE':         Print output using the given Go template.\\n"
    "Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates"
)
FORMAT = (
    "Format output using a custom template:\\n'json':             Print in JSON format\\n"
    "'TEMPLATE':         Print output using the given Go template.\\n"
    "Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates"
)


class Call:
    """One use of a command: what the user gave, the daemon to ask, and the command's path as typed."""

    __slots__ = ("command", "daemon", "given", "path")

    def __init__(self, command: "Command", path: str, given: Given, daemon: "Daemon") -> None:
        self.command = command
        self.path = path
        self.given = given
        self.daemon = daemon

    @property
    def args(self) -> list[str]:
        """The arguments."""
        return self.given.args


class Command:
    """`usage` is what follows the verb; `flags` a table of rows (flags.read_table); `most` None for any number of arguments.

    `verbs`: first arguments after which there may be more than `most`: verbs of our own below one of docker's.
    """

    __slots__ = ("about", "aliases", "flags", "interspersed", "least", "most", "readers", "run", "usage", "verbs")

    def __init__(
        self,
        usage: str,
        run: "Callable[[Call], int | None]",
        *,
        about: str = "",
        flags: str = "",
        least: int = 0,
        most: int | None = None,
        interspersed: bool = True,
        readers: "Mapping[str, Callable[[str], Any]] | None" = None,
        aliases: str = "",
        verbs: "tuple[str, ...]" = (),
    ) -> None:
        self.usage = usage
        self.run = run
        self.about = about
        self.flags = flags
        self.least = least
        self.most = most
        self.interspersed = interspersed
        self.readers = readers or {}
        self.aliases = aliases
        self.verbs = verbs

    def parse(self, path: str, words: list[str]) -> Given:
        """Flags and arguments, checked; Failure with docker's words and the usage, HelpWanted."""
        table = read_table(self.flags) if self.flags else {}
        usage = f"Usage:  {path} {self.usage}".rstrip()
        try:
            given = FlagParser(table, self.readers, self.interspersed).parse(words)
        except FlagError as problem:
            raise Failure(f"{problem.text()}\n\n{usage}\n\nRun '{path} --help' for more information", 125) from None
        if given.changed("help"):
            from sanbashi.cli.flags import HelpWanted

            raise HelpWanted
        count = len(given.args)
        if self.most is not None and count > self.most and given.args[0] in self.verbs:
            return given
        problem_text = self.count_problem(path, count)
        if problem_text:
            see = "See" if "at least" in problem_text and "at most" not in problem_text else "Run"
            raise Failure(f"{PROGRAM}: {problem_text}\n\n{usage}\n\n{see} '{path} --help' for more information")
        return given

    def count_problem(self, path: str, count: int) -> str:
        """What is wrong with the number of arguments; empty when nothing is."""
        least, most = self.least, self.most
        if least <= count and (most is None or count <= most):
            return ""
        if most == 0:
            return f"'{path}' accepts no arguments"
        if least == most:
            return f"'{path}' requires {least} argument{'' if least == 1 else 's'}"
        if most is None:
            return f"'{path}' requires at least {least} argument{'' if least == 1 else 's'}"
        if not least:
            return f"'{path}' requires at most {most} argument{'' if most == 1 else 's'}"
        return f"'{path}' requires at least {least} and at most {most} argument{'' if most == 1 else 's'}"
