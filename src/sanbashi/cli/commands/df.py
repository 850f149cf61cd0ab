"""system df."""

from sanbashi.cli.command import FORMAT_TABLE, Call, Command
from sanbashi.cli.containers import HEADINGS as CONTAINER_HEADINGS
from sanbashi.cli.containers import ContainerRow
from sanbashi.cli.failure import Failure
from sanbashi.cli.gotemplate.values import Methods
from sanbashi.cli.output import out
from sanbashi.cli.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEADINGS = {"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"}


class UsageRow(Methods):
    """A row of `system df`."""

    type = "*formatter.diskUsageContext"
    columns = tuple(HEADINGS)

    def __init__(self, kind: str, total: int, active: int, size: int, free: int, *, share: bool = True) -> None:
        percent = f" ({free * 100 // size}%)" if share and size > 0 else ""
        values = (kind, str(total), str(active), human_size(size), human_size(free) + percent)
        self.values = dict(zip(HEADINGS, values, strict=True))

    def column(self, name: str) -> str:
        return self.values[name]


def rows_of(usage: "dict[str, Any]") -> list[UsageRow]:
    """Images, containers, volumes and the build cache."""
    images, containers, volumes = ([*(usage.get(kind) or [])] for kind in ("Images", "Containers", "Volumes"))
    layers = usage.get("LayersSize") or 0
    counted = [image for image in images if image["Containers"] != 0 and -1 not in (image["Size"], image["SharedSize"])]
    used = sum(image["Size"] - image["SharedSize"] for image in counted)
    running = [each for each in containers if each["State"] in ("running", "paused", "restarting")]
    written = sum(each.get("SizeRw") or 0 for each in containers)
    kept = sum(each.get("SizeRw") or 0 for each in running)
    sized = [each["UsageData"] for each in volumes if each["UsageData"]["Size"] != -1]
    return [
        UsageRow("Images", len(images), sum(image["Containers"] > 0 for image in images), layers, layers - used),
        UsageRow("Containers", len(containers), len(running), written, written - kept),
        UsageRow(
            "Local Volumes",
            len(volumes),
            sum(each["UsageData"]["RefCount"] > 0 for each in volumes),
            sum(each["Size"] for each in sized),
            sum(each["Size"] for each in sized if each["RefCount"] == 0),
        ),
        UsageRow("Build Cache", 0, 0, 0, 0, share=False),
    ]


def df(call: Call) -> None:
    """How much room is used and could be won."""
    from sanbashi.cli.table import render

    usage = call.daemon.get("/system/df")
    form = call.given.text("format") or "table"
    if call.given.on("verbose"):
        if form != "table":
            raise Failure("--verbose and --format cannot be used together")
        out(verbose(usage))
        return
    if form == "table":
        form = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"
    out(render(form, rows_of(usage), HEADINGS))


def verbose(usage: "dict[str, Any]") -> str:
    """A table of each kind."""
    from sanbashi.cli.commands.volumes import HEADINGS as VOLUME_HEADINGS
    from sanbashi.cli.commands.volumes import VolumeRow
    from sanbashi.cli.imagerows import HEADINGS as IMAGE_HEADINGS
    from sanbashi.cli.imagerows import rows_of as image_rows
    from sanbashi.cli.table import render

    images = "table " + "\t".join(
        f"{{{{.{name}}}}}" for name in ("Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers")
    )
    containers = "table " + "\t".join(
        f"{{{{.{name}}}}}" for name in ("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names")
    )
    rows = [image_rows(image, True, False, False)[0] for image in usage.get("Images") or []]
    own = [ContainerRow(each | {"SizeRootFs": 0}, True) for each in usage.get("Containers") or []]
    volumes = [VolumeRow(each) for each in usage.get("Volumes") or []]
    return (
        f"Images space usage:\n\n{render(images, rows, IMAGE_HEADINGS)}"
        f"\nContainers space usage:\n\n{render(containers, own, CONTAINER_HEADINGS)}"
        f"\nLocal Volumes space usage:\n\n{render('table {{.Name}}	{{.Links}}	{{.Size}}', volumes, VOLUME_HEADINGS)}"
        "\nBuild cache usage: 0B\n\nCACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n"
    )


COMMANDS = {
    "df": Command(
        "[OPTIONS]",
        df,
        flags=f"""
    --format string  {FORMAT_TABLE}
-v, --verbose  Show detailed information on space usage
""",
        most=0,
    )
}
