"""port and top."""

from sanbashi.cli.client import named
from sanbashi.cli.command import Call, Command
from sanbashi.cli.containers import host_port
from sanbashi.cli.failure import Failure
from sanbashi.cli.output import out


def port(call: Call) -> None:
    """The ports of a container, or the addresses one of them is published at."""
    from sanbashi.cli.units import natural_key

    if len(call.args) > 2:
        change_ports(call)
        return
    ports = call.daemon.get(f"/containers/{named('container', call.args[0])}/json")["NetworkSettings"].get("Ports") or {}
    lines: list[str] = []
    if len(call.args) > 1 and call.args[1]:
        wanted, _, protocol = call.args[1].partition("/")
        if not (wanted.isdigit() and int(wanted) < 65536):
            from sanbashi.cli.gotemplate.text import quote

            why = "value out of range" if wanted.isdigit() else "invalid syntax"
            raise Failure(f"Error: invalid port ({wanted}): strconv.ParseUint: parsing {quote(wanted)}: {why}")
        found = ports.get(f"{wanted}/{protocol or 'tcp'}")
        if not found:
            raise Failure(f"Error: No public port '{call.args[1]}' published for {call.args[0]}")
        lines = [host_port(each["HostIp"], each["HostPort"]) for each in found]
    else:
        for inside, bindings in ports.items():
            lines += [f"{inside} -> {host_port(each['HostIp'], each['HostPort'])}" for each in bindings or []]
    if lines:
        out("\n".join(sorted(lines, key=natural_key)) + "\n")


def change_ports(call: Call) -> None:
    """`port publish CONTAINER SPEC...` and `port unpublish CONTAINER SPEC...`, on a running container; shows what is published then."""
    verb, container, *specs = call.args
    found = call.daemon.post(f"/sanbashi/containers/{named('container', container)}/ports", {CHANGES[verb]: specs})["Ports"] or {}
    for inside, bindings in found.items():
        for each in bindings or []:
            out(f"{inside} -> {host_port(each['HostIp'], each['HostPort'])}\n")


CHANGES = {"publish": "Publish", "unpublish": "Unpublish"}


def top(call: Call) -> None:
    """The processes of a container."""
    from sanbashi.cli.table import align

    query = {"ps_args": " ".join(call.args[1:])}
    found = call.daemon.get(f"/containers/{named('container', call.args[0])}/top", **query)
    rows = [found["Titles"], *(found["Processes"] or [])]
    out(align("\n".join("\t".join(row) for row in rows), least=20) + "\n")


COMMANDS = {
    "port": Command(
        "CONTAINER [PRIVATE_PORT[/PROTO]]",
        port,
        about="`port publish CONTAINER SPEC...` and `port unpublish CONTAINER SPEC...` change what is published, while the container runs.",
        least=1,
        most=2,
        verbs=tuple(CHANGES),
        aliases="container port, port",
    ),
    "top": Command("CONTAINER [ps OPTIONS]", top, least=1, interspersed=False, aliases="container top, top"),
}
