"""Whom a --link on the default bridge means: found when the container is made, and known by id from then on, whatever it is called later."""

from __future__ import annotations

from ..containers.model import Container
from ..errors import Invalid, NotFound
from ..network.links import Links, parse_link
from ..network.model import PREDEFINED
from .core import Core


def link_targets(core: Core, container: Container) -> Links:
    """(alias, id of the target) of each link on the default bridge; Invalid where one leads nowhere.

    On a network of the user's a link is an alias, and looked at when it is used.
    """
    host = container.host_config
    if host.network_mode not in (*PREDEFINED, "default", ""):
        return ()
    known = {alias: id_ for alias, id_ in container.linked if id_ in core.state.containers}
    words = map(parse_link, host.links or ())
    return tuple((alias, known.get(alias) or target_of(core, name).id) for name, alias in words)


def target_of(core: Core, ref: str) -> Container:
    """The container that a link's name means; of one that shares a network, the one that has it. Invalid where there is none, as in Docker."""
    while True:
        try:
            target = core.find_container(ref)
        except NotFound as error:
            raise Invalid(f"could not get container for {ref}: {error.message}") from error
        mode = target.host_config.network_mode
        if mode == "host":
            raise Invalid("conflicting options: host type networking can't be used with links. This would result in undefined behavior")
        if not mode.startswith("container:"):
            return target
        ref = mode.partition(":")[2]
