"""Docker's filters: parsed from the query, and made into predicates that `ls`, `prune` and `events` use."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from ..daemon.events import Event
from ..errors import Invalid
from ..network.model import PREDEFINED, Network
from ..volumes.model import Volume
from .times import nanoseconds, parse_moment

Filters = Mapping[str, tuple[str, ...]]

NETWORKS = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
VOLUMES = frozenset({"dangling", "driver", "label", "name"})
PRUNE = frozenset({"label", "label!", "until"})
PRUNE_VOLUMES = frozenset({"all", "label", "label!"})
NAMED = ("config", "container", "daemon", "network", "node", "plugin", "secret", "service", "volume")  # of events: by id or name
EVENTS = frozenset({*NAMED, "event", "image", "label", "scope", "type"})


def parse_filters(text: str, allowed: Collection[str] | None = None) -> Filters:
    """The `filters` argument: {"name": ["a"]} or {"name": {"a": true}}. Invalid for one not `allowed` and for another form."""
    if not text:
        return {}
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid("invalid filter", hint=f"the argument `filters` is no JSON: {error}") from error
    if not isinstance(document, dict | None):
        raise Invalid("invalid filter", hint='the argument `filters` is an object: {"name": ["a"]}')
    found = {}
    for name, values in (document or {}).items():
        if isinstance(values, dict) and all(isinstance(wanted, bool) for wanted in values.values()):
            values = [value for value, wanted in values.items() if wanted]
        values = [] if values is None else values
        if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
            raise Invalid("invalid filter", hint=f'the values of \'{name}\' are strings: {{"{name}": ["a"]}}')
        if allowed is not None and name not in allowed:
            raise Invalid(f"invalid filter '{name}'")
        if values:
            found[name] = tuple(values)
    return found


def boolean(filters: Filters, name: str, default: bool | None = None) -> bool | None:
    """A filter that is true or false, in Docker's words where it is neither."""
    values = filters.get(name, ())
    if not values:
        return default
    if len(values) > 1:
        raise Invalid(f'got more than one value for filter key "{name}"')
    if values[0] not in ("true", "1", "false", "0"):
        raise Invalid(f'invalid value for filter \'{name}\', must be "true" (or "1"), or "false" (or "0")')
    return values[0] in ("true", "1")


def labelled(labels: Mapping[str, str], wanted: Sequence[str]) -> bool:
    """Whether all of the wanted "key" or "key=value" are there."""
    return all(has_label(labels, text) for text in wanted)


def has_label(labels: Mapping[str, str], text: str) -> bool:
    key, equals, value = text.partition("=")
    return key in labels and (not equals or labels[key] == value)


def network_matcher(filters: Filters, in_use: Callable[[Network], bool]) -> Callable[[Network], bool]:
    """`network ls --filter`."""
    dangling = boolean(filters, "dangling")
    for kind in filters.get("type", ()):
        if kind not in ("builtin", "custom"):
            raise Invalid(f"invalid filter: 'type'='{kind}'")

    def matches(network: Network) -> bool:
        kind = "builtin" if network.name in PREDEFINED else "custom"
        return (
            among(filters, "driver", lambda v: v == network.driver)
            and among(filters, "name", lambda v: matches_text(v, network.name))
            and among(filters, "id", lambda v: matches_text(v, network.id))
            and among(filters, "scope", lambda v: v == network.scope)
            and among(filters, "type", lambda v: v == kind)
            and labelled(network.labels, filters.get("label", ()))
            and (dangling is None or dangling == (kind == "custom" and not in_use(network)))
        )

    return matches


def volume_matcher(filters: Filters, in_use: Callable[[Volume], bool]) -> Callable[[Volume], bool]:
    """`volume ls --filter`."""
    dangling = boolean(filters, "dangling")

    def matches(volume: Volume) -> bool:
        return (
            among(filters, "driver", lambda v: v == volume.driver)
            and among(filters, "name", lambda v: matches_text(v, volume.name))
            and labelled(volume.labels, filters.get("label", ()))
            and (dangling is None or dangling != in_use(volume))
        )

    return matches


def matches_text(pattern: str, text: str) -> bool:
    """Docker's match of names and ids: equal, or found as a regular expression."""
    if pattern == text:
        return True
    try:
        return re.search(pattern, text) is not None
    except (re.error, RecursionError, OverflowError):
        return False


def among(filters: Filters, name: str, matches: Callable[[str], bool]) -> bool:
    """Whether a filter is not set or one of its values matches."""
    return name not in filters or any(matches(v) for v in filters[name])


def prune_matcher(filters: Filters, now: int, labels_of: Callable[[Any], Mapping[str, str]]) -> Callable[[Any], bool]:
    """`prune --filter`: labels wanted, labels unwanted, made before a moment."""
    until = filters.get("until", ())
    if len(until) > 1:
        raise Invalid("more than one until filter specified")
    limit = parse_moment(until[0], now, "until") if until else None

    def matches(thing: Any) -> bool:
        labels = labels_of(thing)
        return (
            labelled(labels, filters.get("label", ()))
            # Docker's rule: several unwanted labels keep a thing from being removed where it has all of them.
            and not ("label!" in filters and labelled(labels, filters["label!"]))
            and (limit is None or nanoseconds(thing.created) < limit)
        )

    return matches


def event_matcher(filters: Filters) -> Callable[[Event], bool]:
    """`events --filter`. An object is meant by the beginning of its id or name, whatever kind the filter names, as in Docker: `container=web` lets
    through what happens to the network web_default too. An image is meant by its whole name, also without the tag, and by what runs from it."""

    def begins(event: Event) -> Callable[[str], bool]:
        return lambda v: event.id.startswith(v) or event.attributes.get("name", "").startswith(v)

    def from_image(event: Event) -> Callable[[str], bool]:
        names = {event.id, event.attributes.get("name" if event.type == "image" else "image", "")}
        return (names | {text.rsplit(":", 1)[0] for text in names}).__contains__

    def matches(event: Event) -> bool:
        action = event.action.split(":", 1)[0]
        return (
            among(filters, "event", lambda v: v in (event.action, action))
            and among(filters, "type", lambda v: v == event.type)
            and among(filters, "scope", lambda v: v == "local")
            and labelled(event.attributes, filters.get("label", ()))
            and among(filters, "image", from_image(event))
            and all(among(filters, kind, begins(event)) for kind in NAMED)
        )

    return matches
