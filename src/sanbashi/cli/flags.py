"""Docker's grammar of flags: short clusters, --flag=value, --flag value, booleans, `--`, and where options end."""

from sanbashi.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

MANY = frozenset(("list", "strings", "map", "network", "mount", "gpu-request", "ulimit"))


class Flag:
    """One flag: `type` as the help names it, empty for a boolean; a hidden one is not shown."""

    __slots__ = ("hidden", "name", "short", "type", "usage")

    def __init__(self, name: str, short: str, type: str, usage: str, hidden: bool = False) -> None:
        self.name = name
        self.short = short
        self.type = type
        self.usage = usage
        self.hidden = hidden

    def shown(self) -> str:
        """As messages name it: `-t, --timeout`."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


class Given:
    """What the user gave: flags by name (lists in order) and arguments."""

    __slots__ = ("args", "values")

    def __init__(self) -> None:
        self.args: list[str] = []
        self.values: dict[str, Any] = {}

    def changed(self, name: str) -> bool:
        """Whether the flag was given."""
        return name in self.values

    def text(self, name: str, default: str = "") -> str:
        """A string flag."""
        return str(self.values.get(name, default))

    def number(self, name: str, default: int = 0) -> int:
        """A number."""
        return int(self.values.get(name, default))

    def on(self, name: str, default: bool = False) -> bool:
        """A boolean flag."""
        return bool(self.values.get(name, default))

    def many(self, name: str) -> "list[Any]":
        """A flag that may be repeated: all its values."""
        return list(self.values.get(name, ()))

    def pairs(self, name: str) -> dict[str, str]:
        """A flag of key=value pairs."""
        return dict((key, value) for key, _, value in (str(each).partition("=") for each in self.many(name)))


def read_table(text: str) -> dict[str, Flag]:
    """Rows `-s, --name type  usage` (two spaces before the usage; `~` in front hides the flag) by name."""
    flags: dict[str, Flag] = {}
    for row in text.strip().split("\n"):
        head, _, usage = row.strip().partition("  ")
        hidden = head.startswith("~")
        head = head.lstrip("~")
        short = head[1] if head[1] != "-" else ""
        name, _, type = head[4 if short else 0 :].lstrip("-").partition(" ")
        if head:
            flags[name] = Flag(name, short, type, usage, hidden)
    return flags


class FlagError(Failure):
    """A flag that cannot be understood; the caller adds the usage."""


class HelpWanted(Exception):
    """The user asks for help."""


class FlagParser:
    """Parses one command's arguments."""

    def __init__(self, flags: dict[str, Flag], readers: "Mapping[str, Callable[[str], Any]]", interspersed: bool) -> None:
        self.flags = flags
        self.shorts = {flag.short: flag for flag in flags.values() if flag.short}
        self.readers = readers
        self.interspersed = interspersed
        self.given = Given()

    def parse(self, words: list[str]) -> Given:
        """Flags and arguments; FlagError, HelpWanted."""
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if len(word) < 2 or word[0] != "-":
                self.given.args.append(word)
                if not self.interspersed:
                    break
            elif word == "--":
                break
            elif word[1] == "-":
                self.long(word, rest)
            else:
                self.cluster(word[1:], rest)
        self.given.args += rest
        return self.given

    def long(self, word: str, rest: list[str]) -> None:
        name, equals, value = word[2:].partition("=")
        if not name or name[0] in "-=":
            raise FlagError(f"bad flag syntax: {word}", 125)
        flag = self.flags.get(name)
        if flag is None or name == "help":
            if name == "help":
                raise HelpWanted
            from sanbashi.cli.suggest import nearest

            like = nearest(name, [each.name for each in self.flags.values() if not each.hidden])
            raise FlagError(f"unknown flag: --{name}", 125, hint=f"did you mean --{like}?" if like else "")
        if not equals:
            if not flag.type:
                value = "true"
            elif rest:
                value = rest.pop(0)
            else:
                raise FlagError(f"flag needs an argument: {word}", 125)
        self.set(flag, value)

    def cluster(self, letters: str, rest: list[str]) -> None:
        while letters:
            flag = self.shorts.get(letters[0])
            if flag is None:
                if letters[0] == "h":
                    raise HelpWanted
                from sanbashi.cli.gotemplate.text import quote_char

                raise FlagError(f"unknown shorthand flag: {quote_char(letters[0])} in -{letters}", 125)
            if letters[1:2] == "=" and len(letters) > 2:
                value, letters = letters[2:], ""
            elif not flag.type:
                value, letters = "true", letters[1:]
            elif len(letters) > 1:
                value, letters = letters[1:], ""
            elif rest:
                value, letters = rest.pop(0), ""
            else:
                raise FlagError(f"flag needs an argument: '{letters[0]}' in -{letters}", 125)
            self.set(flag, value)

    def set(self, flag: Flag, value: str) -> None:
        reader = self.readers.get(flag.name) or READERS.get(flag.type)
        try:
            read: Any = reader(value) if reader else value
        except ValueError as problem:
            from sanbashi.cli.gotemplate.text import quote

            raise FlagError(f"invalid argument {quote(value)} for {quote(flag.shown())} flag: {problem}", 125) from None
        if flag.type == "filter":
            known = self.given.values.setdefault(flag.name, {})
            pairs: list[tuple[str, str]] = list(read)
            for key, each in pairs:
                known.setdefault(key, {})[each] = True
        elif flag.type == "strings":
            self.given.values.setdefault(flag.name, []).extend(read)
        elif flag.type in MANY:
            self.given.values.setdefault(flag.name, []).append(read)
        else:
            self.given.values[flag.name] = read


def read_bool(text: str) -> bool:
    """strconv.ParseBool."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    from sanbashi.cli.gotemplate.text import quote

    raise ValueError(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")


def read_int(text: str, *, bits: int = 64, signed: bool = True) -> int:
    """strconv.ParseInt or ParseUint of any base."""
    from sanbashi.cli.gotemplate.text import quote

    name = "ParseInt" if signed else "ParseUint"
    digits = text[1:] if signed and text[:1] in ("+", "-") else text
    octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    try:
        if not digits or not digits[0].isdigit():
            raise ValueError
        value = int("0o" + digits[1:] if octal else digits, 0)
    except ValueError:
        raise ValueError(f"strconv.{name}: parsing {quote(text)}: invalid syntax") from None
    value = -value if text.startswith("-") else value
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    if not low <= value <= high:
        raise ValueError(f"strconv.{name}: parsing {quote(text)}: value out of range")
    return value


def read_csv(text: str) -> list[str]:
    """One line of comma separated values, fields in double quotes where they hold commas; ValueError."""
    if '"' not in text:
        return text.split(",") if text else []
    fields: list[str] = []
    at = 0
    while True:
        if text[at : at + 1] == '"':
            value, at = "", at + 1
            while True:
                end = text.find('"', at)
                if end < 0:
                    raise ValueError(f'parse error on line 1, column {len(text) + 1}: extraneous or missing " in quoted-field')
                value += text[at:end]
                at = end + 1
                if text[at : at + 1] != '"':
                    break
                value, at = value + '"', at + 1
            fields.append(value)
            if at < len(text) and text[at] != ",":
                raise ValueError(f'parse error on line 1, column {at}: extraneous or missing " in quoted-field')
        else:
            end = text.find(",", at)
            field = text[at:] if end < 0 else text[at:end]
            if '"' in field:
                raise ValueError(f'parse error on line 1, column {at + field.index(chr(34)) + 1}: bare " in non-quoted-field')
            fields.append(field)
            at += len(field)
        if at >= len(text):
            return fields
        at += 1


def read_filter(text: str) -> list[tuple[str, str]]:
    """`name=value`; nothing for an empty text."""
    if not text:
        return []
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError("bad format of filter (expected name=value)")
    return [(name.strip().lower(), value.strip())]


def _bytes(text: str) -> int:
    from sanbashi.cli.units import ram_in_bytes

    return ram_in_bytes(text)


def _duration(text: str) -> int:
    from sanbashi.cli.times import parse_duration

    return parse_duration(text)


READERS: "dict[str, Callable[[str], Any]]" = {
    "": read_bool,
    "int": read_int,
    "uint": lambda text: read_int(text, signed=False),
    "uint16": lambda text: read_int(text, bits=16, signed=False),
    "bytes": _bytes,
    "duration": _duration,
    "filter": read_filter,
    "strings": read_csv,
}
