"""volume create, ls, rm."""

from sanbashi.cli.client import filters_text, named
from sanbashi.cli.command import FORMAT_TABLE, Call, Command
from sanbashi.cli.failure import Failure, join_failures
from sanbashi.cli.gotemplate.values import Methods
from sanbashi.cli.output import out
from sanbashi.cli.values import label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEADINGS = {
    "Name": "VOLUME NAME",
    "Group": "GROUP",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "Availability": "AVAILABILITY",
    "Mountpoint": "MOUNTPOINT",
    "Labels": "LABELS",
    "Links": "LINKS",
    "Size": "SIZE",
    "Status": "STATUS",
}
_SWARM_ONLY: tuple[str, ...] = ("group", "scope", "sharing", "availability", "type", "secret", "limit-bytes", "required-bytes")
_SWARM_ONLY += ("topology-required", "topology-preferred")


class VolumeRow(Methods):
    """A row of `volume ls`."""

    type = "*formatter.volumeContext"
    columns = tuple(HEADINGS)

    def __init__(self, volume: "dict[str, Any]") -> None:
        self.volume = volume

    def column(self, name: str) -> str:
        volume = self.volume
        if name in ("Name", "Driver", "Scope", "Mountpoint"):
            return str(volume.get(name) or "")
        if name == "Labels":
            return ",".join(f"{key}={value}" for key, value in (volume.get("Labels") or {}).items())
        usage = volume.get("UsageData")
        if name == "Links" and usage:
            return str(usage["RefCount"])
        if name == "Size" and usage:
            from sanbashi.cli.units import human_size

            return human_size(usage["Size"])
        return "N/A"

    def label(self, name: str) -> str:
        return str((self.volume.get("Labels") or {}).get(name, ""))


def ls(call: Call) -> None:
    """The volumes by name."""
    from sanbashi.cli.table import render
    from sanbashi.cli.units import natural_key

    given = call.given
    if given.on("cluster"):
        raise Failure("--cluster is not supported: there are no cluster volumes")
    volumes = call.daemon.get("/volumes", filters=filters_text(given.values.get("filter", {}))).get("Volumes") or []
    volumes.sort(key=lambda volume: natural_key(volume["Name"]))
    form, quiet = given.text("format"), given.on("quiet")
    if not form and not quiet:
        from sanbashi.cli.settings import setting

        form = setting("volumesFormat")
    if form in ("", "table"):
        form = "{{.Name}}" if quiet else "table {{.Driver}}\t{{.Name}}"
    elif form == "raw":
        form = "name: {{.Name}}" if quiet else "name: {{.Name}}\ndriver: {{.Driver}}\n"
    out(render(form, [VolumeRow(volume) for volume in volumes], HEADINGS))


def create(call: Call) -> None:
    """Creates a volume and prints its name."""
    given = call.given
    for flag in _SWARM_ONLY:
        if given.changed(flag):
            raise Failure(f"--{flag} is not supported: it belongs to cluster volumes")
    body = {
        "Name": call.args[0] if call.args else "",
        "Driver": given.text("driver", "local"),
        "DriverOpts": given.pairs("opt"),
        "Labels": given.pairs("label"),
    }
    out(call.daemon.post("/volumes/create", body)["Name"] + "\n")


def rm(call: Call) -> None:
    """Removes volumes."""
    failures: list[Failure] = []
    for name in call.args:
        try:
            call.daemon.request("DELETE", f"/volumes/{named('volume', name)}", {"force": call.given.on("force")}).read()
        except Failure as problem:
            failures.append(problem)
        else:
            out(name + "\n")
    join_failures(failures)


COMMANDS = {
    "ls": Command(
        "[OPTIONS]",
        ls,
        flags=f"""
    --cluster  Display only cluster volumes, and use cluster volume list formatting
-f, --filter filter  Provide filter values (e.g. "dangling=true")
    --format string  {FORMAT_TABLE}
-q, --quiet  Only display volume names
""",
        most=0,
        aliases="volume ls, volume list",
    ),
    "create": Command(
        "[OPTIONS] [VOLUME]",
        create,
        flags="""
    --availability string  Cluster Volume availability ("active", "pause", "drain") (default "active")
-d, --driver string  Specify volume driver name (default "local")
    --group string  Cluster Volume group (cluster volumes)
    --label list  Set metadata for a volume
    --limit-bytes bytes  Minimum size of the Cluster Volume in bytes
-o, --opt map  Set driver specific options (default map[])
    --required-bytes bytes  Maximum size of the Cluster Volume in bytes
    --scope string  Cluster Volume access scope ("single", "multi") (default "single")
    --secret map  Cluster Volume secrets (default map[])
    --sharing string  Cluster Volume access sharing ("none", "readonly", "onewriter", "all") (default "none")
    --topology-preferred list  A topology that the Cluster Volume would be preferred in
    --topology-required list  A topology that the Cluster Volume must be accessible from
    --type string  Cluster Volume access type ("mount", "block") (default "block")
""",
        most=1,
        readers={"label": label},
    ),
    "rm": Command(
        "[OPTIONS] VOLUME [VOLUME...]",
        rm,
        about="Remove one or more volumes. You cannot remove a volume that is in use by a container.",
        flags="-f, --force  Force the removal of one or more volumes",
        least=1,
        aliases="volume rm, volume remove",
    ),
}
