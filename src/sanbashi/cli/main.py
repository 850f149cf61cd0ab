"""The entry of `sanbashi`: global options, the verb, its module; failures become a message and an exit status."""

import sys

from sanbashi.cli.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sanbashi.cli.client import Daemon
    from sanbashi.cli.command import Command
    from sanbashi.cli.tls import Trust

PROGRAM = "sanbashi"

TLS_FLAGS = ("tls", "tlsverify", "tlscacert", "tlscert", "tlskey")
_tls: "dict[str, str | bool]" = {}  # those that were given


def trust() -> "Trust | None":
    """What the flags and the environment say of TLS; None for none."""
    from sanbashi.cli.output import environment

    verify = bool(_tls.get("tlsverify", environment("SANBASHI_TLS_VERIFY") or environment("DOCKER_TLS_VERIFY")))
    if not verify and not _tls.get("tls"):
        return None
    from sanbashi.cli.tls import Trust

    folder = environment("SANBASHI_CERT_PATH") or environment("DOCKER_CERT_PATH")
    folder = folder or environment("SANBASHI_CONFIG") or environment("DOCKER_CONFIG") or environment("HOME", "/root") + "/.docker"
    paths = {name: str(_tls.get(name) or f"{folder}/{file}") for name, file in (("tlscacert", "ca"), ("tlscert", "cert"), ("tlskey", "key"))}
    paths = {name: path if name in _tls else f"{path}.pem" for name, path in paths.items()}
    return Trust(verify=verify, authority=paths["tlscacert"], certificate=paths["tlscert"], key=paths["tlskey"])


def main() -> int:
    """The exit status of this process's command line."""
    from _signal import SIG_DFL, SIGINT, SIGPIPE, signal  # type: ignore[import-not-found]  # `signal` itself costs enum and more

    signal(SIGPIPE, SIG_DFL)  # a reader that has gone ends us in silence, as it ends docker
    signal(SIGINT, SIG_DFL)
    return answer(sys.argv[1:])


def answer(words: list[str]) -> int:
    """The exit status of a command line; what failed has been printed."""
    try:
        return run(words)
    except Failure as failure:
        if failure.message:
            tell(failure.text() + "\n")
        return failure.status


def tell(text: str) -> None:
    """A sentence on standard error, where that can still be written to; the exit status says the rest."""
    from sanbashi.cli.output import err

    try:  # noqa: SIM105 - contextlib costs an import
        err(text)
    except Failure:
        pass


def run(words: list[str]) -> int:
    """Finds the verb and carries it out."""
    host = ""
    if words and words[0].startswith("-") and words[0] != "--":
        host, words, done = global_options(words)
        if done:
            return 0
    if not words:
        from sanbashi.cli.help import root_help
        from sanbashi.cli.output import err

        err(root_help())
        return 0
    if words[0] == "help":
        return show_help(words[1:])
    if words[0] == "__complete":
        from sanbashi.cli.completion import complete

        return complete(words[1:], find, lambda: daemon(host))
    command, path, rest = find(words)
    if command is None:
        return group(path, rest)
    from sanbashi.cli.flags import HelpWanted

    try:
        given = command.parse(path, rest)
    except HelpWanted:
        from sanbashi.cli.help import command_help
        from sanbashi.cli.output import out

        out(command_help(command, path))
        return 0
    from sanbashi.cli.command import Call

    return command.run(Call(command, path, given, daemon(host))) or 0


def daemon(host: str) -> "Daemon":
    """The daemon at an address; "" for that of the environment."""
    from sanbashi.cli.client import API, Daemon
    from sanbashi.cli.output import environment

    version = environment("SANBASHI_API_VERSION") or environment("DOCKER_API_VERSION") or API
    return Daemon(host or default_host(), version=version, trust=trust())


def default_host() -> str:
    """The daemon's address from the environment."""
    from sanbashi.cli.client import DEFAULT_HOST
    from sanbashi.cli.output import environment

    return whole_host(environment("SANBASHI_HOST") or environment("DOCKER_HOST") or DEFAULT_HOST)


def whole_host(text: str) -> str:
    """The address with its scheme; Failure for one we cannot speak to."""
    scheme, found, _ = text.partition("://")
    if not found:
        return f"unix://{text}" if text.startswith("/") else f"tcp://{text}"
    if scheme not in ("unix", "tcp", "http"):
        raise Failure(f"invalid bind address format: {text}", hint="sanbashi speaks to unix:///path and tcp://address:port")
    return text


def find(words: list[str]) -> "tuple[Command | None, str, list[str]]":
    """The command, its path and what is left; None where the words name a group only."""
    from sanbashi.cli.verbs import GROUP_ALIASES, GROUPS, TOP

    name, rest = words[0], words[1:]
    if name in GROUPS:
        if not rest or rest[0].startswith("-"):
            return None, name, rest
        verb = GROUP_ALIASES.get(name, {}).get(rest[0], rest[0])
        if verb not in GROUPS[name][1]:
            raise unknown(f"{PROGRAM} {name}", rest[0], list(GROUPS[name][1]), group=True)
        module, key, _ = GROUPS[name][1][verb]
        return load(module, key), f"{PROGRAM} {name} {verb}", rest[1:]
    if name not in TOP:
        raise unknown(PROGRAM, name, [*TOP, *GROUPS], group=False)
    module, key, _ = TOP[name]
    return load(module, key), f"{PROGRAM} {name}", rest


def load(module: str, key: str) -> "Command":
    """The command from its own module, which is imported only now."""
    name = f"sanbashi.cli.commands.{module}"
    __import__(name)
    command: Command = sys.modules[name].COMMANDS[key]
    return command


def unknown(path: str, word: str, known: list[str], *, group: bool) -> Failure:
    """Docker's sentence for a verb that is none, with the nearest that is."""
    from sanbashi.cli.suggest import nearest
    from sanbashi.cli.verbs import LATER

    if not group and word in LATER:
        return Failure(f"{PROGRAM}: {path} {word} is not supported", hint=LATER[word])
    like = nearest(word, known)
    hint = f"\ndid you mean {like}?" if like else ""
    usage = f"Usage:  {path}\n\n" if group else ""
    return Failure(f"{PROGRAM}: unknown command: {path} {word}{hint}\n\n{usage}Run '{path} --help' for more information")


def group(name: str, rest: list[str]) -> int:
    """A group without a verb shows its help."""
    if rest and rest[0] not in ("--help", "-h"):
        flag = f"unknown flag: {rest[0]}" if rest[0].startswith("--") else f"unknown shorthand flag: '{rest[0][1:2]}' in {rest[0]}"
        raise Failure(f"{flag}\n\nUsage:  {PROGRAM} {name}\n\nRun '{PROGRAM} {name} --help' for more information", 125)
    from sanbashi.cli.help import group_help
    from sanbashi.cli.output import err, out

    (out if rest else err)(group_help(name))
    return 0


def global_options(words: list[str]) -> tuple[str, list[str], bool]:
    """Host, what follows the options, and whether an option has already done all."""
    from sanbashi.cli.flags import FlagError, FlagParser, HelpWanted, read_table
    from sanbashi.cli.output import out
    from sanbashi.cli.verbs import GLOBAL

    try:
        given = FlagParser(read_table(GLOBAL), {}, False).parse(words)
    except FlagError as problem:
        usage = f"Usage:  {PROGRAM} [OPTIONS] COMMAND [ARG...]"
        raise Failure(f"{problem.text()}\n\n{usage}\n\nRun '{PROGRAM} --help' for more information", 125) from None
    except HelpWanted:
        from sanbashi.cli.help import root_help

        out(root_help())
        return "", [], True
    if given.on("version"):
        from sanbashi.cli.version import VERSION

        out(f"Sanbashi version {VERSION}\n")
        return "", [], True
    if given.changed("context"):
        from sanbashi.cli.verbs import LATER

        raise Failure("--context is not supported", hint=LATER["context"])
    for name in TLS_FLAGS:
        if given.changed(name):
            _tls[name] = given.values[name]
    if given.changed("config"):
        import posix

        posix.environ[b"SANBASHI_CONFIG"] = given.text("config").encode()
    hosts = given.many("host")
    if len(hosts) > 1:
        raise Failure("Specify only one -H")
    return whole_host(hosts[0]) if hosts else "", given.args, False


def show_help(words: list[str]) -> int:
    """`sanbashi help VERB`."""
    from sanbashi.cli.help import command_help, group_help, root_help
    from sanbashi.cli.output import out

    if not words:
        out(root_help())
        return 0
    try:
        command, path, rest = find(words)
    except Failure:
        raise Failure(f"unknown help topic: {' '.join(words)}") from None
    if rest:
        raise Failure(f"unknown help topic: {' '.join(words)}")
    out(command_help(command, path) if command else group_help(path))
    return 0
