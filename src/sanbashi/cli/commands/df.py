"""system df."""

from sanbashi.cli.command import FORMAT_TABLE, Call, Command
from sanbashi.cli.containers import HEADINGS as CONTAINER_HEADINGS
from sanbashi.cli.containers import RAW as CONTAINER_RAW
from sanbashi.cli.containers import ContainerRow
from sanbashi.cli.failure import Failure
from sanbashi.cli.gotemplate.values import Methods
from sanbashi.cli.output import out
from sanbashi.cli.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEADINGS = {"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"}
TABLE = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"
RAW = "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\nreclaimable: {{.Reclaimable}}\n"
IMAGES = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}"
CONTAINERS = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}"
VOLUMES = "table {{.Name}}\t{{.Links}}\t{{.Size}}"
# `-v --format raw`, the formats of the single lists one after the other.
DETAILS = """\
{{range .Images}}type: Image
repository: {{.Repository}}
tag: {{.Tag}}
digest: {{.Digest}}
image_id: {{.ID}}
created_at: {{.CreatedAt}}
virtual_size: {{.Size}}

{{end -}}
"""
DETAILS += f"{{{{range .Containers}}}}type: Container\n{CONTAINER_RAW}size: {{{{.Size}}}}\n\n{{{{end -}}}}\n"
DETAILS += """\
{{range .Volumes}}type: Volume
name: {{.Name}}
driver: {{.Driver}}

{{end -}}
{{range .BuildCache}}type: Build Cache
build_cache_id: {{.ID}}
parent_id: {{.Parent}}
build_cache_type: {{.CacheType}}
description: {{.Description}}
created_at: {{.CreatedAt}}
created_since: {{.CreatedSince}}
last_used_at: {{.LastUsedAt}}
last_used_since: {{.LastUsedSince}}
usage_count: {{.UsageCount}}
in_use: {{.InUse}}
shared: {{.Shared}}

{{end -}}"""


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
    cache = [*(usage.get("BuildCache") or [])]
    own = [each for each in cache if not each.get("Shared")]
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
        UsageRow(
            "Build Cache",
            len(cache),
            sum(bool(each.get("InUse")) for each in cache),
            sum(each["Size"] for each in own),
            sum(each["Size"] for each in own if not each.get("InUse")),
            share=False,
        ),
    ]


def df(call: Call) -> None:
    """How much room is used and could be won."""
    from sanbashi.cli.table import render

    usage = call.daemon.get("/system/df")
    form = call.given.text("format") or "table"
    if call.given.on("verbose"):
        out(tables(details(usage, True), usage) if form == "table" else templated(details(usage, form.startswith("table")), form))
        return
    out(render({"table": TABLE, "raw": RAW}.get(form, form), rows_of(usage), HEADINGS))


def details(usage: "dict[str, Any]", trunc: bool) -> "dict[str, list[Methods]]":
    """The rows of each kind."""
    from sanbashi.cli.cacherows import rows_of as cache_rows
    from sanbashi.cli.commands.volumes import VolumeRow
    from sanbashi.cli.imagerows import rows_of as image_rows

    images = [image_rows(image, trunc, False, False)[0] for image in usage.get("Images") or []]
    for row in images:
        row.own["Digest"] = ""  # docker leaves it out here
    return {
        "Images": [*images],
        "Containers": [ContainerRow(each | {"SizeRootFs": 0}, trunc) for each in usage.get("Containers") or []],
        "Volumes": [VolumeRow(each) for each in usage.get("Volumes") or []],
        "BuildCache": [*cache_rows(usage.get("BuildCache") or [], trunc)],
    }


def tables(rows: "dict[str, list[Methods]]", usage: "dict[str, Any]") -> str:
    """A table of each kind."""
    from sanbashi.cli.cacherows import HEADINGS as CACHE_HEADINGS
    from sanbashi.cli.cacherows import TABLE as CACHE
    from sanbashi.cli.commands.volumes import HEADINGS as VOLUME_HEADINGS
    from sanbashi.cli.imagerows import HEADINGS as IMAGE_HEADINGS
    from sanbashi.cli.table import render

    cached = human_size(sum(each["Size"] for each in usage.get("BuildCache") or [] if not each.get("Shared")))
    return (
        f"Images space usage:\n\n{render(IMAGES, rows['Images'], IMAGE_HEADINGS)}"
        f"\nContainers space usage:\n\n{render(CONTAINERS, rows['Containers'], CONTAINER_HEADINGS)}"
        f"\nLocal Volumes space usage:\n\n{render(VOLUMES, rows['Volumes'], VOLUME_HEADINGS)}"
        f"\nBuild cache usage: {cached}\n\n{render(CACHE, rows['BuildCache'], CACHE_HEADINGS)}"
    )


def templated(rows: "dict[str, list[Methods]]", form: str) -> str:
    """All kinds together through one template, as docker's users type it; Failure in docker's words."""
    from sanbashi.cli.gotemplate.template import Template, TemplateError
    from sanbashi.cli.gotemplate.values import Struct

    text = {"json": "{{json .}}", "raw": DETAILS}.get(form, form.removeprefix("table").strip(" ").replace("\\t", "\t").replace("\\n", "\n"))
    try:
        return Template(text).run(Struct("*formatter.diskUsageContext", dict(rows), {}))
    except TemplateError as problem:
        raise Failure(str(problem)) from None


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
