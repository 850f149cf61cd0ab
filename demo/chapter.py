"""The chapter as data: sections, steps, and the facts that the output of a step must show; read from chapter.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Where = Literal["host", "neighbour", "terminal"]
NAME = re.compile(r"<<(\w+)>>")


@dataclass(frozen=True)
class Fact:
    """Something that the output must show, in our words, and the pattern by which it is seen (`absent`: by which it is not seen)."""

    says: str
    pattern: str
    absent: bool = False

    def holds(self, output: str, names: Mapping[str, str]) -> bool:
        """Whether it holds for an output; <<name>> in the pattern is what an earlier step remembered."""
        seen = re.search(fill(self.pattern, names, quote=True), output, re.MULTILINE) is not None
        return seen != self.absent


@dataclass(frozen=True)
class Step:
    """One command of the chapter. `where`: on the host, on a neighbouring host, or typed at the prompt of the terminal that is open.

    `opens`: the command starts a terminal, `closes`: it ends it. `exit`: the status that must come (None: any). `needs`: "mirror" for a step
    that wants Debian's mirror. `size`: rows and columns that the terminal is set to first. `cli`: the step is for this CLI alone.
    """

    command: str
    facts: tuple[Fact, ...]
    where: Where = "host"
    opens: bool = False
    closes: bool = False
    exit: int | None = 0
    needs: str = ""
    cli: str = ""
    size: tuple[int, int] | None = None
    remember: Mapping[str, str] = field(default_factory=dict)
    patience: float = 60


@dataclass(frozen=True)
class Section:
    title: str
    steps: tuple[Step, ...]


def fill(text: str, names: Mapping[str, str], *, quote: bool = False) -> str:
    """Put remembered values in the place of <<name>>; KeyError for a name that no step remembered."""
    return NAME.sub(lambda found: re.escape(names[found[1]]) if quote else names[found[1]], text)


def read_chapter(path: Path) -> tuple[Section, ...]:
    """The sections of a chapter file; ValueError names the step that is not understood."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    return tuple(Section(s["title"], tuple(read_step(step) for step in s["step"])) for s in document["section"])


def read_step(said: Mapping[str, Any]) -> Step:
    """One [[section.step]] table. `shows` and `lacks` map a sentence to a pattern."""
    known = {"command", "shows", "lacks", "where", "opens", "closes", "exit", "needs", "cli", "size", "remember", "patience"}
    if unknown := said.keys() - known:
        raise ValueError(f"step {said.get('command')!r}: unknown {', '.join(sorted(unknown))}")
    facts = [Fact(words, pattern) for words, pattern in said.get("shows", {}).items()]
    facts += [Fact(words, pattern, absent=True) for words, pattern in said.get("lacks", {}).items()]
    if not facts:
        raise ValueError(f"step {said.get('command')!r} shows nothing")
    size = said.get("size")
    status = said.get("exit", 0)
    return Step(
        command=said["command"],
        facts=tuple(facts),
        where=said.get("where", "host"),
        opens=said.get("opens", False),
        closes=said.get("closes", False),
        exit=None if status == "any" else status,
        needs=said.get("needs", ""),
        cli=said.get("cli", ""),
        size=(size[0], size[1]) if size else None,
        remember=said.get("remember", {}),
        patience=said.get("patience", 60),
    )
