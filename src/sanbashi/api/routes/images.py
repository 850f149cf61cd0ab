"""/images."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any

from ...daemon.fetches import pieces
from ...errors import Invalid
from ...images.manifest import Platform, checked_platform, parse_wanted
from ...images.model import Image
from ...images.usage import shared_sizes
from ..filters import parse_filters
from ..image_view import image_json, summary_json
from ..messages import TAR, Answer, Request, Response, Streamed, json_response
from ..streams import progress_bits
from ..wire import credentials

if TYPE_CHECKING:
    from ...daemon.engine import Engine

Report = Callable[[dict[str, Any]], None]


async def listing(engine: Engine, request: Request) -> Answer:
    """`images`."""
    if request.version >= (1, 54) and request.flag("identity") and not request.flag("manifests"):
        raise Invalid("conflicting options: identity requires manifests=1")
    found = engine.images.list(parse_filters(request.text("filters")), all=request.flag("all"))
    shared = shared_sizes(engine.state.images.values()) if request.flag("shared-size") else {}
    return json_response([summary_json(image, request.version, shared.get(image.id, -1)) for image in found])


async def inspect(engine: Engine, request: Request) -> Answer:
    """`image inspect`."""
    if request.flag("manifests") and request.text("platform"):
        raise Invalid("conflicting options: manifests and platform options cannot both be set")
    image = of_platform(engine.images.resolve(request["name"]), request)
    return json_response(image_json(image, request.version), in_order=request.version >= (1, 52))


async def history(engine: Engine, request: Request) -> Answer:
    """`history`."""
    of_platform(engine.images.resolve(request["name"]), request)
    return json_response(engine.images.history(request["name"]))


async def create(engine: Engine, request: Request) -> Answer:
    """`pull` (fromImage) and `import` (fromSrc)."""
    name, tag, source = request.text("fromImage"), request.text("tag"), request.text("fromSrc")
    platform = request.text("platform")
    if name:
        reference = name if not tag else f"{name}@{tag}" if tag.startswith("sha256:") else f"{name}:{tag}"
        auth = credentials(request.headers.get("x-registry-auth", ""))

        async def pull(report: Report) -> None:
            await engine.registries.pull(reference, platform=platform, auth=auth, progress=report, all_tags=not tag)

        return Streamed(progress_bits(pull), at_once=False)
    if not source:
        raise Invalid("fromImage or fromSrc must be given")
    repo = request.text("repo")

    async def bring(report: Report) -> None:
        async with AsyncExitStack() as stack:
            await engine.archiving.import_(
                await stack.enter_async_context(aclosing(pieces(source, report))) if source != "-" else request.body,
                source=source,
                reference=f"{repo}:{tag}" if repo and tag else repo,
                message=request.text("message"),
                changes=request.texts("changes"),
                platform=platform,
                progress=report,
            )

    return Streamed(progress_bits(bring), at_once=False)


async def load(engine: Engine, request: Request) -> Answer:
    """`load`."""

    wanted = platforms(request)

    async def bring(report: Report) -> None:
        await engine.archiving.load(request.body, quiet=request.flag("quiet"), progress=report, platforms=wanted)

    # A failure comes in the stream, as in Docker: docker-py looks for it there.
    return Streamed(progress_bits(bring, refuse=False))


async def save(engine: Engine, request: Request) -> Answer:
    """`save`, of one image by path or several by `names`."""
    names = [request["name"]] if "name" in request.parameters else [n for text in request.texts("names") for n in text.split(",")]
    if not names:
        raise Invalid("no image was named")
    for wanted in platforms(request):
        for name in names:
            checked_platform(engine.images.resolve(name), wanted, name)
    return Streamed(engine.archiving.save(names), TAR, at_once=False)


async def tag(engine: Engine, request: Request) -> Answer:
    """`tag`."""
    repo, tag = request.text("repo"), request.text("tag")
    if repo == "sha256":
        raise Invalid("refusing to create an ambiguous tag using digest algorithm as name")
    await engine.images.tag(request["name"], f"{repo}:{tag}" if tag else repo)
    return Response(201)


async def remove(engine: Engine, request: Request) -> Answer:
    """`rmi`."""
    if request.version >= (1, 50):
        for text in request.texts("platforms"):
            checked_platform(engine.images.resolve(request["name"]), parse_wanted(text), request["name"])
    return json_response(await engine.images.remove(request["name"], force=request.flag("force"), noprune=request.flag("noprune")))


async def prune(engine: Engine, request: Request) -> Answer:
    """`image prune`."""
    removed, freed = await engine.images.prune(parse_filters(request.text("filters")))
    return json_response({"ImagesDeleted": removed or None, "SpaceReclaimed": freed})


def platforms(request: Request) -> tuple[Platform, ...]:
    """The platforms that an archive is asked for by; none means all that there are."""
    texts = [text for text in request.texts("platform") if text] if request.version >= (1, 48) else []
    if len(texts) > 1 and request.version < (1, 52):
        raise Invalid("multiple platform parameters are not supported in this API version; use API version 1.52 or later")
    return tuple(map(parse_wanted, texts))


def of_platform(image: Image, request: Request) -> Image:
    """The image, which has one platform; NotFound where the request's `platform` is another."""
    if text := request.text("platform"):
        checked_platform(image, parse_wanted(text), request["name"] if "name" in request.parameters else image.id)
    return image
