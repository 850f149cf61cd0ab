"""Whom a --link on the default bridge means: found when the container is made, and known by id from then on, whatever it is called later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..containers.model import Container
from ..errors import Failed, Invalid, NotFound
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


def check_targets(core: Core, container: Container) -> None:
    """Failed, in Docker's words, where what a container links to on the default bridge does not run, or is not on it."""
    if all(name != "bridge" for name, _ in container.networks):
        return
    for alias, id_ in link_targets(core, container):
        target = core.state.containers[id_]
        if not target.state.running:
            hint = f"sanbashi start {target.name}"
            raise Failed(f"Cannot link to a non running container: /{target.name} AS /{container.name}/{alias}", hint=hint)
        if all(name != "bridge" for name, _ in target.networks):
            raise Failed(f"Cannot link to /{target.name}, as it does not belong to the default network")


def targets_first(containers: Mapping[str, Container]) -> Iterator[Container]:
    """Containers in their order, but each after those that it links to, which have to run when it starts."""
    given: set[str] = set()

    def with_targets(container: Container) -> Iterator[Container]:
        if container.id not in given:
            given.add(container.id)
            for _, id_ in container.linked:
                if id_ in containers:
                    yield from with_targets(containers[id_])
            yield container

    for container in tuple(containers.values()):
        yield from with_targets(container)


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
