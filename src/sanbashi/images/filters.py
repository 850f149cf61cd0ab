"""Which images `ls` and `prune` mean: Docker's filters, parsed once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from ..errors import Invalid
from ..records import dataclass
from .model import Image
from .reference import glob, matches, parse_stored

LISTING = frozenset({"dangling", "label", "before", "since", "reference", "until"})
PRUNING = frozenset({"dangling", "label", "label!", "until"})
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """Images that suit. Moments are seconds since the epoch; labels are (key, value or None for any)."""

    dangling: bool | None = None
    labels: tuple[tuple[str, str | None], ...] = ()
    unlabelled: tuple[tuple[str, str | None], ...] = ()
    references: tuple[str, ...] = ()
    before: float | None = None
    since: float | None = None

    def takes(self, image: Image) -> bool:
        """Whether an image suits all that was asked."""
        created = moment(image.created)
        labels = image.config.labels or {}
        return (
            (self.dangling is None or self.dangling == (not image.repo_tags))
            and all(has_label(labels, wanted) for wanted in self.labels)
            and not any(has_label(labels, unwanted) for unwanted in self.unlabelled)
            and (self.before is None or created < self.before)
            and (self.since is None or created > self.since)
            and (not self.references or any(self.takes_name(n) for n in (*image.repo_tags, *image.repo_digests)))
        )

    def takes_name(self, name: str) -> bool:
        """Whether the reference filter, if any, takes a stored name."""
        return not self.references or any(matches(pattern, parse_stored(name)) for pattern in self.references)


def parse_filters(
    filters: Mapping[str, Sequence[str]], *, allowed: frozenset[str], now: float, created: Callable[[str], float], dangling: bool | None = None
) -> ImageFilter:
    """Docker's filters as a value; Invalid where one is unknown. `created` tells when an image was made (before, since)."""
    for name in filters:
        if name not in allowed:
            raise Invalid(f"invalid filter '{name}'")
    before = [created(ref) for ref in filters.get("before", ())] + [parse_moment(text, now) for text in filters.get("until", ())]
    since = [created(ref) for ref in filters.get("since", ())]
    for pattern in filters.get("reference", ()):
        glob(pattern)
    return ImageFilter(
        dangling=boolean(filters["dangling"]) if filters.get("dangling") else dangling,
        labels=tuple(label(text) for text in filters.get("label", ())),
        unlabelled=tuple(label(text) for text in filters.get("label!", ())),
        references=tuple(filters.get("reference", ())),
        before=min(before) if before else None,
        since=max(since) if since else None,
    )


def boolean(texts: Sequence[str]) -> bool:
    """The value of a filter that is true or false."""
    if all(t in ("true", "1", "True") for t in texts):
        return True
    if all(t in ("false", "0", "False") for t in texts):
        return False
    raise Invalid(f"invalid filter 'dangling=[{' '.join(texts)}]'")


def label(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    return key, value if equals else None


def has_label(labels: Mapping[str, str], wanted: tuple[str, str | None]) -> bool:
    key, value = wanted
    return key in labels and value in (None, labels[key])


def moment(text: str) -> float:
    """An RFC 3339 time in seconds since the epoch; 0 where there is none."""
    try:
        found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.replace("Z", "+00:00")))
    except ValueError:
        return 0.0
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def parse_moment(text: str, now: float) -> float:
    """`until`'s value: seconds since the epoch, RFC 3339, or a duration before now ("10m", "1h30m")."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if re.fullmatch(r"(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+", text):
        return now - sum(float(n) * UNITS[unit] for n, _, unit in re.findall(r"(\d+(\.\d+)?)(ns|us|µs|ms|s|m|h)", text))
    if found := moment(text):
        return found
    raise Invalid(f'failed to parse value as time or duration: "{text}"')
