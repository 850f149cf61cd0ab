"""Carrying a parsed template out, with the reach and the error texts of Go's text/template/exec."""

from sanbashi.cli.gotemplate.functions import CallError, empty_of
from sanbashi.cli.gotemplate.nodes import Action, Body, Branch, Call, Chain, Command, Constant, Field, Jump, Node, Pipe, Text, Variable, Word
from sanbashi.cli.gotemplate.numbers import TooBig
from sanbashi.cli.gotemplate.parser import TemplateError
from sanbashi.cli.gotemplate.printing import printed, show
from sanbashi.cli.gotemplate.text import quote
from sanbashi.cli.gotemplate.values import (
    Boxed,
    Function,
    Header,
    Instant,
    Map,
    Methods,
    Nil,
    Slice,
    Struct,
    truth,
    type_name,
    unbox,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_DEPTH = 200  # templates that call themselves; Go allows 100,000, Python's stack does not


class Break(Exception):
    """Leaves the innermost range."""


class Continue(Exception):
    """Goes on with the next element."""


class Missing:
    """The mark for an argument that no pipeline handed on."""


MISSING = Missing()


class Evaluator:
    """One execution: where output goes, the variables in sight, the node being looked at (errors name it)."""

    def __init__(self, name: str, text: str, templates: "dict[str, Body]", functions: "dict[str, Function]", strict: bool) -> None:
        self.name = name
        self.text = text
        self.templates = templates
        self.functions = functions
        self.strict = strict
        self.template = name
        self.out: list[str] = []
        self.variables: list[tuple[str, Any]] = []
        self.node: Node | None = None
        self.depth = 0

    def run(self, data: "Any") -> str:
        """The whole output."""
        self.variables = [("$", data)]
        self.walk(data, self.templates[self.name])
        return "".join(self.out)

    def error(self, message: str) -> TemplateError:
        """The error at the present node, with line and column (bytes)."""
        if self.node is None:
            return TemplateError(f"template: {self.name}: {message}")
        before = self.text[: self.node.pos]
        line = 1 + before.count("\n")
        column = len(before.rpartition("\n")[2].encode())
        place = f"{self.name}:{line}:{column}"
        return TemplateError(f"template: {place}: executing {quote(self.template)} at <{self.node}>: {message}")

    # statements

    def walk(self, dot: "Any", node: Node) -> None:
        """One node."""
        self.node = node
        if isinstance(node, Text):
            self.out.append(node.text)
        elif isinstance(node, Action):
            value = self.pipeline(dot, node.pipe)
            if not node.pipe.variables:
                self.print(node, value)
        elif isinstance(node, Body):
            for each in node.nodes:
                self.walk(dot, each)
        elif isinstance(node, Branch):
            mark = len(self.variables)
            if node.kind == "range":
                self.walk_range(dot, node)
            else:
                self.walk_branch(dot, node)
            del self.variables[mark:]
        elif isinstance(node, Call):
            self.walk_call(dot, node)
        elif isinstance(node, Jump):
            raise Break if node.kind == "break" else Continue

    def print(self, node: Node, value: "Any") -> None:
        self.node = node
        text = printed(value)
        if text is None:
            raise self.error(f"can't print {node} of type {type_name(value)}")
        self.out.append(text)

    def walk_branch(self, dot: "Any", node: Branch) -> None:
        value = self.pipeline(dot, node.pipe)
        if truth(value):
            self.walk(value if node.kind == "with" else dot, node.body)
        elif node.otherwise is not None:
            self.walk(dot, node.otherwise)

    def walk_range(self, dot: "Any", node: Branch) -> None:
        elements = self.elements(unbox(self.pipeline(dot, node.pipe)), node)
        mark = len(self.variables)
        for key, element in elements:
            self.bind(node.pipe, key, element)
            try:
                self.walk(element, node.body)
            except Continue:
                pass
            except Break:
                return
            del self.variables[mark:]
        if not elements and node.otherwise is not None:
            self.walk(dot, node.otherwise)

    def elements(self, value: "Any", node: Branch) -> "list[tuple[Any, Any]]":
        """What a range goes over: places and elements, sorted keys and values, or 0 to n-1."""
        if value is None:
            return []
        if isinstance(value, dict):
            plain = not isinstance(value, Map | Header)
            return [(key, Boxed(value[key]) if plain else value[key]) for key in sorted(value)]
        if isinstance(value, list):
            plain = not isinstance(value, Slice)
            return [(place, Boxed(element) if plain else element) for place, element in enumerate(value)]
        if isinstance(value, int) and not isinstance(value, bool):
            if len(node.pipe.variables) > 1:
                raise self.error(f"can't use {value} to iterate over more than one variable")
            return [(None, number) for number in range(value)]
        raise self.error(f"range can't iterate over {show(value)}")

    def bind(self, pipe: Pipe, key: "Any", element: "Any") -> None:
        names = [each.names[0] for each in pipe.variables]
        if not names:
            return
        if pipe.assigns:
            values = [element] if len(names) == 1 else [key, element]
            for name, value in zip(names, values, strict=True):
                self.assign(name, value)
            return
        self.variables[-1] = (self.variables[-1][0], element)
        if len(names) > 1:
            self.variables[-2] = (self.variables[-2][0], key)

    def walk_call(self, dot: "Any", node: Call) -> None:
        body = self.templates.get(node.name)
        if body is None:
            raise self.error(f"template {quote(node.name)} not defined")
        if self.depth >= MAX_DEPTH:
            raise self.error(f"exceeded maximum template depth ({MAX_DEPTH})")
        value = self.pipeline(dot, node.pipe) if node.pipe is not None else None
        saved, name = self.variables, self.template
        self.variables, self.template, self.depth = [("$", value)], node.name, self.depth + 1
        self.walk(value, body)
        self.variables, self.template, self.depth = saved, name, self.depth - 1

    def assign(self, name: str, value: "Any") -> None:
        for place in range(len(self.variables) - 1, -1, -1):
            if self.variables[place][0] == name:
                self.variables[place] = (name, value)
                return
        raise self.error(f"undefined variable: {name}")

    # expressions

    def pipeline(self, dot: "Any", pipe: Pipe) -> "Any":
        self.node = pipe
        value: Any = MISSING
        for command in pipe.commands:
            value = unbox(self.command(dot, command, value))
        for variable in pipe.variables:
            if pipe.assigns:
                self.assign(variable.names[0], value)
            else:
                self.variables.append((variable.names[0], value))
        return value

    def command(self, dot: "Any", command: Command, final: "Any") -> "Any":
        first = command.arguments[0]
        if isinstance(first, Field | Chain | Variable):
            return self.names(dot, first, command.arguments, final)
        if isinstance(first, Word) and first.kind == "function":
            return self.function(dot, first, command.arguments, final, command)
        if isinstance(first, Pipe):
            self.refuse_arguments(command.arguments, final)
            return self.pipeline(dot, first)
        self.node = first
        self.refuse_arguments(command.arguments, final)
        if isinstance(first, Constant):
            return self.constant(first)
        if isinstance(first, Word) and first.kind == "dot":
            return dot
        raise self.error("nil is not a command")

    def refuse_arguments(self, arguments: "list[Node]", final: "Any") -> None:
        if len(arguments) > 1 or final is not MISSING:
            raise self.error(f"can't give argument to non-function {arguments[0]}")

    def constant(self, node: Constant) -> "Any":
        self.node = node
        if isinstance(node.value, TooBig):
            raise self.error(f"{node.text} overflows int")
        return node.value

    def names(self, dot: "Any", node: Field | Chain | Variable, arguments: "list[Node]", final: "Any") -> "Any":
        """`.A.B`, `$x.A`, `(...).A`: field after field; the last takes the arguments."""
        self.node = node
        names = node.names
        value = dot
        if isinstance(node, Chain):
            if isinstance(node.node, Word) and node.node.kind == "nil":
                raise self.error(f"indirection through explicit nil in {node}")
            value = self.argument(dot, "any", node.node)
        elif isinstance(node, Variable):
            value = self.variable(names[0])
            names = names[1:]
            if not names:
                self.refuse_arguments(arguments, final)
                return value
        for place, name in enumerate(names):
            last = place == len(names) - 1
            value = self.field(dot, name, node, arguments if last else [], final if last else MISSING, value)
        return value

    def variable(self, name: str) -> "Any":
        for known, value in reversed(self.variables):
            if known == name:
                return value
        raise self.error(f"undefined variable: {name}")

    def field(self, dot: "Any", name: str, node: Node, arguments: "list[Node]", final: "Any", receiver: "Any") -> "Any":
        """One step: a method, a field of a struct, an entry of a map."""
        if receiver is None:
            if self.strict:
                raise self.error(f"nil data; no entry for key {quote(name)}")
            return None
        of_type = type_name(receiver)
        receiver = unbox(receiver)
        if receiver is None:
            raise self.error(f"nil pointer evaluating {of_type}.{name}")
        method = self.method(receiver, name)
        if method is not None:
            return self.invoke(dot, method, node, name, arguments[1:], final)
        has_arguments = len(arguments) > 1 or final is not MISSING
        if isinstance(receiver, Struct) and name in receiver.fields:
            if has_arguments:
                raise self.error(f"{name} has arguments but cannot be invoked as function")
            return receiver.fields[name]
        if isinstance(receiver, dict) and not (isinstance(receiver, Map) and receiver.key != "string"):
            if has_arguments:
                raise self.error(f"{name} is not a method but has arguments")
            if name in receiver:
                return receiver[name] if isinstance(receiver, Map | Header) else Boxed(receiver[name])
            if self.strict:
                raise self.error(f"map has no entry for key {quote(name)}")
            return None
        if isinstance(receiver, Nil):
            raise self.error(f"nil pointer evaluating {of_type}.{name}")
        raise self.error(f"can't evaluate field {name} in type {of_type}")

    def method(self, receiver: "Any", name: str) -> "Function | None":
        if isinstance(receiver, Methods):
            if name in receiver.columns:
                return Function(lambda: receiver.column(name))
            return Function(receiver.label, "string") if name == "Label" else None
        if isinstance(receiver, Header):
            return Function(header_label, "string") if name == "Label" else None
        if isinstance(receiver, Instant):
            from sanbashi.cli.gotemplate.instants import instant_method

            return instant_method(receiver, name)
        return None

    def function(self, dot: "Any", node: Word, arguments: "list[Node]", final: "Any", whole: Node) -> "Any":
        self.node = node
        return self.invoke(dot, self.functions[node.name], whole, node.name, arguments[1:], final, command=True)

    def invoke(self, dot: "Any", function: Function, node: Node, name: str, arguments: "list[Node]", final: "Any", *, command: bool = False) -> "Any":
        parameters = function.parameters
        variadic = bool(parameters) and parameters[-1].startswith("...")
        count = len(arguments) + (final is not MISSING)
        if variadic and count < len(parameters) - 1:
            raise self.error(f"wrong number of args for {name}: want at least {len(parameters) - 1} got {len(arguments)}")
        if not variadic and count != len(parameters):
            raise self.error(f"wrong number of args for {name}: want {len(parameters)} got {count}")
        types = [parameters[-1][3:] if variadic and place >= len(parameters) - 1 else parameters[place].removeprefix("...") for place in range(count)]
        if command and name in ("and", "or"):
            value: Any = None
            for each in arguments:
                value = self.argument(dot, "value", each)
                if truth(value) == (name == "or"):
                    return value
            return value if final is MISSING else final
        values = [self.argument(dot, type, each) for type, each in zip(types, arguments, strict=False)]
        if final is not MISSING:
            values.append(self.checked(final, types[-1]))
        if command and name == "call":
            return self.call_value(node, arguments, values)
        try:
            return function.call(*values)
        except CallError as problem:
            self.node = node
            raise self.error(f"error calling {name}: {problem}") from None

    def call_value(self, node: Node, arguments: "list[Node]", values: "list[Any]") -> "Any":
        self.node = node
        if not values:
            raise self.error("wrong number of args for call: want at least 1 got 0")
        function = unbox(values[0])
        if function is None:
            raise self.error("error calling call: call of nil")
        if not isinstance(function, Function):
            raise self.error(f"error calling call: non-function {arguments[0] if arguments else node} of type {type_name(function)}")
        return function.call(*values[1:])

    def argument(self, dot: "Any", type: str, node: Node) -> "Any":
        """An argument as a function's parameter wants it."""
        self.node = node
        if isinstance(node, Word):
            if node.kind == "dot":
                return self.checked(dot, type)
            if node.kind == "nil":
                if type in ("any", "value") or type.startswith(("[]", "map[")):
                    return empty_of(type)
                raise self.error(f"cannot assign nil to {type}")
            return self.checked(self.function(dot, node, [node], MISSING, node), type)
        if isinstance(node, Field | Chain | Variable):
            return self.checked(self.names(dot, node, [node], MISSING), type)
        if isinstance(node, Pipe):
            return self.checked(self.pipeline(dot, node), type)
        if not isinstance(node, Constant):
            raise self.error(f"can't handle {node} for arg of type {type}")
        value = node.value
        if type in ("any", "value"):
            return self.constant(node)
        if type == "string" and node.kind == "string":
            return value
        if type == "int" and isinstance(value, int) and not isinstance(value, bool):
            return self.constant(node)
        if type in _EXPECTED:
            raise self.error(f"expected {_EXPECTED[type]}; found {node}")
        raise self.error(f"can't handle {node} for arg of type {type}")

    def checked(self, value: "Any", type: str) -> "Any":
        """The value if it may be assigned to the type."""
        if type in ("any", "value"):
            return value
        if value is None:
            if type.startswith(("[]", "map[")):
                return empty_of(type)
            raise self.error(f"invalid value; expected {type}")
        inner = unbox(value)
        if type_name(inner) == type:
            return inner
        if isinstance(inner, Nil) and inner.type == "*" + type:
            raise self.error(f"dereference of nil pointer of type {inner.type}")
        raise self.error(f"wrong type for value; expected {type}; got {type_name(inner if inner is not None else value)}")


_EXPECTED = {"string": "string", "int": "integer", "bool": "bool", "float": "float"}


def header_label(name: str) -> str:
    """The heading of a label's column: the last part of its name with spaces for dashes."""
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")
