"""/auth, /distribution, push and search: what is asked of registries."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from ...errors import Invalid
from ...images.manifest import parse_wanted
from ..filters import parse_filters
from ..messages import Answer, Request, Streamed, json_response
from ..streams import progress_bits
from ..wire import credentials, login_body

if TYPE_CHECKING:
    from ...daemon.engine import Engine


async def login(engine: Engine, request: Request) -> Answer:
    """`login`."""
    address, auth = login_body(await request.json(required=True))
    token = await engine.registries.login(address, auth)
    return json_response({"Status": "Login Succeeded", "IdentityToken": token})


async def push(engine: Engine, request: Request) -> Answer:
    """`push`."""
    auth = credentials(request.headers.get("x-registry-auth", ""))
    platform = parse_wanted(request.text("platform")) if request.text("platform") else None

    async def work(report: Callable[[dict[str, Any]], None]) -> None:
        await engine.registries.push(request["name"], request.text("tag"), auth=auth, progress=report, platform=platform)

    return Streamed(progress_bits(work), at_once=False)


async def distribution(engine: Engine, request: Request) -> Answer:
    """`manifest inspect`'s and compose's question: what a name is in its registry."""
    descriptor, platforms = await engine.registries.describe(request["name"], credentials(request.headers.get("x-registry-auth", "")))
    about = {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}
    found = [{k: v for k, v in msgspec.structs.asdict(p).items() if v} for p in platforms]
    return json_response({"Descriptor": about, "Platforms": found})


async def search(engine: Engine, request: Request) -> Answer:
    """`search`."""
    term = request.text("term")
    if not term:
        raise Invalid("term is required")
    auth = credentials(request.headers.get("x-registry-auth", ""))
    found = await engine.registries.search(term, request.integer("limit"), parse_filters(request.text("filters")), auth)
    return json_response([msgspec.structs.replace(f, description=f.description or "") for f in found])
