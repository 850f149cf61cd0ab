"""What is published of a target, for whom."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import Endpoint
from ..spelling import bracketed
from .codes import Code
from .path import Kind, Path, entering_verdict
from .stage import Stage, ok, stop, warn


def opened(path: Path, endpoint: Endpoint) -> bool:
    """Whether a port may be reached untranslated."""
    return any(
        p.protocol == path.question.protocol
        and 0 <= path.port - p.container_port < p.count
        and (path.facts.direct_routing if p.host_port else not p.host_ip.is_loopback)
        for p in endpoint.ports
    )


def published(path: Path) -> Iterator[Stage]:
    """By a published port of the host."""
    network, binding = path.target_network, path.binding
    assert network is not None and path.go is not None
    verdict, target = entering_verdict(path.state, path.go), path.question.target
    model = f"into {network.name}: {verdict}" if verdict else f"{network.name} is on a link of the host's ({network.driver})"
    if path.kind is Kind.DIRECT:
        if not verdict or verdict == "accept" or opened(path, path.go) or path.question.protocol == "icmp":
            yield ok("published", f"{target.name} is reached at its own address {path.address}", object=target.name, model=model)
        else:
            yield not_published(path, model)
        return
    if verdict == "drop":
        sentence = f"nothing comes into network {network.name}: it is internal"
        fix = f"sanbashi network connect bridge {target.name}"
        yield stop("published", Code.INTERNAL_NETWORK, sentence, object=network.name, model=model, fix=fix)
        return
    if binding is None:
        yield not_published(path, model)
        return
    place = f"{bracketed(binding.host_ip)}:{binding.host_port}/{binding.protocol}"
    model += f"; {place} -> {path.address}:{binding.container_port}"
    if binding.host_ip.is_loopback and path.question.source.kind == "outside":
        yield stop(
            "published",
            Code.PUBLISHED_ON_LOOPBACK_ONLY,
            f"port {path.port}/{binding.protocol} of {target.name} is published on {binding.host_ip}, for the host itself alone",
            object=place,
            fix=f"sanbashi port publish {target.name} {spec(path, binding.host_port)}",
            model=model,
        )
    elif not binding.host_ip.is_unspecified and path.question.source.kind == "outside":
        sentence = f"published on {binding.host_ip} alone: at other addresses of the host nobody answers"
        yield warn("published", Code.PUBLISHED_ON_OTHER_HOST_IP, sentence, object=place, model=model)
    else:
        yield ok("published", f"{place} of the host leads to port {binding.container_port} of {path.go.container_name}", object=place, model=model)


def spec(path: Path, host_port: int) -> str:
    """What `port publish` is given; another number on the host where that one is taken on one address."""
    protocol = "" if path.question.protocol == "tcp" else f"/{path.question.protocol}"
    return f"{host_port or path.port}:{path.port}{protocol}" if host_port != path.port or not path.binding else f":{path.port}{protocol}"


def not_published(path: Path, model: str) -> Stage:
    """Nothing leads there from outside."""
    question, name = path.question, path.question.target.name
    if question.protocol == "icmp":
        return stop(
            "published", Code.PORT_NOT_PUBLISHED, f"{name} is reached from outside by published ports alone: name one", object=name, model=model
        )
    what = f"port {path.port}/{question.protocol} of {name} is not published"
    fix = f"sanbashi port publish {name} {spec(path, path.port)}"
    return stop("published", Code.PORT_NOT_PUBLISHED, what, object=f"{name} {path.port}/{question.protocol}", fix=fix, model=model)
