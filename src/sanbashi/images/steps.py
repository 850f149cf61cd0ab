"""What buildah says of a build, in the words of Docker's classic builder."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import field

from ..records import dataclass
from .dockerfile import Dockerfile, Wanted
from .instructions import Instruction, words_of

STEP = re.compile(r"(?:\[(\d+)/\d+\] )?STEP (\d+)/\d+: (.*)")
CACHED = re.compile(r"--> Using cache ([0-9a-f]{64})")
MADE = re.compile(r"--> ([0-9a-f]{11})")
UNUSED = re.compile(r"\[Warning\] one or more build args were not consumed: \[(.*)\]")
COMMIT = re.compile(r"(?:\[\d+/\d+\] )?COMMIT(?: .*)?")
IMAGE = re.compile(r"[0-9a-f]{64}")
EXIT = re.compile(r"exit status (\d+)\s*$")
OWN = ("Error: ", 'time="', "error running container: ", "container exited on ")
MISSING = re.compile(r'copier: stat: "/?([^"]*)": no such file or directory')
RUNTIME = re.compile(r'msg="(?:runc create failed|container_linux.go:\d+): (.*)"$', re.MULTILINE)
PROXIES = frozenset(f(name) for name in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY") for f in (str.upper, str.lower))
RED, PLAIN = "\x1b[91m", "\x1b[0m"


@dataclass
class Steps:
    """A build being told. `bases` are the ids of the images that stages stand on, `shells` their shells; `labels` is the text of the label
    step, "" where there is none; `given` are the names of the build's arguments. `whole` gives the id of an image that buildah has just made
    from the eleven digits that it prints.

    `out` and `err` take a line of buildah's and give the texts of Docker's stream; `image` is the id of what was built, "" until then.
    """

    file: Dockerfile
    bases: Mapping[Wanted, str]
    shells: Mapping[Wanted, tuple[str, ...]]
    labels: str = ""
    given: Collection[str] = ()
    container: str = ""
    whole: Callable[[str], str] = str
    image: str = ""
    said: list[str] = field(default_factory=list)
    done: int = 0
    stage: int = 0
    current: Instruction | None = None
    running: bool = False  # a RUN that has not been announced
    ids: dict[int, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return len(self.file.instructions) + bool(self.labels)

    def out(self, line: str) -> Iterator[str]:
        """A line of buildah's output, without its end."""
        if match := STEP.fullmatch(line):
            yield from self.step(int(match[1] or 1) - 1, int(match[2]) - 1, match[3])
        elif match := CACHED.fullmatch(line):
            self.running = False
            yield " ---> Using cache\n"
            yield from self.made(match[1][:12])
        elif match := MADE.fullmatch(line):
            yield from self.announced()
            if not self.ids.get(self.stage, "").startswith(match[1]):
                if self.current is not None and self.current.name == "RUN" and self.container:
                    yield f" ---> Removed intermediate container {self.container}\n"
                yield from self.made(self.whole(match[1])[:12])
        elif COMMIT.fullmatch(line):
            yield from self.announced()
        elif match := UNUSED.fullmatch(line):
            # buildah counts those that it gives to every build; Docker's builder leaves the proxies out.
            if left := sorted(set(match[1].split()).intersection(self.given).difference(PROXIES)):
                yield f"[Warning] One or more build-args [{' '.join(left)}] were not consumed\n"
        elif IMAGE.fullmatch(line) and self.done >= self.total:
            self.image = f"sha256:{line}"
        elif not (line.startswith("Successfully tagged ") and self.done >= self.total):
            yield from self.announced()
            yield f"{line}\n"

    def err(self, line: str) -> Iterator[str]:
        """A line of its standard error: a RUN's in red, its own kept for `failure`."""
        if line.startswith(OWN) or (self.said and not line.strip()) or (self.said and line.startswith(": ")):
            self.said.append(line)
        else:
            yield from self.announced()
            yield f"{RED}{line}\n{PLAIN}"

    def step(self, stage: int, index: int, text: str) -> Iterator[str]:
        self.stage = stage
        if not self.done:
            for instruction in self.file.head:
                yield from self.numbered(instruction.text)
        instructions = self.file.stages[stage].instructions
        expected = len(self.file.head) + sum(len(s.instructions) for s in self.file.stages[:stage])
        at = self.done - expected
        self.current = instructions[at] if 0 <= at < len(instructions) else None
        if self.current is not None and self.current.name == text.split(" ", 1)[0].upper():
            yield from self.numbered(self.current.text)
        elif self.labels and at >= len(instructions) and text.startswith("LABEL"):
            yield from self.numbered(self.labels)
        else:  # what the base image has under ONBUILD
            self.current = Instruction(text.split(" ", 1)[0].upper(), text, 0, 0)
            yield "# Executing 1 build trigger\n"
        self.running = self.current is not None and self.current.name == "RUN"
        if index == 0:
            base = self.file.stages[stage]
            earlier = self.file.stage_named(base.base, stage)
            yield from self.made(self.ids.get(earlier, "") if earlier is not None else self.bases.get(base.wanted, "").removeprefix("sha256:")[:12])

    def numbered(self, text: str) -> Iterator[str]:
        self.done += 1
        yield f"Step {self.done}/{self.total} : {text}"
        yield "\n"

    def announced(self) -> Iterator[str]:
        """The line that goes before a RUN's output."""
        if self.running:
            self.running = False
            if self.container:
                yield f" ---> Running in {self.container}\n"

    def made(self, id_: str) -> Iterator[str]:
        self.ids[self.stage] = id_
        yield f" ---> {id_}\n"

    def failure(self, status: int) -> tuple[str, int]:
        """Why it failed, in Docker's words, and the exit code of the RUN that did (0 where none)."""
        said = "\n".join(self.said).strip()
        if self.current is not None and self.current.name == "RUN":
            if match := RUNTIME.search(said):
                cause = match[1].replace('\\"', '"')
                shim = "failed to create shim task: OCI runtime create failed: runc create failed"
                return f"failed to create task for container: {shim}: {cause}: unknown", 0
            if "while running runtime" in said and (match := EXIT.search(said)):
                return f"The command '{self.command(self.current)}' returned a non-zero code: {match[1]}", int(match[1])
        if self.current is not None and (match := MISSING.search(said)):
            where = "file not found in build context or excluded by .dockerignore"
            return f"{self.current.name} failed: {where}: stat {match[1]}: file does not exist", 0
        error = next((line for line in reversed(self.said) if line.startswith("Error: ")), said).removeprefix("Error: ")
        return re.sub(r'^building at STEP "(?:[^"\\]|\\.|"(?!: ))*": ', "", error) or f"the builder ended with status {status}", 0

    def command(self, run: Instruction) -> str:
        """A RUN's command line as Docker shows it."""
        rest = run.rest
        while rest.startswith("--"):
            rest = rest.partition(" ")[2].strip()
        if words := words_of(rest):
            return " ".join(words)
        return " ".join((*self.file.shell(self.stage, run, self.shells.get(self.file.stages[self.stage].wanted, ())), rest))
