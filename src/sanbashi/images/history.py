"""An image's history as `docker history` shows it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from .filters import moment
from .model import History, Image


class HistoryLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line with Docker's JSON names; `created` in seconds since the epoch, `size` in bytes."""

    id: str = msgspec.field(name="Id")
    created: int = msgspec.field(name="Created")
    created_by: str = msgspec.field(name="CreatedBy")
    tags: tuple[str, ...] | None = msgspec.field(name="Tags")
    size: int = msgspec.field(name="Size")
    comment: str = msgspec.field(name="Comment")


def history(image: Image) -> tuple[HistoryLine, ...]:
    """The lines, the newest first; layers that the history does not tell of get empty lines."""
    sizes = iter(image.sizes)
    lines = [line(entry, 0 if entry.empty_layer else next(sizes, 0)) for entry in entries(image)]
    lines.reverse()
    if lines:
        lines[0] = msgspec.structs.replace(lines[0], id=image.id, tags=image.repo_tags or None)
    return tuple(lines)


def entries(image: Image) -> Iterator[History]:
    """The history with an entry for every layer."""
    yield from image.history
    told = sum(not entry.empty_layer for entry in image.history)
    for _ in range(len(image.diff_ids) - told):
        yield History(created=image.created)


def line(entry: History, size: int) -> HistoryLine:
    return HistoryLine(id="<missing>", created=int(moment(entry.created)), created_by=entry.created_by, tags=None, size=size, comment=entry.comment)
