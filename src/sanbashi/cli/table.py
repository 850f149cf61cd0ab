"""Output of lists: columns in line (Docker's tabwriter), --format as a template or JSON, a line an element."""

from sanbashi.cli.failure import Failure
from sanbashi.cli.units import text_width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sanbashi.cli.gotemplate.values import Methods


def align(text: str, *, least: int = 10, padding: int = 3) -> str:
    """Cells that end with a tab get the width of the widest in their block of lines, `least` at least."""
    lines = [line.split("\t") for line in text.split("\n")]
    out = ["" for _ in lines]

    def block(column: int, start: int, end: int) -> None:
        line = start
        while line < end:
            if column >= len(lines[line]) - 1:
                line += 1
                continue
            first = line
            while line < end and column < len(lines[line]) - 1:
                line += 1
            width = max(least, max(text_width(lines[each][column]) for each in range(first, line)) + padding)
            for each in range(first, line):
                cell = lines[each][column]
                out[each] += cell + " " * (width - text_width(cell))
            block(column + 1, first, line)

    block(0, 0, len(lines))
    return "\n".join(row + cells[-1] for row, cells in zip(out, lines, strict=True))


def render(form: str, rows: "Sequence[Methods]", headings: dict[str, str]) -> str:
    """The whole output for a format: `table ...`, `json`, or a template a row; Failure with docker's words."""
    table = form.startswith("table")
    text = form[len("table") :] if table else "{{json .}}" if form == "json" else form
    text = text.strip(" ").replace("\\t", "\t").replace("\\n", "\n")
    plain = plain_columns(text)
    if plain is not None and all(name in headings for name in plain):
        body = ["\t".join(str(row.column(name)) for name in plain) for row in rows]
        head = "\t".join(headings[name] for name in plain)
    else:
        from sanbashi.cli.gotemplate.template import Template, TemplateError
        from sanbashi.cli.gotemplate.values import Header

        try:
            template = Template(text)
            body = [template.run(row) for row in rows]
            head = template.run_header(Header(headings)) if table else ""
        except TemplateError as problem:
            raise Failure(f"template parsing error: {problem}") from None
    if table:
        return align("\n".join([head, *body])) + "\n"
    return "".join(line + "\n" for line in body)


def plain_columns(text: str) -> list[str] | None:
    """The columns of `{{.A}}\\t{{.B}}`, which needs no template engine; None for anything else."""
    names: list[str] = []
    for part in text.split("\t"):
        name = part[3:-2]
        if not (part.startswith("{{.") and part.endswith("}}") and name.isidentifier()):
            return None
        names.append(name)
    return names
