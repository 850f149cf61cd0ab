"""The table of routes, and how a request finds its row."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..errors import Invalid, NotFound
from ..records import dataclass
from .messages import MAXIMUM, MINIMUM, Answer, Request, version_text
from .routes import (
    archive,
    build,
    commit,
    containers,
    execs,
    images,
    networks,
    registries,
    rewiring,
    stats,
    swarm,
    system,
    unsupported,
    update,
    volumes,
    why,
)

if TYPE_CHECKING:
    from ..daemon.engine import Engine

Handler = Callable[["Engine", Request], Awaitable[Answer]]

# {x} is one segment of the path, {x...} any number of them. Rows are tried in order within a method and a first segment.
TABLE: tuple[tuple[str, str, Handler], ...] = (
    ("HEAD", "/_ping", system.ping),
    ("GET", "/_ping", system.ping),
    ("GET", "/version", system.version),
    ("GET", "/info", system.info),
    ("GET", "/sanbashi/counters", system.counters),
    ("GET", "/sanbashi/firewall", rewiring.firewall),
    ("GET", "/sanbashi/why", why.why),
    ("POST", "/sanbashi/networks/{id...}/update", rewiring.update_network),
    ("POST", "/sanbashi/containers/{id}/ports", rewiring.change_ports),
    ("GET", "/events", system.events),
    ("GET", "/system/df", system.disk_usage),
    ("POST", "/auth", registries.login),
    # containers
    ("GET", "/containers/json", containers.listing),
    ("POST", "/containers/create", containers.create),
    ("POST", "/containers/prune", containers.prune),
    ("GET", "/containers/{id...}/json", containers.inspect),
    ("POST", "/containers/{id...}/start", containers.start),
    ("POST", "/containers/{id...}/stop", containers.stop),
    ("POST", "/containers/{id...}/restart", containers.restart),
    ("POST", "/containers/{id...}/kill", containers.kill),
    ("POST", "/containers/{id...}/pause", containers.pause),
    ("POST", "/containers/{id...}/unpause", containers.unpause),
    ("POST", "/containers/{id...}/rename", containers.rename),
    ("POST", "/containers/{id...}/resize", containers.resize),
    ("POST", "/containers/{id...}/attach", containers.attach),
    ("POST", "/containers/{id...}/wait", containers.wait),
    ("GET", "/containers/{id...}/logs", containers.logs),
    ("GET", "/containers/{id...}/top", containers.top),
    ("DELETE", "/containers/{id}/checkpoints/{checkpoint}", unsupported.checkpoints),
    ("DELETE", "/containers/{id...}", containers.remove),
    ("POST", "/containers/{id...}/exec", execs.create),
    ("GET", "/containers/{id...}/attach/ws", containers.attach_websocket),
    ("GET", "/containers/{id...}/stats", stats.stats),
    ("GET", "/containers/{id...}/changes", archive.changes),
    ("GET", "/containers/{id...}/export", archive.export),
    ("GET", "/containers/{id...}/archive", archive.get),
    ("HEAD", "/containers/{id...}/archive", archive.look),
    ("PUT", "/containers/{id...}/archive", archive.put),
    ("POST", "/containers/{id...}/update", update.update),
    ("GET", "/containers/{id}/checkpoints", unsupported.checkpoints),
    ("POST", "/containers/{id}/checkpoints", unsupported.checkpoints),
    ("POST", "/commit", commit.commit),
    # exec
    ("POST", "/exec/{id...}/start", execs.start),
    ("POST", "/exec/{id...}/resize", execs.resize),
    ("GET", "/exec/{id...}/json", execs.inspect),
    # images
    ("GET", "/images/json", images.listing),
    ("GET", "/images/get", images.save),
    ("GET", "/images/search", registries.search),
    ("POST", "/images/create", images.create),
    ("POST", "/images/load", images.load),
    ("POST", "/images/prune", images.prune),
    ("GET", "/images/{name...}/json", images.inspect),
    ("GET", "/images/{name...}/history", images.history),
    ("GET", "/images/{name...}/get", images.save),
    ("GET", "/images/{name...}/attestations", unsupported.attestations),
    ("POST", "/images/{name...}/tag", images.tag),
    ("POST", "/images/{name...}/push", registries.push),
    ("DELETE", "/images/{name...}", images.remove),
    ("GET", "/distribution/{name...}/json", registries.distribution),
    ("POST", "/build", build.build),
    ("POST", "/build/prune", build.prune),
    ("POST", "/build/cancel", build.cancel),
    ("POST", "/session", build.buildkit),
    ("POST", "/grpc", build.buildkit),
    # networks
    ("GET", "/networks", networks.listing),
    ("GET", "/networks/", networks.listing),
    ("POST", "/networks/create", networks.create),
    ("POST", "/networks/prune", networks.prune),
    ("GET", "/networks/{id...}", networks.inspect),
    ("POST", "/networks/{id...}/connect", networks.connect),
    ("POST", "/networks/{id...}/disconnect", networks.disconnect),
    ("DELETE", "/networks/{id...}", networks.remove),
    # volumes
    ("GET", "/volumes", volumes.listing),
    ("POST", "/volumes/create", volumes.create),
    ("POST", "/volumes/prune", volumes.prune),
    ("GET", "/volumes/{name...}", volumes.inspect),
    ("PUT", "/volumes/{name...}", swarm.not_a_manager),
    ("DELETE", "/volumes/{name...}", volumes.remove),
    # plugins and swarm
    ("GET", "/plugins", swarm.plugins),
    ("GET", "/plugins/privileges", unsupported.plugins),
    ("GET", "/plugins/{name...}/json", swarm.plugin),
    ("POST", "/plugins/{name...}", unsupported.plugins),
    ("DELETE", "/plugins/{name...}", unsupported.plugins),
    ("POST", "/swarm/init", unsupported.swarm),
    ("POST", "/swarm/join", unsupported.swarm),
    *(
        (method, f"/{noun}{rest}", swarm.not_a_manager)
        for noun in ("swarm", "services", "nodes", "tasks", "secrets", "configs")
        for method, rest in (("GET", ""), ("GET", "/{id...}"), ("POST", "/{id...}"), ("DELETE", "/{id...}"))
    ),
)

VERSIONED = re.compile(r"/v([0-9]{1,4})\.([0-9]{1,4})(/.*)", re.DOTALL)


def compiled(pattern: str) -> re.Pattern[str]:
    """A row's pattern as a regular expression."""
    parts = re.split(r"\{(\w+)(\.\.\.)?\}", pattern)
    text = re.escape(parts[0])
    for name, many, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        text += f"(?P<{name}>{'.+' if many else '[^/]+'})" + re.escape(literal)
    return re.compile(text, re.DOTALL)


@dataclass
class Router:
    """The table, arranged for looking up: rows without a parameter in a dictionary, the others by method and first segment."""

    fixed: dict[tuple[str, str], Handler] = field(default_factory=dict)
    patterns: dict[tuple[str, str], list[tuple[re.Pattern[str], Handler]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for method, pattern, handler in TABLE:
            if "{" in pattern:
                self.patterns.setdefault((method, pattern.split("/")[1]), []).append((compiled(pattern), handler))
            else:
                self.fixed[method, pattern] = handler

    def find(self, request: Request) -> Handler:
        """The handler of a request, whose version and parameters are filled in. NotFound and the version's Invalid in Docker's words."""
        path, version = request.path, None
        if (match := VERSIONED.fullmatch(path)) is not None:
            version, path = (int(match[1]), int(match[2])), match[3]
        path = unquote(path)
        handler = self.fixed.get((request.method, path)) if request.method != "OPTIONS" else system.options
        if handler is None:
            for pattern, row in self.patterns.get((request.method, path.split("/", 2)[1] if path.startswith("/") else ""), ()):
                if (match := pattern.fullmatch(path)) is not None:
                    handler, request.parameters = row, match.groupdict()
                    break
            else:
                raise NotFound("page not found")
        if version is not None:
            check_version(version)
            request.version = version
        return handler


def check_version(version: tuple[int, int]) -> None:
    """Refuse a version that we do not speak, in Docker's words."""
    if version < MINIMUM:
        raise Invalid(
            f"client version {version_text(version)} is too old. Minimum supported API version is {version_text(MINIMUM)}, "
            "please upgrade your client to a newer version"
        )
    if version > MAXIMUM:
        raise Invalid(f"client version {version_text(version)} is too new. Maximum supported API version is {version_text(MAXIMUM)}")
