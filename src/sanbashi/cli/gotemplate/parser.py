"""Tokens to nodes, by the rules and in the words of Go's text/template/parse."""

from sanbashi.cli.gotemplate.lexer import Lexer, Token
from sanbashi.cli.gotemplate.nodes import Action, Body, Branch, Call, Chain, Command, Constant, Field, Jump, Node, Pipe, Text, Variable, Word
from sanbashi.cli.gotemplate.numbers import read_number
from sanbashi.cli.gotemplate.text import quote, unquote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

_OPERANDS = frozenset(("bool", "charconst", "complex", "dot", "field", "identifier", "number", "nil", "string", "variable", "("))
_END = frozenset(("end", "else"))


class TemplateError(Exception):
    """A template that cannot be parsed or carried out; the text is Go's."""


class Parser:
    """Parses one text; `templates` gathers it and what it defines, by name."""

    def __init__(self, name: str, text: str, functions: "Container[str]") -> None:
        self.name = name
        self.functions = functions
        self.tokens = Lexer(text).scan()
        self.at = 0
        self.action_line = 0
        self.range_depth = 0
        self.variables: list[str] = ["$"]
        self.templates: dict[str, Body] = {}

    def parse(self) -> dict[str, Body]:
        """All templates; the main one has the parser's own name."""
        root = Body(self.tokens[0].pos)
        while self.peek().kind != "eof":
            if self.peek().kind == "left":
                mark = self.at
                self.next()
                if self.next_word().kind == "define":
                    self.definition()
                    continue
                self.at = mark
            node = self.text_or_action()
            if isinstance(node, Word) and node.kind in _END:
                raise self.error(f"unexpected {{{{{node.kind}}}}}")
            root.nodes.append(node)
        self.add(self.name, root)
        return self.templates

    def add(self, name: str, body: Body) -> None:
        known = self.templates.get(name)
        if known is None or is_empty(known):
            self.templates[name] = body
        elif not is_empty(body):
            raise self.error(f"template: multiple definition of template {quote(name)}")

    # tokens

    def next(self) -> Token:
        token = self.tokens[min(self.at, len(self.tokens) - 1)]
        self.at += 1
        return token

    def peek(self) -> Token:
        return self.tokens[min(self.at, len(self.tokens) - 1)]

    def next_word(self) -> Token:
        token = self.next()
        while token.kind == "space":
            token = self.next()
        return token

    def peek_word(self) -> Token:
        token = self.next_word()
        self.at -= 1
        return token

    def error(self, message: str) -> TemplateError:
        line = self.tokens[min(max(self.at - 1, 0), len(self.tokens) - 1)].line
        return TemplateError(f"template: {self.name}:{line}: {message}")

    def unexpected(self, token: Token, context: str) -> TemplateError:
        if token.kind == "error":
            extra = ""
            if self.action_line not in (0, token.line):
                extra = f" in action started at {self.name}:{self.action_line}"
                if token.text.endswith(" action"):
                    extra = extra[len(" in action") :]
            return self.error(f"{token}{extra}")
        return self.error(f"unexpected {token} in {context}")

    def expect(self, kind: str, context: str) -> Token:
        token = self.next_word()
        if token.kind != kind:
            raise self.unexpected(token, context)
        return token

    # bodies

    def definition(self) -> None:
        context = "define clause"
        name = self.string(self.expect("string", context))
        self.expect("right", context)
        saved, self.variables, depth, self.range_depth = self.variables, ["$"], self.range_depth, 0
        body, end = self.body()
        if end.kind != "end":
            raise self.error(f"unexpected {{{{{end.kind}}}}} in {context}")
        self.variables, self.range_depth = saved, depth
        self.add(name, body)

    def body(self) -> tuple[Body, Word]:
        body = Body(self.peek_word().pos)
        while self.peek_word().kind != "eof":
            node = self.text_or_action()
            if isinstance(node, Word) and node.kind in _END:
                return body, node
            body.nodes.append(node)
        raise self.error("unexpected EOF")

    def text_or_action(self) -> Node:
        token = self.next_word()
        if token.kind == "text":
            return Text(token.pos, token.text)
        if token.kind != "left":
            raise self.unexpected(token, "input")
        self.action_line = token.line
        node = self.action()
        self.action_line = 0
        return node

    def action(self) -> Node:
        token = self.next_word()
        if token.kind in ("if", "with", "range"):
            return self.branch(token.kind)
        if token.kind == "end":
            return Word(self.expect("right", "end").pos, "end", "{{end}}")
        if token.kind == "else":
            return self.otherwise()
        if token.kind in ("break", "continue"):
            return self.jump(token)
        if token.kind == "template":
            return self.call()
        if token.kind == "block":
            return self.block()
        self.at -= 1
        return Action(self.peek().pos, self.pipeline("command", "right"))

    def otherwise(self) -> Node:
        token = self.peek_word()
        if token.kind not in ("if", "with"):
            token = self.expect("right", "else")
        return Word(token.pos, "else", "{{else}}")

    def jump(self, token: Token) -> Node:
        after = self.next_word()
        if after.kind != "right":
            raise self.unexpected(after, "{{" + token.kind + "}}")
        if not self.range_depth:
            raise self.error("{{" + token.kind + "}} outside {{range}}")
        return Jump(token.pos, token.kind)

    def branch(self, kind: str) -> Branch:
        mark = len(self.variables)
        pipe = self.pipeline(kind, "right")
        self.range_depth += kind == "range"
        body, end = self.body()
        self.range_depth -= kind == "range"
        other: Body | None = None
        if end.kind == "else":
            if kind != "range" and self.peek().kind == kind:
                self.next()
                other = Body(end.pos)
                other.nodes.append(self.branch(kind))
            else:
                other, end = self.body()
                if end.kind != "end":
                    raise self.error(f"expected end; found {end}")
        del self.variables[mark:]
        return Branch(pipe.pos, kind, pipe, body, other)

    def call(self) -> Node:
        context = "template clause"
        token = self.next_word()
        name = self.template_name(token, context)
        pipe = None
        if self.next_word().kind != "right":
            self.at -= 1
            pipe = self.pipeline(context, "right")
        return Call(token.pos, name, pipe)

    def block(self) -> Node:
        context = "block clause"
        token = self.next_word()
        name = self.template_name(token, context)
        pipe = self.pipeline(context, "right")
        saved, self.variables, depth, self.range_depth = self.variables, ["$"], self.range_depth, 0
        body, end = self.body()
        if end.kind != "end":
            raise self.error(f"unexpected {end} in {context}")
        self.variables, self.range_depth = saved, depth
        self.add(name, body)
        return Call(token.pos, name, pipe)

    def template_name(self, token: Token, context: str) -> str:
        if token.kind != "string":
            raise self.unexpected(token, context)
        return self.string(token)

    def string(self, token: Token) -> str:
        try:
            return unquote(token.text)
        except ValueError as problem:
            raise self.error(str(problem)) from None

    # pipelines

    def pipeline(self, context: str, end: str) -> Pipe:
        token = self.peek_word()
        pipe = Pipe(token.pos, token.line)
        self.declarations(pipe, context)
        while True:
            token = self.next_word()
            if token.kind == end:
                self.check(pipe, context)
                return pipe
            if token.kind not in _OPERANDS:
                raise self.unexpected(token, context)
            self.at -= 1
            pipe.commands.append(self.command())

    def declarations(self, pipe: Pipe, context: str) -> None:
        while self.peek_word().kind == "variable":
            mark = self.at
            variable = self.next()
            following = self.peek_word()
            if following.kind in ("assign", "declare"):
                pipe.assigns = following.kind == "assign"
                self.next_word()
                self.declare(pipe, variable)
                return
            if following.kind == "char" and following.text == ",":
                self.next_word()
                self.declare(pipe, variable)
                if context == "range" and len(pipe.variables) < 2:
                    if self.peek_word().kind in ("variable", "right", ")"):
                        continue
                    raise self.error("range can only initialize variables")
                raise self.error(f"too many declarations in {context}")
            self.at = mark
            return

    def declare(self, pipe: Pipe, token: Token) -> None:
        pipe.variables.append(Variable(token.pos, [token.text]))
        self.variables.append(token.text)

    def check(self, pipe: Pipe, context: str) -> None:
        if not pipe.commands:
            raise self.error(f"missing value for {context}")
        for index, command in enumerate(pipe.commands[1:], 2):
            first = command.arguments[0]
            if isinstance(first, Constant) or (isinstance(first, Word) and first.kind in ("dot", "nil")):
                raise self.error(f"non executable command in pipeline stage {index}")

    def command(self) -> Command:
        command = Command(self.peek_word().pos)
        while True:
            self.peek_word()
            operand = self.operand()
            if operand is not None:
                command.arguments.append(operand)
            token = self.next()
            if token.kind == "space":
                continue
            if token.kind in ("right", ")"):
                self.at -= 1
            elif token.kind != "pipe":
                raise self.unexpected(token, "operand")
            break
        if not command.arguments:
            raise self.error("empty command")
        return command

    def operand(self) -> Node | None:
        node = self.term()
        if node is None or self.peek().kind != "field":
            return node
        chain = Chain(self.peek().pos, node)
        while self.peek().kind == "field":
            chain.names.append(self.next().text[1:])
        if isinstance(node, Field):
            return Field(chain.pos, node.names + chain.names)
        if isinstance(node, Variable):
            return Variable(chain.pos, node.names + chain.names)
        if isinstance(node, Constant) or (isinstance(node, Word) and node.kind in ("dot", "nil")):
            raise self.error(f"unexpected . after term {quote(str(node))}")
        return chain

    def term(self) -> Node | None:
        token = self.next_word()
        kind, text, pos = token.kind, token.text, token.pos
        if kind == "identifier":
            if text not in self.functions:
                raise self.error(f"function {quote(text)} not defined")
            return Word(pos, "function", text)
        if kind in ("dot", "nil"):
            return Word(pos, kind, text)
        if kind == "variable":
            if text not in self.variables:
                raise self.error(f"undefined variable {quote(text)}")
            return Variable(pos, [text])
        if kind == "field":
            return Field(pos, [text[1:]])
        if kind == "bool":
            return Constant(pos, "bool", text, text == "true")
        if kind in ("charconst", "complex", "number"):
            try:
                return Constant(pos, "number", text, read_number(text, kind))
            except ValueError as problem:
                raise self.error(str(problem)) from None
        if kind == "string":
            return Constant(pos, "string", text, self.string(token))
        if kind == "(":
            return self.pipeline("parenthesized pipeline", ")")
        self.at -= 1
        return None


def is_empty(body: Body) -> bool:
    """Nothing but white space."""
    return all(isinstance(node, Text) and not node.text.strip() for node in body.nodes)
