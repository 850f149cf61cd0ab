"""What is taken for plain is what h11 makes of it too, and what is written is what h11 writes."""

from __future__ import annotations

import asyncio

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sanbashi.api.connection import head_of
from sanbashi.api.plain import Plain, plain_request, usual_headers, writable, written

LINES = st.sampled_from(
    [
        "Host: docker",
        "host: d",
        "User-Agent: Docker-Client/20.10.24 (linux)",
        "User-Agent:x",
        "Accept-Encoding: gzip, deflate",
        "X-Registry-Auth: e30=",
        "Connection: keep-alive",
        "Connection: close",
        "connection: Keep-Alive",
        "Connection: Upgrade",
        "Upgrade: tcp",
        "Expect: 100-continue",
        "Transfer-Encoding: chunked",
        "Content-Length: 2",
        "Content-Length: 0",
        "content-length: 2, 2",
        "Content-Length: +2",
        "Content-Length: 99999999999999999999999",
        "Content-Type: application/json",
        "Empty:",
        "Empty: ",
        "Tab:\tx",
        "Late: x ",
        " folded: x",
        "Space : x",
        "Bell: \a",
        "High: \xe9",
        "no colon",
        "",
    ]
)
REQUESTS = st.builds(
    lambda method, target, version, lines, ends, body: (
        f"{method} {target} {version}" + ends + "".join(f"{x}{ends}" for x in lines) + ends + body
    ).encode("latin-1"),
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "get", "OPTIONS", "CONNECT"]),
    st.sampled_from(["/_ping", "/v1.41/containers/json?all=1", "*", "http://d/_ping", "/a b", "/\xe9", ""]),
    st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0"]),
    st.lists(LINES, max_size=4).map(lambda lines: ["Host: docker", *lines]) | st.lists(LINES, max_size=4),
    st.sampled_from(["\r\n", "\r\n", "\r\n", "\n"]),
    st.sampled_from(["", "", "{}", "{", "{}GET /_ping HTTP/1.1\r\n\r\n"]),
)


async def whole(found: Plain) -> bytes:
    return b"".join([part async for part in found.body()])


@given(REQUESTS)
@example(b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
@example(b"POST /x HTTP/1.1\r\nHost: docker\r\nContent-Length: 2\r\n\r\n{}")
def test_what_is_plain_is_the_same_to_h11(data: bytes) -> None:
    found = plain_request(data)
    if found is None:
        return
    http = h11.Connection(h11.SERVER)
    http.receive_data(data)
    head = http.next_event()
    assert isinstance(head, h11.Request)
    assert (head.method, head.target, head.http_version) == (found.method, found.target, b"1.1")
    assert {name.decode(): value.decode() for name, value in head.headers} == found.headers
    body = b""
    while not isinstance(event := http.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Data)
        body += event.data
    assert body == asyncio.run(whole(found))
    assert http.trailing_data == (b"", False) and http.their_state is h11.DONE
    assert not http.they_are_waiting_for_100_continue
    http.send(h11.Response(status_code=204, headers=[]))
    http.send(h11.EndOfMessage())
    http.start_next_cycle()  # raises where the connection is not to be kept


@pytest.mark.parametrize(
    "data",
    [
        b"HEAD /_ping HTTP/1.1\r\nHost: docker\r\nUser-Agent: Docker-Client/20.10.24+dfsg1 (linux)\r\n\r\n",  # docker
        b"GET /version HTTP/1.1\r\nHost: localhost\r\nUser-Agent: docker-sdk-python/7.1.0\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\n"
        b"Connection: keep-alive\r\n\r\n",  # docker-py
        b'POST /v1.41/containers/a/exec HTTP/1.1\r\nHost: docker\r\nContent-Length: 9\r\nContent-Type: application/json\r\n\r\n{"a": {}}',
    ],
)
def test_what_clients_send_is_plain(data: bytes) -> None:
    assert plain_request(data) is not None
    assert plain_request(data[:-1]) is None
    assert plain_request(data + b"G") is None


@pytest.mark.parametrize("status", [200, 201, 204, 404, 500])
def test_what_is_written_is_what_h11_writes(status: int) -> None:
    headers = usual_headers("Sanbashi/test (linux)", "application/json", [("Content-Length", "2")] if status != 204 else [])
    http = h11.Connection(h11.SERVER)
    http.receive_data(b"GET / HTTP/1.1\r\nHost: d\r\n\r\n")
    http.next_event()
    body = b"{}" if status != 204 else b""
    expected = http.send(head_of(status, headers)) or b""
    expected += (http.send(h11.Data(data=body)) or b"") if body else b""
    assert written(status, headers, body) == expected


def test_a_header_that_would_break_the_head_is_not_writable() -> None:
    assert writable([("Location", "/x y")]) and writable([])
    for value in ("a\r\nSet: b", "a\nb", "a\0", "\xe9"):
        assert not writable([("X", value)])
