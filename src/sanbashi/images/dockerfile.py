"""Dockerfiles as values: instructions, stages, the images that they name; enough of the language to say what will be built, not to build it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from ..errors import Invalid
from ..records import dataclass
from .instructions import FLAGS, Instruction, leading_flags, replaced, sources, without_link, words_of

INSTRUCTIONS = frozenset(("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL")).union(
    ("MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")
)
DIRECTIVE = re.compile(r"#\s*([A-Za-z]\w*)\s*=\s*(.+?)\s*")
VARIABLE = re.compile(r"\\(.)|\$(?:\{(\w+)(?::([-+])([^}]*))?\}|(\w+))")
SCRATCH = "scratch"
Wanted = tuple[str, str]  # an image's name and the platform that FROM names, "" where it names none
SHELL = ("/bin/sh", "-c")


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: what it stands on (an image, an earlier stage's name or `scratch`), its own name, its instructions with FROM first."""

    base: str
    name: str
    platform: str
    instructions: tuple[Instruction, ...]

    @property
    def wanted(self) -> Wanted:
        """Its base, where that is an image."""
        return self.base, self.platform


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A whole file up to the stage that is wanted. `head` are the ARG instructions before the first stage."""

    lines: tuple[str, ...]
    head: tuple[Instruction, ...]
    stages: tuple[Stage, ...]

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """All instructions in the order of the file."""
        return (*self.head, *(i for stage in self.stages for i in stage.instructions))

    def stage_named(self, name: str, before: int) -> int | None:
        """The index of an earlier stage by its name or number."""
        if name.isdigit() and int(name) < before:
            return int(name)
        return next((i for i in reversed(range(before)) if self.stages[i].name == name.lower()), None)

    @property
    def last_base(self) -> Wanted:
        """What the last stage stands on in the end: an image, or `scratch`."""
        index: int | None = len(self.stages) - 1
        while index is not None:
            stage = self.stages[index]
            index = self.stage_named(stage.base, index)
        return stage.wanted

    def images(self) -> tuple[Wanted, ...]:
        """The images that it needs, each once, in order."""
        found: list[Wanted] = []
        for index, stage in enumerate(self.stages):
            named = [stage.wanted, *((word, "") for i in stage.instructions for word in sources(i))]
            found += [(n, p) for n, p in named if n != SCRATCH and self.stage_named(n, index) is None]
        return tuple(dict.fromkeys(found))

    def with_images(self, ids: Mapping[Wanted, str], platforms: Mapping[Wanted, str] = {}) -> str:
        """The file's text with every image that it names replaced by its id, and nothing after the last stage.

        `platforms` are the images' own: what a stage makes is for its base's, whatever was asked for.
        """
        lines = list(self.lines[: self.stages[-1].instructions[-1].last])

        def put(instruction: Instruction, text: str) -> None:
            lines[instruction.first : instruction.last] = [text, *[""] * (instruction.last - instruction.first - 1)]

        for index, stage in enumerate(self.stages):
            if stage.base != SCRATCH and self.stage_named(stage.base, index) is None:
                own = f"--platform={platforms[stage.wanted]} " if stage.wanted in platforms else ""
                put(stage.instructions[0], f"FROM {own}{ids[stage.wanted]}" + (f" AS {stage.name}" if stage.name else ""))
            elif stage.platform:
                put(stage.instructions[0], f"FROM {stage.base}" + (f" AS {stage.name}" if stage.name else ""))
            for instruction in stage.instructions[1:]:
                new = without_link(instruction)
                for word in sources(instruction):
                    if self.stage_named(word, index) is None:
                        new = replaced(new, word, ids[word, ""])
                if new is not instruction:
                    put(instruction, new.text)
        return "\n".join(lines) + "\n"

    def shell(self, stage: int, until: Instruction, given: Sequence[str]) -> tuple[str, ...]:
        """The shell that a RUN instruction of a stage uses; `given` is its base image's."""
        found = tuple(given) or SHELL
        for instruction in self.stages[stage].instructions:
            if instruction is until:
                break
            if instruction.name == "SHELL":
                found = words_of(instruction.rest) or found
        return found


@dataclass
class Reader:
    """A Dockerfile being read."""

    lines: Sequence[str]
    escape: str = "\\"
    found: list[Instruction] = field(default_factory=list)

    def read(self) -> list[Instruction]:
        at = self.directives()
        while at < len(self.lines):
            line = self.lines[at].strip()
            if not line or line.startswith("#"):
                at += 1
                continue
            at = self.instruction(at)
        return self.found

    def directives(self) -> int:
        """The parser directives at the top; the line after them."""
        for at, line in enumerate(self.lines):
            match = DIRECTIVE.fullmatch(line.strip())
            if match is None:
                return at
            if match[1].lower() == "escape":
                if match[2] not in ("\\", "`"):
                    raise Invalid(f"dockerfile parse error on line {at + 1}: invalid escape token '{match[2]}' does not match ` or \\")
                self.escape = match[2]
        return len(self.lines)

    def instruction(self, first: int) -> int:
        """One instruction from its first line; the line after it. Comments and empty lines between its lines are left out."""
        parts: list[str] = []
        at = first
        while at < len(self.lines):
            line = self.lines[at]
            at += 1
            if parts and (not line.strip() or line.lstrip().startswith("#")):
                continue
            more = line.rstrip()
            if not more.endswith(self.escape):
                parts.append(line.strip("\r\n") if parts else line.strip())
                break
            parts.append(more.removesuffix(self.escape) if parts else more.removesuffix(self.escape).lstrip())
        text = "".join(parts).strip()
        if not text:
            return at
        word = text.split(maxsplit=1)[0]
        if word.upper() not in INSTRUCTIONS:
            hint = "here-documents are not supported by this builder" if any("<<" in i.text for i in self.found[-1:]) else ""
            raise Invalid(f"dockerfile parse error on line {first + 1}: unknown instruction: {word.upper()}", hint=hint)
        name = word.upper()
        rest = text[len(word) :].strip()
        if not rest and name not in ("CMD", "ENTRYPOINT", "RUN"):
            raise Invalid(f"dockerfile parse error on line {first + 1}: {name} requires at least one argument")
        for flag in leading_flags(rest):
            if flag.removeprefix("--").partition("=")[0] not in FLAGS.get(name, ()):
                raise Invalid(f"dockerfile parse error on line {first + 1}: unknown flag: {flag.partition('=')[0]}")
        self.found.append(Instruction(name, f"{name} {rest}".rstrip(), first, at))
        return at


def parse_dockerfile(text: str, *, target: str = "", arguments: Mapping[str, str] = {}, given: Mapping[str, str] = {}) -> Dockerfile:
    """A Dockerfile up to the stage `target` (all of it where that is ""); `arguments` are the build's, `given` what FROM knows unasked.

    Invalid in Docker's words.
    """
    lines = tuple(text.removeprefix("\ufeff").splitlines())
    instructions = Reader(lines).read()
    if not instructions:
        raise Invalid("file with no instructions")
    head: list[Instruction] = []
    stages: list[Stage] = []
    known = {**given, **{name: arguments[name] for name in given if name in arguments}}
    for instruction in instructions:
        if instruction.name == "FROM":
            stages.append(stage_of(instruction, known))
        elif stages:
            last = stages[-1]
            stages[-1] = Stage(last.base, last.name, last.platform, (*last.instructions, instruction))
        elif instruction.name == "ARG":
            head.append(instruction)
            for name, default in arguments_of(instruction.rest):
                known[name] = arguments.get(name, expand(default, known.get))
        else:
            raise Invalid(f"dockerfile parse error on line {instruction.first + 1}: no build stage in current context")
    if not stages:
        raise Invalid("no build stage in current context")
    found = Dockerfile(lines, tuple(head), tuple(stages))
    if not target:
        return found
    index = next((i for i, stage in enumerate(stages) if stage.name == target.lower()), None)
    if index is None and target.isdigit() and int(target) < len(stages):
        index = int(target)
    if index is None:
        raise Invalid(f'target stage "{target}" could not be found')
    return Dockerfile(lines, tuple(head), tuple(stages[: index + 1]))


def stage_of(instruction: Instruction, known: Mapping[str, str]) -> Stage:
    """A FROM instruction as the beginning of a stage."""
    platform = ""
    words = instruction.rest.split()
    while words and words[0].startswith("--"):
        _, _, value = words.pop(0).partition("=")
        platform = expand(value, known.get)
    if len(words) not in (1, 3) or (len(words) == 3 and words[1].lower() != "as"):
        raise Invalid(f"dockerfile parse error on line {instruction.first + 1}: FROM requires either one or three arguments")
    base = expand(words[0], known.get)
    if not base:
        raise Invalid(f"base name ({words[0]}) should not be blank")
    return Stage(base, words[2].lower() if len(words) == 3 else "", platform, (instruction,))


def arguments_of(text: str) -> list[tuple[str, str]]:
    """`ARG a=1 b="x y"` -> name and default, without its quotes."""
    found = []
    for match in re.finditer(r"(\w+)(?:=(?:\"([^\"]*)\"|'([^']*)'|(\S*)))?", text):
        found.append((match[1], next((g for g in match.groups()[1:] if g is not None), "")))
    return found


def expand(text: str, value: Callable[[str], str | None]) -> str:
    """Shell variables as FROM knows them: $x, ${x}, ${x:-else}, ${x:+then}; unknown ones are empty."""

    def one(match: re.Match[str]) -> str:
        if match[1] is not None:
            return match[1]
        found = value(match[2] or match[5]) or ""
        if match[3] == "-":
            return found or expand(match[4], value)
        if match[3] == "+":
            return expand(match[4], value) if found else ""
        return found

    return VARIABLE.sub(one, text.strip("\"'"))
