"""What Docker has and this engine has not: one sentence each, 501."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ...errors import NotSupported
from ..messages import Answer, Request

if TYPE_CHECKING:
    from ...daemon.engine import Engine


def refused(sentence: str, hint: str = "") -> Callable[[Engine, Request], Awaitable[Answer]]:
    """A handler that refuses with this sentence."""

    async def refuse(engine: Engine, request: Request) -> Answer:
        raise NotSupported(sentence, hint=hint)

    return refuse


login = refused("checking credentials against a registry is not supported", "credentials are sent with each pull; a wrong one fails there")
attach_websocket = refused("attaching through a websocket is not supported", "attach by POST /containers/{id}/attach")
stats = refused("container statistics are not supported yet")
changes = refused("listing the changes of a container's file system is not supported yet")
export = refused("exporting a container's file system is not supported yet")
archive = refused("copying files from and to containers is not supported yet", "mount a volume, or pipe tar through exec")
update = refused("updating the resources of a container is not supported yet")
checkpoints = refused("checkpoints are not supported")
commit = refused("making an image from a container is not supported yet")
search = refused("searching registries is not supported")
attestations = refused("attestations are not supported")
push = refused("pushing images is not supported yet")
distribution = refused("asking registries about images without pulling them is not supported yet")
plugins = refused("plugins are not supported")
swarm = refused("swarm mode is not supported")
