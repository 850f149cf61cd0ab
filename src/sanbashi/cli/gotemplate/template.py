"""A template: `Template(text).run(data)`."""

from sanbashi.cli.gotemplate.evaluator import Evaluator
from sanbashi.cli.gotemplate.functions import BUILTINS, HEADERS
from sanbashi.cli.gotemplate.parser import Parser, TemplateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sanbashi.cli.gotemplate.values import Function

__all__ = ["Template", "TemplateError"]


class Template:
    """A parsed template; TemplateError, in Go's words, from the constructor and from `run`."""

    def __init__(self, text: str, *, name: str = "", functions: "dict[str, Function] | None" = None) -> None:
        self.name = name
        self.text = text
        self.functions = BUILTINS | functions if functions else BUILTINS
        self.templates = Parser(name, text, self.functions).parse()

    def run(self, data: "Any", *, strict: bool = False) -> str:
        """The output for this data; `strict` makes a missing map key an error (missingkey=error)."""
        if not self.templates[self.name].nodes and len(self.templates) > 1:
            from sanbashi.cli.gotemplate.text import quote

            raise TemplateError(f"template: {self.name}: {quote(self.name)} is an incomplete or empty template")
        return Evaluator(self.name, self.text, self.templates, self.functions, strict).run(data)

    def run_header(self, headings: "Any") -> str:
        """The header line: functions that would change a value leave a heading as it is."""
        evaluator = Evaluator(self.name, self.text, self.templates, HEADERS, False)
        try:
            return evaluator.run(headings)
        except TemplateError:
            return "".join(evaluator.out)  # Docker prints what came before the error, too
