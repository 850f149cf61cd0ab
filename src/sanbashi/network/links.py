"""--link: words to pairs, and what the pairs resolve to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..errors import Invalid
from .model import Endpoint, NetworkState, Sandbox

Links = tuple[tuple[str, str], ...]  # (alias, target container's id, or its name where the link was made before the target was)


def resolve_links(words: Iterable[str], container_id_of: Callable[[str], str]) -> Links:
    """NAME[:ALIAS] words with each name looked up; the alias of a bare name is the name. Invalid for an empty or overlong word."""
    return tuple((alias, container_id_of(name)) for name, alias in map(parse_link, words))


def parse_link(word: str) -> tuple[str, str]:
    """(name, alias) of one word; the form with slashes (/name:/client/alias) is the one inspect shows."""
    parts = word.split(":")
    if not word or len(parts) > 2:
        raise Invalid(f"bad format for links: {word}" if word else "empty string specified for links")
    name = parts[0].removeprefix("/")
    return name, parts[-1].rpartition("/")[2]


def linked_endpoints(state: NetworkState, network_id: str, links: Links) -> Iterator[tuple[str, Endpoint]]:
    """(alias, endpoint of the target in this network), for the targets that are there."""
    here = state.network_endpoints.get(network_id)
    for alias, container_id in links:
        if here is None:
            continue
        found = here.get(container_id) or next((e for e in here.values() if state.endpoints[e].container_name == container_id), None)
        if found is not None:
            yield alias, state.endpoints[found]


def linking_to(state: NetworkState, sandbox: Sandbox) -> tuple[str, ...]:
    """The ids of endpoints and sandboxes with a link to this one's container, by its id or by its name."""
    names = {state.endpoints[e].container_name for e in state.sandbox_endpoints.get(sandbox.id, ())}
    return tuple(holder for target in (sandbox.container_id, *sorted(names)) for holder in state.linked.get(target, ()))
