"""/networks."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec.structs import replace as fields

from ...containers.logging import TRUTHS
from ...errors import Invalid, NotFound
from ...network.model import Network
from ..addresses import quoted
from ..filters import NETWORKS, PRUNE, network_matcher, parse_filters, prune_matcher
from ..messages import Answer, Request, Response, empty, json_response
from ..network_view import network_json
from ..wire import ConnectBody, DisconnectBody, decode, endpoint_wish, network_request

if TYPE_CHECKING:
    from ...daemon.engine import Engine

AMBIGUOUS = re.compile(r"(network .* is ambiguous) \((\d+ matches found based on \w[\w ]*)\)", re.DOTALL)


async def listing(engine: Engine, request: Request) -> Answer:
    """`network ls`."""
    state = engine.state

    def in_use(network: Network) -> bool:
        """Whether an endpoint is on it: what a stopped container only wishes does not count, for `prune` neither."""
        return bool(state.network.network_endpoints.get(network.id))

    matches = network_matcher(parse_filters(request.text("filters"), NETWORKS), in_use)

    def listed() -> bytes:
        return json_response([network_json(state, n, request.version, listed=True) for n in state.network.networks.values() if matches(n)]).body

    return Response(200, listed() if request.text("filters") else engine.answers.answer(state, ("networks", request.version), listed))


async def inspect(engine: Engine, request: Request) -> Answer:
    """`network inspect`; Docker says the same thing in another order here."""
    if request.text("verbose") not in ("", *TRUTHS):
        word = request.text("verbose")
        raise Invalid(f"invalid value for verbose: {word}: strconv.ParseBool: parsing {quoted(word)}: invalid syntax")
    try:
        network = engine.networking.find(request["id"])
    except Invalid as error:
        if (match := AMBIGUOUS.fullmatch(error.message)) is None:
            raise
        raise Invalid(f"{match[2]}: {match[1]}", hint=error.hint) from error
    if request.text("scope") not in ("", network.scope):
        raise NotFound(f"network {request['id']} not found")
    state, version = engine.state, request.version
    # A network may have a thousand members.
    body = engine.answers.answer(state, ("network", network.id, version), lambda: json_response(network_json(state, network, version)).body)
    return Response(200, body)


async def create(engine: Engine, request: Request) -> Answer:
    """`network create`."""
    wish = network_request(await request.json(required=True))
    if request.version < (1, 48):
        wish = replace(wish, enable_ipv4=None)  # its clients do not know of it
    id_, warning = await engine.create_network(wish)
    return json_response({"Id": id_, "Warning": warning}, 201)


async def connect(engine: Engine, request: Request) -> Answer:
    """`network connect`."""
    body = decode(await request.json(required=True), ConnectBody)
    settings = body.endpoint_config
    if request.version < (1, 54):
        settings = fields(settings, mac_address="")  # until then Docker took it and did not look at it
    await engine.connect(request["id"], body.container, endpoint_wish(request["id"], settings))
    return Response()


async def disconnect(engine: Engine, request: Request) -> Answer:
    """`network disconnect`."""
    body = decode(await request.json(required=True), DisconnectBody)
    await engine.disconnect(request["id"], body.container, body.force)
    return Response()


async def remove(engine: Engine, request: Request) -> Answer:
    """`network rm`."""
    await engine.remove_network(request["id"])
    return empty()


async def prune(engine: Engine, request: Request) -> Answer:
    """`network prune`."""
    matches = prune_matcher(parse_filters(request.text("filters"), PRUNE), time.time_ns(), lambda n: n.labels)
    return json_response({"NetworksDeleted": await engine.prune_networks(matches) or None})
