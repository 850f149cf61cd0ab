"""logs."""

from sanbashi.cli.client import named
from sanbashi.cli.command import Call, Command
from sanbashi.cli.failure import Failure
from sanbashi.cli.frames import Frames
from sanbashi.cli.output import STDERR, STDOUT, write


def logs(call: Call) -> None:
    """Prints what a container wrote, each stream on our own."""
    from sanbashi.cli.times import timestamp

    daemon, given = call.daemon, call.given
    found = daemon.get(f"/containers/{named('container', call.args[0])}/json")
    query = {
        "stdout": True,
        "stderr": True,
        "timestamps": given.on("timestamps"),
        "details": given.on("details"),
        "follow": given.on("follow"),
        "tail": given.text("tail", "all"),
    }
    for name in ("since", "until"):
        if given.text(name):
            try:
                query[name] = timestamp(given.text(name))
            except ValueError as problem:
                raise Failure(f"invalid value for {chr(34)}{name}{chr(34)}: {problem}") from None
    frames = Frames()
    for data in daemon.request("GET", f"/containers/{found['Id']}/logs", query).parts():
        if found["Config"]["Tty"]:
            write(STDOUT, data)
            continue
        for stream, part in frames.feed(data):
            write(STDERR if stream == 2 else STDOUT, part)


COMMANDS = {
    "logs": Command(
        "[OPTIONS] CONTAINER",
        logs,
        flags="""
    --details  Show extra details provided to logs
-f, --follow  Follow log output
    --since string  Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
-n, --tail string  Number of lines to show from the end of the logs (default "all")
-t, --timestamps  Show timestamps
    --until string  Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
""",
        least=1,
        most=1,
        aliases="container logs, logs",
    )
}
