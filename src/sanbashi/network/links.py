"""--link: words to pairs, and what the pairs resolve to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..errors import Invalid
from .model import Endpoint, NetworkState

Links = tuple[tuple[str, str], ...]  # (alias, target container id)


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
        if here is not None and (found := here.get(container_id)) is not None:
            yield alias, state.endpoints[found]
