"""Which moves a container may make from where it stands; Docker's sentences for those it may not."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import Conflict, Invalid, NotModified
from .model import Container
from .names import ALLOWED, refused_name


def check_start(container: Container) -> None:
    """NotModified where it runs; Conflict where it is paused or going."""
    status = container.state.status
    if status == "paused":
        raise Conflict("cannot start a paused container, try unpause instead")
    if status == "running":
        raise NotModified("container already started")
    if status in ("removing", "dead"):
        raise Conflict("container is marked for removal and cannot be started")


def check_running(container: Container) -> None:
    """Conflict where it does not run."""
    if not container.state.running:
        raise Conflict(f"container {container.id} is not running")


def check_exec(container: Container) -> None:
    """Conflict where nothing can be run in it now."""
    status = container.state.status
    if status == "paused":
        raise Conflict(f"Container {container.id} is paused, unpause the container before exec")
    if status == "restarting":
        raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
    if status != "running":
        raise Conflict(f"container {container.id} is not running")


def check_freeze(container: Container, frozen: bool) -> None:
    """For pause (`frozen`) and unpause."""
    status = container.state.status
    if frozen:
        if status == "paused":
            raise Conflict(f"Container {container.id} is already paused")
        if status == "restarting":
            raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
        if status != "running":
            raise Conflict(f"Container {container.id} is not running")
    elif status != "paused":
        raise Conflict(f"Container {container.id} is not paused")


def check_remove(container: Container, ref: str, force: bool) -> None:
    """Conflict where it runs and is not to be killed; `ref` is what the user typed."""
    if container.state.running and not force:
        word = container.state.status
        hint = "unpause and stop" if word == "paused" else "stop"
        raise Conflict(f'cannot remove container "{ref}": container is {word}: {hint} the container before removing or force remove')
    if container.state.status == "removing":
        raise Conflict(f"removal of container {ref} is already in progress")


def check_rename(container: Container, name: str, names: Mapping[str, str]) -> str:
    """The new name without its slash; Invalid or Conflict in Docker's words. `names` maps names to container ids."""
    name = name.removeprefix("/")
    if not name:
        raise Invalid("Neither old nor new names may be empty")
    if name == container.name:
        raise Invalid("Renaming a container with the same name as its current name")
    if ALLOWED.fullmatch(name) is None:
        raise Invalid(f"Error when allocating new name: {refused_name(f'/{name}')}")
    if name in names:
        raise Conflict(
            f'Error when allocating new name: Conflict. The container name "/{name}" is already in use by container "{names[name]}". '
            "You have to remove (or rename) that container to be able to reuse that name."
        )
    return name
