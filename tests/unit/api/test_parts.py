"""Small parts: times, filters, the detach keys, random bodies."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sanbashi.api.create_body import create_body
from sanbashi.api.filters import event_matcher, parse_filters
from sanbashi.api.messages import Request
from sanbashi.api.status import answer
from sanbashi.api.times import SECOND, human, nanoseconds, parse_duration, parse_moment
from sanbashi.api.wire import exec_body, network_request
from sanbashi.containers.detach import DetachScanner, parse_keys
from sanbashi.daemon.events import Event
from sanbashi.errors import Invalid

HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (HOUR - 1, "59 minutes"),
        (HOUR, "About an hour"),
        (1.5 * HOUR, "2 hours"),
        (47 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (60 * DAY, "2 months"),
        (365 * 2 * DAY, "2 years"),
        (-5, "Less than a second"),
    ],
)
def test_durations_in_words(seconds, words):
    assert human(int(seconds * SECOND)) == words


def test_moments():
    now = 100 * SECOND
    assert parse_moment("", now, "since") is None
    assert parse_moment("1.5", now, "since") == 1_500_000_000
    assert parse_moment("10s", now, "since") == 90 * SECOND
    assert parse_moment("1970-01-01T00:00:01.000000002Z", now, "since") == SECOND + 2
    assert parse_moment("1970-01-01T01:00:01+01:00", now, "since") == SECOND
    assert parse_duration("1h30m") == 5400 * SECOND
    assert parse_duration("1h30") is None
    assert nanoseconds("0001-01-01T00:00:00Z") == 0
    assert nanoseconds("2026-13-45T99:99:99Z") == 0
    with pytest.raises(Invalid):
        parse_moment("soon", now, "since")


def test_query_values():
    request = Request("GET", "/", "a=1&b=0&c=False&d=&e=yes&n=12&m=")
    assert [request.flag(n) for n in "abcdef"] == [True, False, False, False, True, False]
    assert request.flag("f", True)
    assert (request.integer("n"), request.integer("m"), request.integer("o", 3)) == (12, None, 3)


def test_filters_of_events():
    start = Event("container", "start", "a" * 64, {"name": "web", "image": "httpd:2.4", "tier": "x"}, 1)
    connect = Event("network", "connect", "d" * 64, {"name": "app", "container": "a" * 64}, 2)
    execs = Event("container", "exec_create: ls", "a" * 64, {"name": "web"}, 3)

    def matching(**filters):
        return [e.action for e in (start, connect, execs) if event_matcher(parse_filters(json.dumps(filters)))(e)]

    assert matching() == ["start", "connect", "exec_create: ls"]
    assert matching(container=["web"]) == matching(container=["a" * 12]) == ["start", "exec_create: ls"]
    assert matching(container=["w"]) == matching(container=["x", "aa"]) == ["start", "exec_create: ls"]
    assert matching(container=["eb"]) == matching(container=["webs"]) == []
    assert matching(image=["httpd"]) == matching(image=["httpd:2.4"]) == ["start"]
    assert matching(image=["http"]) == []
    assert matching(network=["app"]) == matching(network=["d"]) == ["connect"]
    assert matching(network=["a"]) == ["start", "connect", "exec_create: ls"]  # of whatever kind, as in Docker
    assert matching(network=[""]) == ["start", "connect", "exec_create: ls"]
    assert matching(network=["ap"], container=["web"]) == []
    assert matching(event=["exec_create"]) == ["exec_create: ls"]
    assert matching(type=["network"], event=["connect", "disconnect"]) == ["connect"]
    assert matching(label=["tier=x"]) == ["start"]
    assert matching(service=["x"]) == []
    for text in ("[]", "x", '{"a": 1}', '{"a": [1]}'):
        with pytest.raises(Invalid):
            parse_filters(text)


def test_keys():
    assert parse_keys("") == b"\x10\x11"
    assert parse_keys("ctrl-a,b,ctrl-[,DEL,ctrl-@") == b"\x01b\x1b\x7f\x00"
    for text in ("ctrl-", "ctrl-1", "ab", "a,,b", "é"):
        with pytest.raises(Invalid, match="invalid detach keys"):
            parse_keys(text)


@given(st.lists(st.binary(max_size=6)), st.sampled_from([b"\x10\x11", b"aab", b"aaa", b"x", b"abab"]))
def test_the_scanner_lets_everything_through_up_to_the_keys(pieces, keys):
    scanner, through, found = DetachScanner(keys), b"", False
    for piece in pieces:
        part, found = scanner.feed(piece)
        through += part
        if found:
            break
    typed = b"".join(pieces)
    if found:
        assert through + keys == typed[: typed.index(keys) + len(keys)]
    else:
        assert keys not in typed
        assert typed == through + keys[: scanner.held]


@given(st.text(alphabet="ab", max_size=30), st.integers(1, 5))
def test_the_scanner_does_not_care_how_typing_is_cut(text, size):
    typed, scanner = text.encode(), DetachScanner(b"aab")
    found = any(scanner.feed(typed[i : i + size])[1] for i in range(0, len(typed), size))
    assert found == (b"aab" in typed)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "80/tcp", "Subnet", "Config", "app"]), inner, max_size=3),
    max_leaves=6,
)
# fmt: off
names = st.sampled_from([
    "Image", "Cmd", "Env", "Tty", "Labels", "ExposedPorts", "Volumes", "Healthcheck", "StopTimeout", "HostConfig", "NetworkingConfig", "Memory",
    "EndpointsConfig", "PortBindings", "RestartPolicy", "Ulimits", "Mounts", "ConsoleSize", "LogConfig", "IPAMConfig", "Aliases", "IPAM", "Config",
    "Options", "Name",
])
# fmt: on
bodies = st.dictionaries(names, values | st.dictionaries(names, values, max_size=4), max_size=5)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(bodies | values)
def test_a_body_of_any_shape_is_understood_or_refused_in_one_sentence(body):
    for parse in (lambda b: create_body(b, (1, 50)), network_request, exec_body):
        try:
            parse(json.loads(json.dumps(body)))
        except Invalid as error:
            assert error.message
            assert answer(error).status == 400


def test_a_group_without_a_known_failure():
    assert answer(ExceptionGroup("g", [ValueError("x")])).status == 500


def test_json_without_a_content_type():
    async def body():
        yield b"{}"

    with pytest.raises(Invalid, match="unsupported Content-Type header"):
        asyncio.run(Request("POST", "/", body=body()).json())
