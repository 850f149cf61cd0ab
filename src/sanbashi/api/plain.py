"""Plain requests and answers, between bytes and values in one step; whatever is not quite plain is left to h11.

Nearly every request of Docker's clients comes whole with one read, is of HTTP/1.1, keeps its connection and says how long its body is. On a
daemon that slept, most of an answer's time is code that the processor has not at hand; this is little of it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from email.utils import formatdate
from http import HTTPStatus

from ..records import dataclass
from .messages import MAXIMUM, version_text

# Narrower than HTTP: no folded lines, no tabs, no bytes beyond ASCII, no empty values.
HEAD = re.compile(rb"(GET|HEAD|POST|PUT|DELETE) ([!-~]+) HTTP/1\.1\r\n((?:[A-Za-z0-9-]+: ?[!-~](?:[ -~]*[!-~])?\r\n)+)\r\n")
# Those that change how a message is framed, or what becomes of the connection.
NOT_PLAIN = frozenset({"transfer-encoding", "expect", "upgrade", "te", "trailer"})
LENGTH_DIGITS = 6  # of a body that fits into one read


@dataclass(frozen=True, slots=True)
class Plain:
    """A request that came whole; `data` is all of it, as it came."""

    method: bytes
    target: bytes
    headers: dict[str, str]  # names in lower case
    content: bytes
    data: bytes

    async def body(self) -> AsyncIterator[bytes]:
        if self.content:
            yield self.content


def plain_request(data: bytes) -> Plain | None:
    """The one request that these bytes are, neither less nor more; None where h11 has to look."""
    match = HEAD.match(data)
    if match is None:
        return None
    lines = match[3].decode("ascii").split("\r\n")[:-1]
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.lstrip()
    if len(headers) < len(lines) or "host" not in headers or not NOT_PLAIN.isdisjoint(headers):
        return None
    if headers.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    length, content = headers.get("content-length", "0"), data[match.end() :]
    if not length.isdigit() or len(length) > LENGTH_DIGITS or int(length) != len(content):
        return None
    return Plain(match[1], match[2], headers, content, data)


def usual_headers(server: str, content_type: str, more: Iterable[tuple[str, str]] = ()) -> list[tuple[str, str]]:
    """The headers of every answer, and what it has of its own."""
    return [
        ("Api-Version", version_text(MAXIMUM)),
        *([("Content-Type", content_type)] if content_type else []),
        ("Date", formatdate(usegmt=True)),
        ("Docker-Experimental", "false"),
        ("Ostype", "linux"),
        ("Server", server),
        *more,
    ]


def writable(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether these values are plain too; h11 refuses those that would break the head."""
    return all(value.isascii() and value.isprintable() for _, value in headers)


def written(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """An answer as bytes; the headers say how long it is, and are writable()."""
    head = "".join([f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n", *(f"{name}: {value}\r\n" for name, value in headers), "\r\n"])
    return head.encode("latin-1") + body
