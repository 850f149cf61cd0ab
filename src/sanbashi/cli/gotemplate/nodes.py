"""The parsed template: nodes that know their place and print themselves as Go does (errors quote them)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Node:
    """A node at byte `pos` of the template's text."""

    __slots__ = ("pos",)

    def __init__(self, pos: int) -> None:
        self.pos = pos


class Text(Node):
    """Text between actions."""

    __slots__ = ("text",)

    def __init__(self, pos: int, text: str) -> None:
        super().__init__(pos)
        self.text = text

    def __str__(self) -> str:
        return self.text


class Word(Node):
    """`.`, `nil`, a function's name, or one of the marks end and else; `kind` says which."""

    __slots__ = ("kind", "name")

    def __init__(self, pos: int, kind: str, name: str) -> None:
        super().__init__(pos)
        self.kind = kind
        self.name = name

    def __str__(self) -> str:
        return self.name


class Constant(Node):
    """A bool, number or string; `text` as written (strings quoted)."""

    __slots__ = ("kind", "text", "value")

    def __init__(self, pos: int, kind: str, text: str, value: "Any") -> None:
        super().__init__(pos)
        self.kind = kind
        self.text = text
        self.value = value

    def __str__(self) -> str:
        return self.text


class Field(Node):
    """`.A.B`: names from the dot."""

    __slots__ = ("names",)

    def __init__(self, pos: int, names: "list[str]") -> None:
        super().__init__(pos)
        self.names = names

    def __str__(self) -> str:
        return "".join("." + name for name in self.names)


class Variable(Node):
    """`$x.A`: a variable and names from it."""

    __slots__ = ("names",)

    def __init__(self, pos: int, names: "list[str]") -> None:
        super().__init__(pos)
        self.names = names

    def __str__(self) -> str:
        return ".".join(self.names)


class Chain(Node):
    """`(pipeline).A.B`: names from what a term gives."""

    __slots__ = ("names", "node")

    def __init__(self, pos: int, node: Node) -> None:
        super().__init__(pos)
        self.node = node
        self.names: list[str] = []

    def __str__(self) -> str:
        inner = f"({self.node})" if isinstance(self.node, Pipe) else str(self.node)
        return inner + "".join("." + name for name in self.names)


class Command(Node):
    """A function or value and its arguments."""

    __slots__ = ("arguments",)

    def __init__(self, pos: int) -> None:
        super().__init__(pos)
        self.arguments: list[Node] = []

    def __str__(self) -> str:
        return " ".join(f"({each})" if isinstance(each, Pipe) else str(each) for each in self.arguments)


class Pipe(Node):
    """Commands, each given the value of the one before; with variables that are declared or assigned."""

    __slots__ = ("assigns", "commands", "line", "variables")

    def __init__(self, pos: int, line: int) -> None:
        super().__init__(pos)
        self.line = line
        self.assigns = False
        self.variables: list[Variable] = []
        self.commands: list[Command] = []

    def __str__(self) -> str:
        declared = ""
        if self.variables:
            declared = ", ".join(map(str, self.variables)) + (" = " if self.assigns else " := ")
        return declared + " | ".join(map(str, self.commands))


class Action(Node):
    """`{{pipeline}}`."""

    __slots__ = ("pipe",)

    def __init__(self, pos: int, pipe: Pipe) -> None:
        super().__init__(pos)
        self.pipe = pipe

    def __str__(self) -> str:
        return "{{" + str(self.pipe) + "}}"


class Body(Node):
    """Nodes in a row."""

    __slots__ = ("nodes",)

    def __init__(self, pos: int) -> None:
        super().__init__(pos)
        self.nodes: list[Node] = []

    def __str__(self) -> str:
        return "".join(map(str, self.nodes))


class Branch(Node):
    """if, with or range, with an else or without."""

    __slots__ = ("body", "kind", "otherwise", "pipe")

    def __init__(self, pos: int, kind: str, pipe: Pipe, body: Body, otherwise: "Body | None") -> None:
        super().__init__(pos)
        self.kind = kind
        self.pipe = pipe
        self.body = body
        self.otherwise = otherwise

    def __str__(self) -> str:
        otherwise = f"{{{{else}}}}{self.otherwise}" if self.otherwise is not None else ""
        return f"{{{{{self.kind} {self.pipe}}}}}{self.body}{otherwise}{{{{end}}}}"


class Jump(Node):
    """break or continue."""

    __slots__ = ("kind",)

    def __init__(self, pos: int, kind: str) -> None:
        super().__init__(pos)
        self.kind = kind

    def __str__(self) -> str:
        return "{{" + self.kind + "}}"


class Call(Node):
    """`{{template "name" pipeline}}`."""

    __slots__ = ("name", "pipe")

    def __init__(self, pos: int, name: str, pipe: "Pipe | None") -> None:
        super().__init__(pos)
        self.name = name
        self.pipe = pipe

    def __str__(self) -> str:
        from sanbashi.cli.gotemplate.text import quote

        return f"{{{{template {quote(self.name)}{' ' + str(self.pipe) if self.pipe else ''}}}}}"
