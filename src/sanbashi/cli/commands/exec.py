"""exec."""

from sanbashi.cli import values
from sanbashi.cli.client import escape, json_of, named
from sanbashi.cli.command import Call, Command
from sanbashi.cli.failure import Failure, Unreachable
from sanbashi.cli.output import STDIN, STDOUT, is_terminal, lookup, terminal_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def exec_(call: Call) -> int:
    """Runs a command in a running container; its exit code."""
    from sanbashi.cli.settings import setting

    daemon, given = call.daemon, call.given
    tty, detach = given.on("tty"), given.on("detach")
    try:
        env = values.key_values(given.many("env-file"), given.many("env"), lookup)
    except ValueError as problem:
        raise Failure(str(problem)) from None
    stdin = given.on("interactive") and not detach
    keys = given.text("detach-keys") or setting("detachKeys")
    container = named("container", call.args[0])
    if stdin and tty and not is_terminal(STDIN):
        daemon.get(f"/containers/{container}/json")  # that there is no such container comes first
        raise Failure("the input device is not a TTY")
    body: dict[str, Any] = {
        "User": given.text("user"),
        "Privileged": given.on("privileged"),
        "Tty": tty,
        "AttachStdin": stdin,
        "AttachStdout": not detach,
        "AttachStderr": not detach,
        "Detach": detach,
        "DetachKeys": keys,
        "Env": env or None,
        "WorkingDir": given.text("workdir"),
        "Cmd": call.args[1:],
    }
    if tty:
        body["ConsoleSize"] = list(terminal_size(STDOUT))
    identity = str(daemon.post(f"/containers/{container}/exec", body)["Id"])
    start = {"Detach": detach, "Tty": tty} | ({"ConsoleSize": body["ConsoleSize"]} if tty else {})
    if detach:
        daemon.post(f"/exec/{identity}/start", start)
        return 0
    return attached(call, identity, start, stdin=stdin, keys=keys)


def attached(call: Call, identity: str, start: "dict[str, Any]", *, stdin: bool, keys: str) -> int:
    """Stays until the command has ended."""
    from sanbashi.cli.interactive import Detached, Session, Signals, resizer

    daemon, tty = call.daemon, bool(start["Tty"])
    wire = daemon.hijack(f"/exec/{escape(identity)}/start", {}, json_of(start))
    resize = resizer(daemon, f"/exec/{identity}") if tty and is_terminal(STDIN) else None
    signals = Signals(("WINCH",)) if resize else None
    if resize:
        resize()
    try:
        Session(wire, stdin=stdin, tty=tty, detach_keys=keys, resize=resize, signals=signals).run()
    except Detached:
        raise Failure("read escape sequence") from None
    try:
        return int(daemon.get(f"/exec/{identity}/json").get("ExitCode") or 0)
    except Unreachable:
        return 255  # the daemon has gone: docker's -1


COMMANDS = {
    "exec": Command(
        "[OPTIONS] CONTAINER COMMAND [ARG...]",
        exec_,
        flags="""
-d, --detach  Detached mode: run command in the background
    --detach-keys string  Override the key sequence for detaching a container
-e, --env list  Set environment variables
    --env-file list  Read in a file of environment variables
-i, --interactive  Keep STDIN open even if not attached
    --privileged  Give extended privileges to the command
-t, --tty  Allocate a pseudo-TTY
-u, --user string  Username or UID (format: "<name|uid>[:<group|gid>]")
-w, --workdir string  Working directory inside the container
""",
        least=2,
        interspersed=False,
        readers={"env": values.env},
        aliases="container exec, exec",
    )
}
