"""/build."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ...errors import Invalid, NotSupported
from ...images.buildcache import CacheWish
from ...images.buildrequest import BUILDKIT, BuildRequest, Limit, check_builder, check_remote
from ..filters import parse_filters
from ..messages import Answer, Request, Response, Streamed, json_response
from ..streams import progress_bits
from ..times import parse_moment
from ..wire import registries

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...daemon.engine import Engine

T = TypeVar("T")
# Of Docker's: the rest asks for what only BuildKit's records have.
CACHE_FILTERS = frozenset({"until", "unused-for", "label", "label!"})


async def build(engine: Engine, request: Request) -> Answer:
    """`build` of the classic kind."""
    check_remote(request.text("remote"))
    check_builder(request.text("version"), request.flag("squash"), request.text("outputs"), request.text("isolation"))
    wish = build_request(request)

    async def work(report: Callable[[dict[str, Any]], None]) -> None:
        await engine.builder.build(wish, request.body, report)

    return Streamed(progress_bits(work), at_once=False)


async def prune(engine: Engine, request: Request) -> Answer:
    """`builder prune`."""
    deleted, freed = await engine.builder.prune(cache_wish(request, time.time_ns()))
    return json_response({"CachesDeleted": deleted or None, "SpaceReclaimed": freed})


async def cancel(engine: Engine, request: Request) -> Answer:
    """Cancelling by id is BuildKit's; a classic build ends when its client leaves."""
    if not request.text("id"):
        raise Invalid("build ID not provided")
    return Response(200)


async def buildkit(engine: Engine, request: Request) -> Answer:
    """What only BuildKit's clients ask for."""
    raise NotSupported(BUILDKIT)


def build_request(request: Request) -> BuildRequest:
    """The query as a request; Invalid where a part of it is malformed."""
    return BuildRequest(
        dockerfile=request.text("dockerfile") or "Dockerfile",
        tags=tuple(dict.fromkeys(t for t in request.texts("t") if t)),
        arguments=decoded(request, "buildargs", dict[str, str | None], {}, "build args"),
        labels=decoded(request, "labels", dict[str, str], {}, "labels"),
        target=request.text("target"),
        platform=request.text("platform"),
        network=request.text("networkmode"),
        extra_hosts=tuple(request.texts("extrahosts")),
        cache_from=decoded(request, "cachefrom", tuple[str, ...], (), "cache-from"),
        ulimits=decoded(request, "ulimits", tuple[Limit, ...], (), "ulimit settings"),
        security=tuple(request.texts("securityopt")),
        cgroup_parent=request.text("cgroupparent"),
        cpuset_cpus=request.text("cpusetcpus"),
        cpuset_mems=request.text("cpusetmems"),
        cpu_shares=size(request, "cpushares"),
        cpu_period=size(request, "cpuperiod"),
        cpu_quota=size(request, "cpuquota"),
        memory=size(request, "memory"),
        memory_swap=size(request, "memswap"),
        shm_size=size(request, "shmsize"),
        quiet=request.flag("q"),
        no_cache=request.flag("nocache"),
        pull=request.flag("pull"),
        keep_containers=not request.flag("rm", True) and not request.flag("forcerm"),
        unused=tuple(name for name in ("session", "buildid") if request.text(name)),
        auths=registries(request.headers.get("x-registry-config", "")),
    )


def cache_wish(request: Request, now: int) -> CacheWish:
    """What of the cache is to go; Invalid where it cannot be told apart so.

    Docker's `all` adds what is shared with images, and images share nothing with our builder's store: with it and without it is the same.
    """
    filters = parse_filters(request.text("filters"), CACHE_FILTERS)
    until = [text for name in ("until", "unused-for") for text in filters.get(name, ())]
    if "until" in filters and "unused-for" in filters:
        raise Invalid('conflicting filters: "until" and "unused-for"')
    if len(until) > 1:
        raise Invalid("filters expect only one value")
    before = parse_moment(until[0], now, "until") if until else None
    if "label" in filters:  # which nothing in a cache has; `system prune --filter label=...` asks for it here, too
        before = 0
    kept = request.text("keep-storage")
    if request.version < (1, 48):
        return CacheWish(before=before, reserved=in_bytes("keep-storage", kept))
    return CacheWish(
        before=before,
        reserved=in_bytes("reserved-space", request.text("reserved-space")) or in_bytes("keep-storage", kept),
        most=in_bytes("max-used-space", request.text("max-used-space")),
        least_free=in_bytes("min-free-space", request.text("min-free-space")),
    )


def in_bytes(name: str, text: str) -> int:
    """A size; 0 where it is absent, Invalid in Docker's words where it is none."""
    if text and not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise Invalid(f"{name} is in bytes and expects an integer, got {text}")
    return int(text or 0)


def decoded(request: Request, name: str, kind: type[T], default: T, what: str) -> T:
    """A query argument that holds JSON; the default where it is absent or null, Invalid with `what` it holds where it is malformed."""
    text = request.text(name)
    if not text:
        return default
    try:
        found: T | None = msgspec.json.decode(text, type=kind | None)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Invalid(f"error reading {what}: {error}") from error
    return default if found is None else found


def size(request: Request, name: str) -> int:
    """A number of 64 bits; 0 where it is absent."""
    text = request.text(name)
    try:
        number = int(text or 0)
    except ValueError:
        raise Invalid(f'invalid value for {name}: "{text}" is not a number') from None
    if not -(2**63) <= number < 2**63:
        raise Invalid(f'invalid value for {name}: "{text}" is out of range')
    return number
