"""ps."""

from sanbashi.cli.client import filters_text
from sanbashi.cli.command import FORMAT_TABLE, Call, Command
from sanbashi.cli.containers import HEADINGS, ContainerRow, container_format
from sanbashi.cli.failure import Failure
from sanbashi.cli.output import err, out


def ps(call: Call) -> None:
    """The containers, newest first."""
    given = call.given
    form, quiet = given.text("format"), given.on("quiet")
    if not form:
        from sanbashi.cli.settings import setting

        form = setting("psFormat")
    elif quiet:
        err("WARNING: Ignoring custom format, because both --format and --quiet are set.\n")
    last = given.number("last", -1)
    if given.on("latest") and last == -1:
        last = 1
    size = given.on("size")
    if form and form not in ("table", "json", "raw"):
        uses_size = check_template(form)
        size = size or (uses_size and not quiet and not given.changed("size"))
    query = {
        "all": given.on("all"),
        "limit": str(last) if last > 0 else "",
        "size": size,
        "filters": filters_text(given.values.get("filter", {})),
    }
    containers = call.daemon.get("/containers/json", **query) or []
    from sanbashi.cli.table import render

    rows = [ContainerRow(container, not given.on("no-trunc")) for container in containers]
    out(render(container_format(form, quiet, size), rows, HEADINGS))


def check_template(form: str) -> bool:
    """Whether a template uses the size; Failure for one that cannot be carried out, before anything is asked."""
    from sanbashi.cli.gotemplate.template import Template, TemplateError

    empty = ContainerRow({"Id": "", "Names": [], "Image": "", "Command": "", "Created": 0}, False)
    try:
        template = Template(form)
    except TemplateError as problem:
        raise Failure(f"failed to parse template: {problem}") from None
    try:
        template.run(empty)
    except TemplateError as problem:
        raise Failure(f"failed to execute template: {problem}") from None
    return empty.size_used


COMMANDS = {
    "ps": Command(
        "[OPTIONS]",
        ps,
        flags=f"""
-a, --all  Show all containers (default shows just running)
-f, --filter filter  Filter output based on conditions provided
    --format string  {FORMAT_TABLE}
-n, --last int  Show n last created containers (includes all states) (default -1)
-l, --latest  Show the latest created container (includes all states)
    --no-trunc  Don't truncate output
-q, --quiet  Only display container IDs
-s, --size  Display total file sizes
""",
        most=0,
        aliases="container ls, container list, container ps, ps",
    )
}
