"""/sanbashi: what goes past Docker's API. Networks and published ports that change while containers run, and the firewall as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ...containers.model import Wire
from ...errors import Invalid
from ...network.options import NAME_SERVERS
from ...network.updating import NetworkChange
from ..endpoint_view import endpoints_of, ports_json
from ..messages import Answer, Request, json_response
from ..wire import decode

if TYPE_CHECKING:
    from ...daemon.engine import Engine

T = TypeVar("T", bound=msgspec.Struct)


class NetworkBody(Wire, frozen=True, kw_only=True, rename="pascal"):
    """`POST /sanbashi/networks/{id}/update`: null takes a label or an option away; DNS replaces the network's name servers."""

    labels: Mapping[str, str | None] = {}
    options: Mapping[str, str | None] = {}
    dns: tuple[str, ...] | None = msgspec.field(default=None, name="DNS")


class PortsBody(Wire, frozen=True, kw_only=True, rename="pascal"):
    """`POST /sanbashi/containers/{id}/ports`: words as of -p."""

    publish: tuple[str, ...] = ()
    unpublish: tuple[str, ...] = ()


def known(document: Any, kind: type[T]) -> T:
    """The body; Invalid for a field that we do not have: no client of Docker's sends more than it means here."""
    names = {f.encode_name.lower(): f.encode_name for f in msgspec.structs.fields(kind)}
    for key in document if isinstance(document, dict) else ():
        if key.lower() not in names:
            raise Invalid(f"invalid JSON: there is no field {key}", hint=f"there are {', '.join(names.values())}")
    return decode(document, kind)


async def update_network(engine: Engine, request: Request) -> Answer:
    """`network update`."""
    body = known(await request.json(required=True), NetworkBody)
    options = dict(body.options)
    if body.dns is not None:
        options[NAME_SERVERS] = ",".join(body.dns) or None
    warnings = await engine.update_network(request["id"], NetworkChange(labels=body.labels, options=options))
    return json_response({"Warnings": list(warnings)})


async def change_ports(engine: Engine, request: Request) -> Answer:
    """`port publish`, `port unpublish`: the ports as they are then."""
    body = known(await request.json(required=True), PortsBody)
    await engine.change_ports(request["id"], body.publish, body.unpublish)
    container = engine.find_container(request["id"])
    return json_response({"Ports": ports_json(engine.state, container, endpoints_of(engine.state, container))})


async def firewall(engine: Engine, request: Request) -> Answer:
    """The tables with what stands in each set, chains of others that drop what we forward, repairs."""
    return json_response(await engine.firewall())
