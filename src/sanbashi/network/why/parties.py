"""The two ends: do they run, and what does the name lead to."""

from __future__ import annotations

from collections.abc import Iterator

from ..zones import has_names
from .codes import Code
from .facts import Facts, Party
from .path import Kind, Path, address_of
from .stage import Stage, ok, skipped, stop, warn


def running(path: Path, facts: Facts) -> Iterator[Stage]:
    """Source and target: running, with a network."""
    yield from end("source", path.question.source, path)
    yield from end("target", path.question.target, path)
    if path.kind is Kind.NOWHERE and all(p.runs and (p.kind != "container" or p.endpoints) for p in (path.question.source, path.question.target)):
        yield apart(path)


def apart(path: Path) -> Stage:
    """Two ends that have no family of addresses in common."""
    source, target, address = path.question.source, path.question.target, path.question.address
    family = f"IPv{address.version}" if address is not None else "common"
    lacking = source if source.kind == "container" else target
    if address is None:
        sentence = f"{source.name} and {target.name} have no family of addresses in common"
    else:
        sentence = f"{lacking.name} has no {family} address, and {address} is one"
    return stop("address", Code.NO_NETWORK, sentence, object=lacking.name, model=", ".join(map(words, (source, target))))


def words(party: Party) -> str:
    """What addresses an end has."""
    own = [str(a) for e in party.endpoints for v in (4, 6) if (a := address_of(e, v)) is not None]
    return f"{party.name} has {', '.join(own) or 'no address'}"


def end(stage: str, party: Party, path: Path) -> Iterator[Stage]:
    name = party.name
    if party.kind != "container":
        yield ok(stage, f"{name} is asked" if stage == "target" else f"{name} asks", object=name, owner="")
        return
    if not party.runs:
        yield stop(
            stage,
            Code.CONTAINER_NOT_RUNNING,
            f"{name} does not run ({party.status}), and has no network",
            object=name,
            fix=f"sanbashi start {name}",
            model=f"status {party.status}",
        )
        return
    if party.status == "paused":
        sentence = f"{name} is paused: " + ("it asks nothing" if stage == "source" else "its kernel takes connections, and nobody answers them")
        made = stop if stage == "source" else warn
        yield made(stage, Code.CONTAINER_PAUSED, sentence, object=name, fix=f"sanbashi unpause {name}", model="status paused")
        return
    if path.kind is not Kind.INSIDE and party.mode != "host" and not party.endpoints:
        joins = "it was run with --network none" if party.mode == "none" else "it is connected to no network"
        fix = "" if party.mode == "none" else f"sanbashi network connect {network_to_join(path)} {name}"
        yield stop(stage, Code.NO_NETWORK, f"{name} has its loopback alone: {joins}", object=name, fix=fix, model=f"mode {party.mode}, no endpoint")
        return
    where = f" in the network of {party.joined}" if party.joined else " in the host's network" if party.mode == "host" else ""
    yield ok(stage, f"{name} is running{where}", object=name, model=f"status {party.status}, mode {party.mode}")


def network_to_join(path: Path) -> str:
    """A network of the other end, that an end without one may join."""
    for party in (path.question.target, path.question.source):
        for endpoint in party.endpoints:
            return path.state.networks[endpoint.network_id].name
    return "bridge"


def names(path: Path, facts: Facts) -> Iterator[Stage]:
    """What the asking container is told of the name that was typed."""
    question, answer = path.question, facts.name
    source, target = question.source, question.target
    asked, told = question.asked, "" if answer is None else ", ".join(map(str, answer.addresses)) or answer.outcome
    if path.kind is Kind.INSIDE and (answer is None or answer.outcome != "ok"):
        yield ok("name", f"{source.name} and {target.name} share one network: it is asked at its own addresses", object=asked)
        return
    if source.kind != "container" or answer is None:
        if source.kind == "container" and target.kind == "container" and question.asked == target.name and source.runs:
            yield skipped("name", f"{asked} is taken for the container of this name: nobody was asked")
        return
    kernel = f"{answer.by}: {told}"
    if answer.outcome == "ok":
        own = {a for e in target.endpoints for v in (4, 6) if (a := address_of(e, v)) is not None}
        if target.kind == "container" and target.endpoints and not own & set(answer.addresses):
            yield stop(
                "name",
                Code.DNS_OTHER_ADDRESS,
                f"{asked} leads {source.name} to {told}, which {target.name} does not have: it has {', '.join(map(str, sorted(own, key=str)))}",
                object=asked,
                owner=answer.by,
                kernel=kernel,
                model=f"{target.name} has {', '.join(map(str, sorted(own, key=str)))}",
                fix=f"sanbashi exec {source.name} cat /etc/hosts",
            )
            return
        yield ok("name", f"{asked} is {told}", object=asked, owner=answer.by, kernel=kernel)
        return
    if not target.container:
        code = {"nxdomain": Code.DNS_NXDOMAIN, "timeout": Code.DNS_TIMEOUT}.get(answer.outcome, Code.DNS_FAILED)
        sentence = {"nxdomain": f"nobody knows the name {asked}", "timeout": f"no name server told {source.name} of {asked} in time"}.get(
            answer.outcome, f"the name servers of {source.name} cannot tell of {asked}"
        )
        fix = "sanbashi ps --format '{{.Names}}'" if code is Code.DNS_NXDOMAIN else f"sanbashi exec {source.name} cat /etc/resolv.conf"
        yield stop("name", code, sentence, object=asked, owner=answer.by, kernel=kernel, fix=fix)
        return
    yield from unheard(path, kernel)


def unheard(path: Path, kernel: str) -> Iterator[Stage]:
    """A container whose name the asking one does not get to know; its address may be reached all the same."""
    source, target, asked = path.question.source, path.question.target, path.question.asked
    networks = path.state.networks
    if target.kind != "container":
        sentence = f"{asked} is in the host's network, where containers have no names for others: the host's address {path.asked} is taken"
        yield warn("name", Code.DNS_NO_NAMES_HERE, sentence, object=asked, kernel=kernel)
        return
    mine = {e.network_id for e in source.endpoints}
    shared = [networks[e.network_id] for e in target.endpoints if e.network_id in mine]
    using = f"its address {path.address} is taken" if path.address is not None else "it has no address either"
    if any(not has_names(n) for n in shared) and not any(map(has_names, shared)):
        yield warn(
            "name",
            Code.DNS_NO_NAMES_HERE,
            f"{asked} has no name on network {shared[0].name}, the default one: {using}",
            object=asked,
            kernel=kernel,
            fix=f"sanbashi network create app && sanbashi network connect app {source.name} && sanbashi network connect app {target.name}",
        )
        return
    theirs = [networks[e.network_id].name for e in target.endpoints]
    if shared or not theirs:
        yield warn("name", Code.DNS_NXDOMAIN, f"{source.name} is told of no {asked}: {using}", object=asked, kernel=kernel)
        return
    yield warn(
        "name",
        Code.DNS_NAME_NOT_ON_SHARED_NETWORK,
        f"{asked} is known on {' and '.join(theirs)}, where {source.name} is not: {using}",
        object=asked,
        kernel=kernel,
        fix=f"sanbashi network connect {theirs[0]} {source.name}",
    )
