"""why: why one does, or does not, reach another."""

from sanbashi.cli.command import FORMAT, Call, Command
from sanbashi.cli.failure import Failure
from sanbashi.cli.output import STDOUT, environment, is_terminal, out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STATUS = {"reachable": 0, "blocked": 3, "unknown": 4}
RESULTS = {"reachable": "REACHABLE", "blocked": "NOT REACHABLE", "unknown": "UNKNOWN"}
MARKS = {"ok": "ok", "warn": "warn", "stop": "STOP", "skipped": "--", "unknown": "?"}
COLOURS = {"ok": "32", "reachable": "32", "warn": "33", "stop": "31", "blocked": "31", "unknown": "35", "skipped": "2"}
KINDS = ("Model", "Kernel", "Probe")


def why(call: Call) -> int:
    """The answer, stage by stage; the exit status says it too: 0 reachable, 3 blocked, 4 not to be told."""
    given = call.given
    form = given.text("format")
    template = None
    if form and form != "json":
        from sanbashi.cli.gotemplate.template import Template, TemplateError

        try:
            template = Template(form)
        except TemplateError as problem:
            raise Failure(f"template parsing error: {problem}", 64) from None
    query: dict[str, Any] = {"from": call.args[0], "to": call.args[1]}
    if given.on("probe"):
        query["probe"] = True
    found = call.daemon.get("/sanbashi/why", **query)
    if template is not None:
        out(filled(template, found))
    elif form:
        from sanbashi.cli.gotemplate.template import Template
        from sanbashi.cli.shapes import typed

        out(Template("{{json .}}").run(typed("why.Answer", found)) + "\n")
    else:
        out(page(found, verbose=given.on("verbose"), colours=coloured()))
    return STATUS[found["Result"]]


def filled(template: "Any", found: "dict[str, Any]") -> str:
    """The answer by template."""
    from sanbashi.cli.gotemplate.template import TemplateError
    from sanbashi.cli.shapes import typed

    try:
        return str(template.run(typed("why.Answer", found))) + "\n"
    except TemplateError as problem:
        raise Failure(str(problem)) from None


def coloured() -> bool:
    """Whether colours are wanted: on a terminal that can show them, unless NO_COLOR is set (no-color.org)."""
    return is_terminal(STDOUT) and not environment("NO_COLOR") and environment("TERM") not in ("", "dumb")


def page(found: "dict[str, Any]", *, verbose: bool, colours: bool) -> str:
    """The answer for people: what was asked and what came of it, a line a stage, then what mends it."""

    def paint(text: str, name: str) -> str:
        return f"\x1b[{COLOURS[name]}m{text}\x1b[0m" if colours else text

    stages, cause = found["Stages"], found.get("Cause")
    asked = f"[{found['Asked']}]" if ":" in found["Asked"] else found["Asked"]
    place = f"{asked}{':' + str(found['Port']) if found['Port'] else ''}/{found['Protocol']}"
    result = RESULTS[found["Result"]]
    if found["Result"] == "reachable" and any(each["Stage"] == "beyond" for each in stages) and not any(each["Evidence"]["Probe"] for each in stages):
        result += " as far as this host sees"
    lines = [f"{found['From']} -> {place}   {paint(result, found['Result'])}   [checked {len(stages)} stages]"]
    width = max(len(each["Stage"]) for each in stages)
    for each in stages:
        mark = paint(f"{MARKS[each['Verdict']]:<4}", each["Verdict"])
        code = f"   {each['Code']}" if each["Code"] else ""
        lines.append(f" {mark}  {each['Stage']:<{width}}  {each['Sentence']}{code}")
        if verbose:
            told = [f"{kind.lower()}: {each['Evidence'][kind]}" for kind in KINDS if each["Evidence"][kind]]
            owner = [f"object: {each['Object']} ({each['Owner'] or 'nobody here'})"] if each["Object"] else []
            lines += [f"       {'':<{width}}  {line}" for line in (*owner, *told)]
    if cause is not None:
        more = [each["Fix"] for each in stages if each["Fix"] and each["Verdict"] == cause["Verdict"]]
        lines += [f" {'fix' if fix == cause['Fix'] else 'then':<4}  {fix}" for fix in dict.fromkeys([cause["Fix"], *more]) if fix]
    if found["Also"]:
        lines.append(f" also  {', '.join(found['Also'])}: to be mended as well")
    return "\n".join(lines) + "\n"


COMMANDS = {
    "why": Command(
        "[OPTIONS] FROM TO[:PORT][/PROTO]",
        why,
        about="""Explain why one container, the host or its neighbours do or do not reach another

FROM is a container, host, or outside (a neighbour of the host). TO is a container, a name, an address,
or host; with :PORT or :PORT/udp, and without a port an echo (icmp).
Exit status: 0 reachable, 3 not reachable, 4 it cannot be told for certain.""",
        flags=f"""
    --format string  {FORMAT}
    --probe  Try it with a real packet too
-v, --verbose  Show what the answer rests on: what is meant, what the kernel has, what a packet did
""",
        least=2,
        most=2,
    ),
}
