"""attach."""

from sanbashi.cli.client import Daemon, named
from sanbashi.cli.command import Call, Command
from sanbashi.cli.failure import Failure
from sanbashi.cli.output import STDOUT, is_terminal, terminal_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def inspected(daemon: Daemon, name: str) -> "dict[str, Any]":
    """The container; Failure when it is in no state to be attached to."""
    found: dict[str, Any] = daemon.get(f"/containers/{named('container', name)}/json")
    state = found["State"]
    if not state.get("Running"):
        raise Failure("You cannot attach to a stopped container, start it first")
    if state.get("Paused"):
        raise Failure("You cannot attach to a paused container, unpause it first")
    if state.get("Restarting"):
        raise Failure("You cannot attach to a restarting container, wait until it is running")
    return found


def attach(call: Call) -> int:
    """Attaches to a running container; its exit code once it has ended."""
    from sanbashi.cli.interactive import Detached, Session, Signals, Waiting, check_terminal, killer, resizer
    from sanbashi.cli.settings import setting

    daemon, given = call.daemon, call.given
    found = inspected(daemon, call.args[0])
    container, tty = found["Id"], bool(found["Config"]["Tty"])
    check_terminal(not given.on("no-stdin"), tty)
    waiting = Waiting(daemon, container, "")
    keys = given.text("detach-keys") or setting("detachKeys")
    stdin = not given.on("no-stdin") and bool(found["Config"]["OpenStdin"])
    signals = Signals()
    wire = daemon.hijack(f"/containers/{container}/attach", {"stream": True, "stdin": stdin, "stdout": True, "stderr": True, "detachKeys": keys})
    inspected(daemon, container)
    resize = resizer(daemon, f"/containers/{container}") if tty and is_terminal(STDOUT) else None
    if resize:
        rows, columns = terminal_size(STDOUT)
        # A size that differs makes the shell print its prompt again, as it would not for the size it has.
        daemon.request("POST", f"/containers/{container}/resize", {"h": str(rows + 1), "w": str(columns + 1)}).read()
        resize()
    kill = killer(daemon, container) if given.on("sig-proxy", True) and not tty else None
    session = Session(wire, stdin=stdin, tty=tty, detach_keys=keys, kill=kill, resize=resize, signals=signals, waiting=waiting)
    try:
        session.run()
    except Detached:
        raise Failure("read escape sequence") from None
    return waiting.finish()


COMMANDS = {
    "attach": Command(
        "[OPTIONS] CONTAINER",
        attach,
        flags="""
    --detach-keys string  Override the key sequence for detaching a container
    --no-stdin  Do not attach STDIN
    --sig-proxy  Proxy all received signals to the process (default true)
""",
        least=1,
        most=1,
        aliases="container attach, attach",
    )
}
