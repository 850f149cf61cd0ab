"""start."""

from sanbashi.cli.client import named
from sanbashi.cli.command import Call, Command
from sanbashi.cli.failure import Failure
from sanbashi.cli.output import STDOUT, err, is_terminal, out


def start(call: Call) -> int:
    """Starts containers; with -a or -i one, attached."""
    given = call.given
    if given.text("checkpoint") or given.text("checkpoint-dir"):
        raise Failure("--checkpoint is not supported: containers cannot be restored from checkpoints")
    if given.on("attach") or given.on("interactive"):
        if len(call.args) > 1:
            raise Failure("you cannot start and attach multiple containers at once")
        return attached(call, call.args[0])
    failed: list[str] = []
    for name in call.args:
        try:
            call.daemon.request("POST", f"/containers/{named('container', name)}/start").read()
        except Failure as problem:
            err(problem.text() + "\n")
            failed.append(name)
        else:
            out(name + "\n")
    if failed:
        raise Failure(f"Error: failed to start containers: {', '.join(failed)}")
    return 0


def attached(call: Call, name: str) -> int:
    """Attaches, starts, and stays until the container has ended; its exit code."""
    from sanbashi.cli.interactive import Detached, Session, Signals, Waiting, killer, resizer
    from sanbashi.cli.settings import setting

    daemon, given = call.daemon, call.given
    found = daemon.get(f"/containers/{named('container', name)}/json")
    container, tty = found["Id"], bool(found["Config"]["Tty"])
    signals = Signals()
    keys = given.text("detach-keys") or setting("detachKeys")
    stdin = given.on("interactive") and bool(found["Config"]["OpenStdin"])
    query = {"stream": True, "stdin": stdin, "stdout": True, "stderr": True, "detachKeys": keys}
    wire = daemon.hijack(f"/containers/{container}/attach", query)
    waiting = Waiting(daemon, container, "removed" if found["HostConfig"].get("AutoRemove") else "next-exit")
    daemon.request("POST", f"/containers/{container}/start").read()
    resize = resizer(daemon, f"/containers/{container}") if tty and is_terminal(STDOUT) else None
    if resize:
        resize()
    kill = None if tty else killer(daemon, container)
    session = Session(wire, stdin=stdin, tty=tty, detach_keys=keys, kill=kill, resize=resize, signals=signals, waiting=waiting)
    try:
        session.run()
    except Detached:
        return 0
    return waiting.finish()


COMMANDS = {
    "start": Command(
        "[OPTIONS] CONTAINER [CONTAINER...]",
        start,
        flags="""
-a, --attach  Attach STDOUT/STDERR and forward signals
    --checkpoint string  Restore from this checkpoint
    --checkpoint-dir string  Use a custom checkpoint storage directory
    --detach-keys string  Override the key sequence for detaching a container
-i, --interactive  Attach container's STDIN
""",
        least=1,
        aliases="container start, start",
    )
}
