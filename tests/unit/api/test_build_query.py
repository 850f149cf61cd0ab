"""/build and /build/prune: their queries."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from sanbashi.api.messages import Request
from sanbashi.api.routes.build import build, build_request, cache_wish
from sanbashi.errors import Invalid
from sanbashi.images.buildcache import CacheWish

NOW = 1_000_000_000_000_000_000
HOUR = 3600 * 10**9


def asked(version: tuple[int, int] = (1, 56), **arguments: Any) -> Request:
    query = {name.replace("_", "-"): value if isinstance(value, str) else json.dumps(value) for name, value in arguments.items()}
    return Request("POST", "/build/prune", version=version, query=urlencode(query))


@pytest.mark.parametrize(
    ("request_", "wish"),
    [
        (asked(), CacheWish()),
        (asked(all="1"), CacheWish()),
        (asked(reserved_space="7", max_used_space="8", min_free_space="9", keep_storage="1"), CacheWish(reserved=7, most=8, least_free=9)),
        (asked(keep_storage="5"), CacheWish(reserved=5)),
        (asked((1, 47), keep_storage="5", reserved_space="7", max_used_space="8"), CacheWish(reserved=5)),
        (asked(filters={"until": ["1h"]}), CacheWish(before=NOW - HOUR)),
        (asked(filters={"unused-for": {"1h": True}}), CacheWish(before=NOW - HOUR)),
        (asked(filters={"label": ["a=b"]}), CacheWish(before=0)),
        (asked(filters={"label!": ["a=b"]}), CacheWish()),
    ],
)
def test_what_of_the_cache_goes(request_: Request, wish: CacheWish) -> None:
    assert cache_wish(request_, NOW) == wish


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"isolation": "hyperv"}, 'unsupported isolation: "hyperv"'),
        ({"version": "3"}, 'invalid version "3"'),
        ({"remote": "client-session"}, "experimental session with v1 builder is no longer supported, use builder version v2 (BuildKit) instead"),
        ({"buildargs": "x"}, "error reading build args: JSON is malformed: invalid character (byte 0)"),
        ({"cachefrom": "x"}, "error reading cache-from: JSON is malformed: invalid character (byte 0)"),
        ({"labels": "[]"}, "error reading labels: Expected `object | null`, got `array`"),
        ({"ulimits": "{}"}, "error reading ulimit settings: Expected `array | null`, got `object`"),
        ({"shmsize": "x"}, 'invalid value for shmsize: "x" is not a number'),
    ],
)
def test_what_of_a_build_is_refused(arguments: dict[str, str], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        asyncio.run(build(None, Request("POST", "/build", version=(1, 56), query=urlencode(arguments))))  # type: ignore[arg-type]
    assert refused.value.message == sentence


def test_what_means_nothing_to_a_build_is_warned_of() -> None:
    assert build_request(asked(session="s", buildid="b", isolation="Default")).unused == ("session", "buildid")
    assert build_request(asked()).unused == ()


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (asked(reserved_space="1GB"), "reserved-space is in bytes and expects an integer, got 1GB"),
        (asked(keep_storage="x"), "keep-storage is in bytes and expects an integer, got x"),
        (asked(max_used_space="1.5"), "max-used-space is in bytes and expects an integer, got 1.5"),
        (asked(min_free_space=" "), "min-free-space is in bytes and expects an integer, got  "),
        (asked(filters={"until": ["1h", "2h"]}), "filters expect only one value"),
        (asked(filters={"until": ["1h"], "unused-for": ["2h"]}), 'conflicting filters: "until" and "unused-for"'),
        (asked(filters={"type": ["regular"]}), "invalid filter 'type'"),
        (asked(filters={"inuse": []}), "invalid filter 'inuse'"),
        (asked(filters={"nosuch": ["x"]}), "invalid filter 'nosuch'"),
    ],
)
def test_what_is_refused(request_: Request, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        cache_wish(request_, NOW)
    assert refused.value.message == sentence


@pytest.mark.parametrize(
    ("arguments", "kept"), [({}, False), ({"rm": "1"}, False), ({"rm": "0"}, True), ({"rm": "False"}, True), ({"rm": "0", "forcerm": "1"}, False)]
)
def test_containers_of_steps(arguments: dict[str, str], kept: bool) -> None:
    assert build_request(asked(**arguments)).keep_containers is kept
