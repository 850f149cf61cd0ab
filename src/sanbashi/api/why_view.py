"""An answer to "why" as JSON; docs/why.md has every field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..network.why.stage import Answer, Stage


def why_json(answer: Answer) -> dict[str, Any]:
    """The answer: who asked what, the result, the cause and what else would stop it, every stage."""
    question = answer.question
    return {
        "From": question.source.name,
        "To": question.target.name,
        "Asked": question.asked,
        "Protocol": question.protocol,
        "Port": question.port,
        "Result": str(answer.result),
        "Cause": stage_json(answer.cause) if answer.cause is not None else None,
        "Also": [stage.code.name for stage in answer.also if stage.code is not None],
        "Stages": [stage_json(stage) for stage in answer.stages],
    }


def stage_json(stage: Stage) -> dict[str, Any]:
    """One stage; Code is empty where it is plainly ok."""
    return {
        "Stage": stage.stage,
        "Verdict": str(stage.verdict),
        "Code": stage.code.name if stage.code is not None else "",
        "Sentence": stage.sentence,
        "Object": stage.object,
        "Owner": stage.owner,
        "Fix": stage.fix,
        "Evidence": {"Model": stage.model, "Kernel": stage.kernel, "Probe": stage.probe},
    }
