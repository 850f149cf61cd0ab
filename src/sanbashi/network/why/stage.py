"""A stage of the answer, and the answer."""

from __future__ import annotations

from ...records import dataclass
from .codes import Code, Result, Verdict
from .facts import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What was looked at, what came of it in one sentence, of which object, whose that is, and the command that mends it.

    `model`, `kernel`, `probe` are the evidence: what we meant, what the kernel has, what a packet did; "" where one says nothing.
    """

    stage: str
    verdict: Verdict
    sentence: str
    code: Code | None = None
    object: str = ""
    owner: str = "sanbashi"
    fix: str = ""
    model: str = ""
    kernel: str = ""
    probe: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The stages in the order of the packet's way; the first stop is the cause."""

    question: Question
    result: Result
    stages: tuple[Stage, ...]

    @property
    def cause(self) -> Stage | None:
        """What decides: the first stop, else the first unknown; None where all is well."""
        for verdict in (Verdict.STOP, Verdict.UNKNOWN):
            if found := next((s for s in self.stages if s.verdict == verdict), None):
                return found if self.result != Result.REACHABLE else None
        return None

    @property
    def also(self) -> tuple[Stage, ...]:
        """The stops after the first, each of which would be the next cause."""
        return tuple(s for s in self.stages if s.verdict == Verdict.STOP)[1:]


def ok(stage: str, sentence: str, **more: str) -> Stage:
    return Stage(stage=stage, verdict=Verdict.OK, sentence=sentence, **more)  # type: ignore[arg-type]


def warn(stage: str, code: Code, sentence: str, **more: str) -> Stage:
    return Stage(stage=stage, verdict=Verdict.WARN, code=code, sentence=sentence, **more)


def stop(stage: str, code: Code, sentence: str, **more: str) -> Stage:
    return Stage(stage=stage, verdict=Verdict.STOP, code=code, sentence=sentence, **more)


def skipped(stage: str, sentence: str, code: Code | None = None) -> Stage:
    return Stage(stage=stage, verdict=Verdict.SKIPPED, code=code, sentence=sentence)


def unknown(stage: str, code: Code, sentence: str, **more: str) -> Stage:
    return Stage(stage=stage, verdict=Verdict.UNKNOWN, code=code, sentence=sentence, **more)
