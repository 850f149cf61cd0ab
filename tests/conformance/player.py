"""Play a recording of Docker (JSON lines: section, command, exit, stdout, stderr) against an engine, and say where it differs.

Compared are exit codes, and output after what the host or chance decides has been given a name. What may differ stands in known.toml.
"""

from __future__ import annotations

import difflib
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness import Engine

HERE = Path(__file__).resolve().parent

# What the host decides, what is drawn by lot and what the clock says, and the name that it is given.
NAMES = [
    (r"sha256:[0-9a-f]{64}", "DIGEST"),
    (r"\b[0-9a-f]{64}\b", "ID64"),
    (r"\bbr-[0-9a-f]{12}\b", "br-ID12"),
    (r"\bveth[0-9a-f]+\b", "VETH"),
    (r"\b[0-9a-f]{12}\b", "ID12"),
    (r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", "MAC"),
    (r"fd[0-9a-f]{2}:[0-9a-f:]+(?=/|\b)", "ULA"),
    (r"fe80::[0-9a-f:]+", "LINKLOCAL"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(?:Z|[+-]\d\d:\d\d)", "TIME"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]* [+-]\d{4} \w+", "TIME"),
    (r"time[=<] ?[\d.]+ ?ms", "time=T"),
    (r"time \d+ms", "time T"),
    (r"seq=\d+", "seq=N"),
    (r"rtt min/avg/max/mdev = \S+ ms", "rtt RTT"),
    (r"round-trip min/avg/max = \S+ ms", "rtt RTT"),
    (r"(?:Less than a second|About a minute|About an hour|\d+ (?:second|minute|hour|day|week|month|year)s?) ago", "AGO"),
    (r"Up (?:Less than a second|About a minute|\d+ \w+)", "Up AGO"),
    (r"@if\d+", "@ifN"),
    (r"(?m)^\d+: (?=\w)", "N: "),
    (r"id: \d+", "id: N"),
    (r"endpoint [a-z]+_[a-z]+ \(", "endpoint NAME ("),
    (r'"(?:/[\w.-]+)+?/(netns|containers)/', r'"ROOT/\1/'),
    (r'"Pid": \d+', '"Pid": N'),
    (r"[ \t]+", " "),
    (r"(?m) +$", ""),
]
# An older CLI puts a full stop behind what the engine says.
SAID_BY_ENGINE = re.compile(r"Error response from daemon: (.*?)\.?$", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """One command of a recording and what Docker gave."""

    section: str
    command: str
    exit: int
    output: str
    number: int


@dataclass(frozen=True)
class Difference:
    """A case that came out otherwise; `lines` is the difference, exit codes first."""

    case: Case
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([f"[{self.case.section}] {self.case.command}", *(f"    {line}" for line in self.lines)])


@dataclass(frozen=True)
class Known:
    """A difference that is meant, or not mended yet. `cli`: of that CLI alone ("docker-20.10", "sanbashi"); `chance`: now and then."""

    recording: str
    command: str
    reason: str
    cli: str = ""
    chance: bool = False


def cases(recording: str) -> Iterator[Case]:
    """The cases of tests/conformance/RECORDING.jsonl, in order."""
    for number, line in enumerate((HERE / f"{recording}.jsonl").read_text(encoding="utf-8").splitlines()):
        said: dict[str, Any] = json.loads(line)
        yield Case(said["section"], said["command"], said["exit"], said["stdout"] + "\n" + said["stderr"], number)


def known() -> tuple[Known, ...]:
    """Every row of known.toml; a row may name several commands."""
    rows = tomllib.loads((HERE / "known.toml").read_text(encoding="utf-8")).get("difference", [])
    return tuple(
        Known(row["recording"], command, row["reason"], row.get("cli", ""), row.get("chance", False)) for row in rows for command in row["commands"]
    )


def plain(text: str) -> str:
    """A text with names in the place of what is not ours to decide."""
    for pattern, name in NAMES:
        text = re.sub(pattern, name, text)
    return text.strip()


def without_hints(want: str, have: str) -> str:
    """What our CLI printed, less the lines that it adds below an error: what the user can do about it."""
    wanted = want.split("\n")
    lines = have.split("\n")
    errors = [number for number, line in enumerate(lines) if "Error response from daemon" in line]
    return "\n".join(line for number, line in enumerate(lines) if line in wanted or number - 1 not in errors).strip()


def play(engine: Engine, recording: str, cli: str, *, exact: bool) -> Iterator[Difference]:
    """Run every case in order and give the ones that differ. `cli` is a program; `exact` compares every byte, else the engine's own words alone."""
    name = Path(cli).name
    for case in cases(recording):
        # Both spellings, so that a command in a substitution runs the same program.
        line = f'docker() {{ "{cli}" "$@"; }}; export -f docker; {case.command}'
        try:
            done = engine.shell(line, check=False, timeout=120)
            code, output = done.exit, done.stdout + "\n" + done.stderr
        except subprocess.TimeoutExpired:
            code, output = -1, "timed out"
        if name != "docker":
            output = re.sub(rf"\b{name}(?=: |\b run\b|\b \w+ --help)", "docker", output)
        want, have = plain(case.output), plain(output)
        if not exact:
            want, have = ("\n".join(SAID_BY_ENGINE.findall(text)) for text in (want, have))
            have = have or want  # an older CLI has words of its own for what it has not found
        elif name == "sanbashi" and code and code == case.exit:
            have = without_hints(want, have)
        # busybox asks A and AAAA at once, containers are listed in the order of their random ids and networks pruned in that of a Go map: the order
        # of the lines is chance.
        if any(words in case.command for words in ("nslookup", "network inspect", "network prune")):
            want, have = ("\n".join(sorted(line.rstrip(",") for line in text.split("\n") if line)) for text in (want, have))
        lines = [f"exit {case.exit} was recorded, {code} came"] if code != case.exit else []
        if want != have:
            changes = difflib.unified_diff(want.split("\n"), have.split("\n"), "recorded", "came", lineterm="", n=0)
            lines += [change for change in changes if not change.startswith(("---", "+++", "@@"))]
        if lines:
            yield Difference(case, tuple(lines))
