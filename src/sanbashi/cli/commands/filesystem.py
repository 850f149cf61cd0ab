"""diff, export, commit."""

from sanbashi.cli.client import named
from sanbashi.cli.command import Call, Command
from sanbashi.cli.failure import Failure
from sanbashi.cli.output import STDOUT, is_terminal, out, write

KINDS = "CAD"  # changed, added, deleted, as the API numbers them


def diff(call: Call) -> None:
    """A line for each path that differs from the image."""
    if not call.args[0]:
        raise Failure("Container name cannot be empty")
    found = call.daemon.get(f"/containers/{named('container', call.args[0])}/changes") or []
    out("".join(f"{KINDS[each['Kind']]} {each['Path']}\n" for each in found))


def export(call: Call) -> None:
    """Writes a container's file system as a tar archive; a file appears under its name only when it is whole."""
    path = call.given.text("output")
    if not path and is_terminal(STDOUT):
        raise Failure("cowardly refusing to save to a terminal. Use the -o flag or redirect")
    if path:
        from sanbashi.cli.newfile import check_target, write_new

        check_target(path, "failed to export container")
    response = call.daemon.request("GET", f"/containers/{named('container', call.args[0])}/export")
    if path:
        write_new(path, response.parts())
        return
    for data in response.parts():
        write(STDOUT, data)


def commit(call: Call) -> None:
    """Makes an image of a container and prints its id."""
    from sanbashi.cli.imagename import ImageName

    given = call.given
    name = ImageName(call.args[1]) if len(call.args) > 1 else None
    query = {
        "container": call.args[0],
        "repo": f"{name.registry}/{name.path}" if name else "",
        "tag": (name.tag or "latest") if name else "",
        "author": given.text("author"),
        "comment": given.text("message"),
        "changes": given.many("change"),
        "pause": "" if given.on("pause", True) else "0",
    }
    out(call.daemon.post("/commit", None, **query)["Id"] + "\n")


COMMANDS = {
    "diff": Command("CONTAINER", diff, least=1, most=1, aliases="container diff, diff"),
    "export": Command(
        "[OPTIONS] CONTAINER",
        export,
        flags="-o, --output string  Write to a file, instead of STDOUT",
        least=1,
        most=1,
        aliases="container export, export",
    ),
    "commit": Command(
        "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
        commit,
        flags="""
-a, --author string  Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
-c, --change list  Apply Dockerfile instruction to the created image
-m, --message string  Commit message
-p, --pause  Pause container during commit (default true)
""",
        least=1,
        most=2,
        aliases="container commit, commit",
    ),
}
