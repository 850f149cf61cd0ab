"""The answer: every stage in the order of a packet's way, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .arrival import listener, probe
from .barriers import connections, drift, firewall
from .codes import Result, Verdict
from .facts import Facts
from .parties import names, running
from .path import Kind, Path
from .policy import policy
from .stage import Answer, Stage
from .ways import forwarding, links, reply, route, settings

# The order in which people look, netshoot's: who runs, the name, the address and route, the links, what networks let pass, the host, the listener.
STAGES: Sequence[Callable[[Path, Facts], Iterator[Stage]]] = (
    running,
    names,
    policy,
    route,
    links,
    settings,
    forwarding,
    firewall,
    drift,
    connections,
    listener,
    reply,
)


def explain(path: Path, facts: Facts) -> Answer:
    """Why the source of a path does or does not reach its target."""
    ends = tuple(running(path, facts))
    if any(s.verdict is Verdict.STOP for s in ends):
        # Without a network of its own an end has nothing to be looked at but its name.
        found = (*ends, *names(path, facts))
        return Answer(question=path.question, result=Result.BLOCKED, stages=found)
    if path.address is None and path.kind is Kind.OUT:
        found = (*ends, *names(path, facts))  # a name that leads nowhere: there is no way to look at
        return Answer(question=path.question, result=result(found, facts), stages=found)
    found = tuple(stage for each in STAGES for stage in each(path, facts))
    stages = (*found, *probe(path, facts, found))
    return Answer(question=path.question, result=result(stages, facts), stages=stages)


def result(stages: Sequence[Stage], facts: Facts) -> Result:
    """A stop blocks; what is not understood leaves it open, unless a real packet has settled it."""
    verdicts = {s.verdict for s in stages}
    probed = facts.probe.outcome if facts.probe is not None else ""
    disagrees = bool(stages) and stages[-1].stage == "probe" and stages[-1].verdict is Verdict.UNKNOWN
    if disagrees:
        return Result.UNKNOWN
    if Verdict.STOP in verdicts:
        return Result.BLOCKED
    if Verdict.UNKNOWN in verdicts:
        return Result.REACHABLE if probed == "answered" else Result.BLOCKED if probed in ("refused", "unreachable") else Result.UNKNOWN
    return Result.REACHABLE
