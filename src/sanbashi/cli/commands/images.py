"""images, history, rmi, tag."""

from sanbashi.cli.client import escape, filters_text
from sanbashi.cli.command import FORMAT_TABLE, Call, Command
from sanbashi.cli.failure import DaemonError, Failure
from sanbashi.cli.imagename import ImageName
from sanbashi.cli.imagerows import HEADINGS, HISTORY_HEADINGS, HistoryRow, ImageRow, image_format, rows_of
from sanbashi.cli.output import err, out

_VERBS = ("build", "history", "import", "inspect", "list", "load", "ls", "prune", "pull", "push", "rm", "save", "tag")


def images(call: Call) -> None:
    """The images, a row a tag."""
    from sanbashi.cli.table import render

    given = call.given
    if given.on("tree"):
        raise Failure("--tree is not supported: image indexes are not kept")
    filters = {key: dict(value) for key, value in given.values.get("filter", {}).items()}
    if call.args:
        filters.setdefault("reference", {})[call.args[0]] = True
    found = call.daemon.get("/images/json", all=given.on("all"), filters=filters_text(filters)) or []
    form, quiet, digests = given.text("format"), given.on("quiet"), given.on("digests")
    if not form and not quiet:
        from sanbashi.cli.settings import setting

        form = setting("imagesFormat")
    form = image_format(form, quiet, digests)
    rows: list[ImageRow] = []
    for image in found:
        rows += rows_of(image, not given.on("no-trunc"), digests, digests or "{{.Digest}}" in form)
    out(render(form, rows, HEADINGS))
    if call.args and not found and call.path.endswith(" images") and call.args[0] in _VERBS:
        err(f'\nNo images found matching "{call.args[0]}": did you mean "{call.path.removesuffix("s")} {call.args[0]}"?\n')


def history(call: Call) -> None:
    """The layers of an image."""
    from sanbashi.cli.table import render

    given = call.given
    query = {}
    if given.text("platform"):
        from sanbashi.cli.commands.inspect import platform_text

        query["platform"] = platform_text(given.text("platform"))
    layers = call.daemon.get(f"/images/{escape(call.args[0], '/:@')}/history", **query)
    human = given.on("human", True)
    form = given.text("format")
    if form in ("", "table"):
        created = "CreatedSince" if human else "CreatedAt"
        table = f"table {{{{.ID}}}}\t{{{{.{created}}}}}\t{{{{.CreatedBy}}}}\t{{{{.Size}}}}\t{{{{.Comment}}}}"
        form = "{{.ID}}" if given.on("quiet") else table
    rows = [HistoryRow(layer, not given.on("no-trunc"), human) for layer in layers]
    out(render(form, rows, HISTORY_HEADINGS))


def rmi(call: Call) -> None:
    """Removes images."""
    given = call.given
    if given.changed("platform"):
        raise Failure("--platform is not supported: an image has one platform here")
    query = {"force": given.on("force"), "noprune": given.on("no-prune")}
    failures: list[Failure] = []
    for name in call.args:
        try:
            for each in call.daemon.request("DELETE", f"/images/{escape(name, '/:@')}", query).json() or []:
                out(f"Deleted: {each['Deleted']}\n" if each.get("Deleted") else f"Untagged: {each.get('Untagged', '')}\n")
        except Failure as problem:
            failures.append(problem)
    if failures:
        fatal = any(not isinstance(each, DaemonError) or each.code != 404 for each in failures)
        text = "\n".join(each.text() for each in failures)
        if fatal or not given.on("force"):
            raise Failure(text)
        err(text + "\n")


def tag(call: Call) -> None:
    """Gives an image another name."""
    source, target = call.args
    try:
        name = ImageName(target)
    except Failure as problem:
        raise Failure(f'Error parsing reference: "{target}" is not a valid repository/tag: {problem.message}') from None
    if name.digest:
        raise Failure("refusing to create a tag with a digest reference")
    query = {"repo": f"{name.registry}/{name.path}", "tag": name.tag or "latest"}
    call.daemon.request("POST", f"/images/{escape(source, '/:@')}/tag", query).read()


COMMANDS = {
    "images": Command(
        "[OPTIONS] [REPOSITORY[:TAG]]",
        images,
        flags=f"""
-a, --all  Show all images (default hides intermediate images)
    --digests  Show digests
-f, --filter filter  Filter output based on conditions provided
    --format string  {FORMAT_TABLE}
    --no-trunc  Don't truncate output
-q, --quiet  Only show image IDs
    --tree  List multi-platform images as a tree (EXPERIMENTAL)
""",
        most=1,
        aliases="image ls, image list, images",
    ),
    "history": Command(
        "[OPTIONS] IMAGE",
        history,
        flags=f"""
    --format string  {FORMAT_TABLE}
-H, --human  Print sizes and dates in human readable format (default true)
    --no-trunc  Don't truncate output
    --platform string  Show history for the given platform. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")
-q, --quiet  Only show image IDs
""",
        least=1,
        most=1,
        aliases="image history, history",
    ),
    "rmi": Command(
        "[OPTIONS] IMAGE [IMAGE...]",
        rmi,
        flags="""
-f, --force  Force removal of the image
    --no-prune  Do not delete untagged parents
    --platform strings  Remove only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")
""",
        least=1,
        aliases="image rm, image remove, rmi",
    ),
    "tag": Command("SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", tag, least=2, most=2, interspersed=False, aliases="image tag, tag"),
}
