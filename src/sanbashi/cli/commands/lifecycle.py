"""stop, restart, kill, pause, unpause, wait, rename, rm."""

from sanbashi.cli.client import Wire, named
from sanbashi.cli.command import Call, Command
from sanbashi.cli.failure import DaemonError, Failure, join_failures
from sanbashi.cli.output import err, out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

AT_ONCE = 50  # requests under way at a time


def each_container(call: Call, method: str, path: str, query: "dict[str, Any] | None" = None, *, gone_is_fine: bool = False) -> None:
    """One request a container, many at once; names are printed in order, failures together at the end."""
    failures: list[Failure] = []
    names = call.args
    for start in range(0, len(names), AT_ONCE):
        sent: list[tuple[str, Wire | Failure]] = []
        for name in names[start : start + AT_ONCE]:
            try:
                target = path.format(named("container", name.strip("/") if method == "DELETE" else name))
                sent.append((name, call.daemon.send(method, target, query, fresh=len(names) > 1)))
            except Failure as problem:
                sent.append((name, problem))
        for name, wire in sent:
            try:
                if isinstance(wire, Failure):
                    raise wire
                call.daemon.answer_or_repeat(wire, method, path.format(named("container", name)), query).read()
            except Failure as problem:
                if gone_is_fine and isinstance(problem, DaemonError) and problem.code == 404:
                    err(problem.text() + "\n")
                else:
                    failures.append(problem)
            else:
                out(name + "\n")
    join_failures(failures)


def timeout_query(call: Call) -> "dict[str, Any]":
    """Signal and timeout of stop and restart."""
    given = call.given
    if given.changed("time"):
        out("Flag --time has been deprecated, use --timeout instead\n")
    if given.changed("time") and given.changed("timeout"):
        raise Failure("conflicting options: cannot specify both --timeout and --time")
    flag = "time" if given.changed("time") else "timeout"
    return {"signal": given.text("signal"), "t": str(given.number(flag)) if given.changed(flag) else ""}


def stop(call: Call) -> None:
    """Stops containers."""
    each_container(call, "POST", "/containers/{}/stop", timeout_query(call))


def restart(call: Call) -> None:
    """Restarts containers, one after the other."""
    query = timeout_query(call)
    failures: list[Failure] = []
    for name in call.args:
        try:
            call.daemon.request("POST", f"/containers/{named('container', name)}/restart", query).read()
        except Failure as problem:
            failures.append(problem)
        else:
            out(name + "\n")
    join_failures(failures)


def kill(call: Call) -> None:
    """Sends a signal."""
    each_container(call, "POST", "/containers/{}/kill", {"signal": call.given.text("signal")})


def pause(call: Call) -> None:
    """Pauses containers."""
    each_container(call, "POST", "/containers/{}/pause")


def unpause(call: Call) -> None:
    """Unpauses containers."""
    failures: list[Failure] = []
    for name in call.args:
        try:
            call.daemon.request("POST", f"/containers/{named('container', name)}/unpause").read()
        except Failure as problem:
            failures.append(problem)
        else:
            out(name + "\n")
    join_failures(failures)


def wait(call: Call) -> None:
    """Waits for containers to stop and prints their exit codes."""
    failures: list[Failure] = []
    for name in call.args:
        try:
            answer = call.daemon.post(f"/containers/{named('container', name)}/wait")
            out(f"{answer['StatusCode']}\n")
        except Failure as problem:
            failures.append(problem)
    join_failures(failures)


def rename(call: Call) -> None:
    """Renames a container."""
    old, new = call.args[0].strip(), call.args[1].strip()
    if not old or not new:
        raise Failure("Error: Neither old nor new names may be empty")
    try:
        call.daemon.request("POST", f"/containers/{named('container', old)}/rename", {"name": new}).read()
    except Failure as problem:
        raise Failure(f"{problem.text()}\nError: failed to rename container named {old}") from None


def rm(call: Call) -> None:
    """Removes containers."""
    given = call.given
    query = {"v": given.on("volumes"), "link": given.on("link"), "force": given.on("force")}
    for name in call.args:
        if not name.strip("/"):
            raise Failure("container name cannot be empty")
    each_container(call, "DELETE", "/containers/{}", query, gone_is_fine=given.on("force"))


_STOP_FLAGS = """
-s, --signal string  Signal to send to the container
-t, --timeout int  Seconds to wait before killing the container
~--time int  Seconds to wait before killing the container (deprecated: use --timeout)
"""
_MANY = "CONTAINER [CONTAINER...]"

COMMANDS = {
    "stop": Command(f"[OPTIONS] {_MANY}", stop, flags=_STOP_FLAGS, least=1, aliases="container stop, stop"),
    "restart": Command(f"[OPTIONS] {_MANY}", restart, flags=_STOP_FLAGS, least=1, aliases="container restart, restart"),
    "kill": Command(
        f"[OPTIONS] {_MANY}", kill, flags="-s, --signal string  Signal to send to the container", least=1, aliases="container kill, kill"
    ),
    "pause": Command(_MANY, pause, least=1, aliases="container pause, pause"),
    "unpause": Command(_MANY, unpause, least=1, aliases="container unpause, unpause"),
    "wait": Command(_MANY, wait, least=1, aliases="container wait, wait"),
    "rename": Command("CONTAINER NEW_NAME", rename, least=2, most=2, aliases="container rename, rename"),
    "rm": Command(
        f"[OPTIONS] {_MANY}",
        rm,
        flags="""
-f, --force  Force the removal of a running container (uses SIGKILL)
-l, --link  Remove the specified link
-v, --volumes  Remove anonymous volumes associated with the container
""",
        least=1,
        aliases="container rm, container remove, rm",
    ),
}
