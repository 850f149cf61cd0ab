"""Filters of `images` and `image prune`."""

from __future__ import annotations

import pytest

from sanbashi.errors import Invalid
from sanbashi.images.filters import LISTING, ImageFilter, moment, parse_filters, parse_moment
from sanbashi.images.model import Image, ImageConfig

NOW = 1_700_000_000.0
WEB = Image(id="sha256:1", created="2023-11-14T22:00:00.123456789Z", config=ImageConfig(labels={"a": "1"}), repo_tags=("httpd:2.4", "team/web:1"))
LOOSE = Image(id="sha256:2", created="2020-01-01T00:00:00Z")


def parsed(**filters: list[str]) -> ImageFilter:
    return parse_filters(filters, allowed=LISTING, now=NOW, created=lambda ref: moment(WEB.created))


@pytest.mark.parametrize(
    ("filters", "taken"),
    [
        ({}, "both"),
        ({"dangling": ["true"]}, "loose"),
        ({"dangling": ["0"]}, "web"),
        ({"label": ["a"]}, "web"),
        ({"label": ["a=1"]}, "web"),
        ({"label": ["a=2"]}, "none"),
        ({"label": ["a", "b"]}, "none"),
        ({"before": ["web"]}, "loose"),
        ({"since": ["web"]}, "none"),
        ({"until": ["24h"]}, "loose"),
        ({"until": ["1600000000"]}, "loose"),
        ({"reference": ["http*"]}, "web"),
        ({"reference": ["nope"]}, "none"),
        ({"reference": ["nope", "team/*"]}, "web"),
    ],
)
def test_takes(filters: dict[str, list[str]], taken: str) -> None:
    found = [name for name, image in (("web", WEB), ("loose", LOOSE)) if parsed(**filters).takes(image)]
    assert found == {"both": ["web", "loose"], "none": []}.get(taken, [taken])


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"foo": ["bar"]}, "invalid filter 'foo'"),
        ({"dangling": ["maybe"]}, "invalid filter 'dangling=[maybe]'"),
        ({"reference": ["["]}, "syntax error in pattern"),
        ({"until": ["soon"]}, 'failed to parse value as time or duration: "soon"'),
    ],
)
def test_refused(filters: dict[str, list[str]], message: str) -> None:
    with pytest.raises(Invalid) as caught:
        parsed(**filters)
    assert caught.value.message == message


def test_moments() -> None:
    assert parse_moment("1h30m", NOW) == NOW - 5400
    assert parse_moment("1700000000.5", NOW) == NOW + 0.5
    assert parse_moment("2023-11-14T22:13:20Z", 0) == NOW
    assert moment("2023-11-14T22:13:20.123456789Z") == pytest.approx(NOW + 0.123456)
    assert moment("2023-11-15T00:13:20+02:00") == NOW
    assert moment("") == 0
