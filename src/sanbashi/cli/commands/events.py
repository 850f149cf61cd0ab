"""events."""

from sanbashi.cli.client import filters_text
from sanbashi.cli.command import FORMAT, Call, Command
from sanbashi.cli.failure import Failure
from sanbashi.cli.output import out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def events(call: Call) -> None:
    """Prints what happens, as it happens."""
    from sanbashi.cli.progress import messages
    from sanbashi.cli.times import timestamp

    given = call.given
    template = template_of(given.text("format"))
    query = {"filters": filters_text(given.values.get("filter", {}))}
    for name in ("since", "until"):
        if given.text(name):
            try:
                query[name] = timestamp(given.text(name))
            except ValueError as problem:
                raise Failure(str(problem)) from None
    for event in messages(call.daemon.request("GET", "/events", query).parts()):
        out((line_of(event) if template is None else executed(template, event)) + "\n")


def template_of(form: str) -> "Any":
    """The template, tried on an empty event; None for the usual line."""
    if not form:
        return None
    from sanbashi.cli.gotemplate.template import Template, TemplateError

    try:
        template = Template("{{json .}}" if form == "json" else form)
        executed(template, {})
    except (TemplateError, Failure) as problem:
        raise Failure(f"Error parsing format: {problem}", 64) from None
    return template


def executed(template: "Any", event: "dict[str, Any]") -> str:
    """The event by template."""
    from sanbashi.cli.gotemplate.template import TemplateError
    from sanbashi.cli.shapes import typed

    try:
        return str(template.run(typed("*events.Message", event)))
    except TemplateError as problem:
        raise Failure(str(problem)) from None


def line_of(event: "dict[str, Any]") -> str:
    """`time type action id (attributes)`."""
    from sanbashi.cli.times import SECOND, unix_rfc3339_nano

    nanoseconds = event.get("timeNano") or (event.get("time") or 0) * SECOND
    actor = event.get("Actor") or {}
    attributes = ", ".join(f"{key}={value}" for key, value in sorted((actor.get("Attributes") or {}).items()))
    start = f"{unix_rfc3339_nano(nanoseconds)} " if nanoseconds else ""
    return f"{start}{event.get('Type', '')} {event.get('Action', '')} {actor.get('ID', '')}" + (f" ({attributes})" if attributes else "")


COMMANDS = {
    "events": Command(
        "[OPTIONS]",
        events,
        flags=f"""
-f, --filter filter  Filter output based on conditions provided
    --format string  {FORMAT}
    --since string  Show all events created since timestamp
    --until string  Stream events until this timestamp
""",
        most=0,
        aliases="system events, events",
    )
}
