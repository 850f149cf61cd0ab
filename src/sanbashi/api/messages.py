"""What a handler receives and gives back: requests, and the three kinds of answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol
from urllib.parse import parse_qs

import msgspec

from ..errors import Invalid
from ..records import dataclass

JSON = "application/json"
RAW_STREAM = "application/vnd.docker.raw-stream"
MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"
TAR = "application/x-tar"
MAX_JSON = 8 << 20  # bytes of a JSON body; whatever may be larger is read as a stream

Version = tuple[int, int]
MINIMUM: Version = (1, 24)  # Debian's docker-compose 1.29 speaks 1.38, the docker CLI 20.10 speaks 1.41
MAXIMUM: Version = (1, 56)  # the version whose recordings and specification we follow


def version_text(version: Version) -> str:
    """(1, 50) -> "1.50"."""
    return f"{version[0]}.{version[1]}"


class Stream(Protocol):
    """The raw bytes of a hijacked connection."""

    async def read(self) -> bytes:
        """The next bytes of the client, b"" when it has closed its side."""

    async def write(self, data: bytes) -> None:
        """Send bytes and wait till the client takes them; ConnectionError where it has gone."""

    async def gone(self) -> None:
        """Return when the client is known to have gone altogether."""


@dataclass(frozen=True)
class Response:
    """A complete answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Streamed:
    """An answer whose body comes bit by bit. `at_once`: the head is sent before the first bit; otherwise a failure before it is an ordinary error."""

    bits: AsyncIterator[bytes]
    content_type: str = JSON
    at_once: bool = True
    headers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Hijacked:
    """The connection stops being HTTP: `talk` has it to itself until it returns; `close` lets go of what was opened where talk never began.

    `begin` is called when the head has been sent, and need not wait until the client has read it. `head` is the whole head of the answer where it
    is not the usual one.
    """

    talk: Callable[[Stream], Awaitable[None]]
    content_type: str = RAW_STREAM
    close: Callable[[], None] = lambda: None
    begin: Callable[[], None] = lambda: None
    head: bytes = b""


Answer = Response | Streamed | Hijacked


async def no_body() -> AsyncIterator[bytes]:
    """A body of no bytes."""
    return
    yield b""


@dataclass
class Request:
    """One request; `version` is the API version it speaks, `parameters` the named parts of its path, `body` its bytes as they come."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: AsyncIterator[bytes] = field(default_factory=no_body)
    version: Version = MAXIMUM
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            self.arguments = parse_qs(self.query, keep_blank_values=True, max_num_fields=10_000)
        except ValueError as error:
            raise Invalid(f"invalid query: {error}") from error

    def __getitem__(self, name: str) -> str:
        """A named part of the path."""
        return self.parameters[name]

    def text(self, name: str, default: str = "") -> str:
        """A query argument, the first where there are several."""
        return self.arguments.get(name, [default])[0]

    def texts(self, name: str) -> list[str]:
        """Every value of a query argument."""
        return self.arguments.get(name, [])

    def flag(self, name: str, default: bool = False) -> bool:
        """A query argument as Docker reads booleans: anything but "", 0, no, false and none is true."""
        if name not in self.arguments:
            return default
        return self.text(name).strip().lower() not in ("", "0", "no", "false", "none")

    def integer(self, name: str, default: int | None = None) -> int | None:
        """A query argument that must be a whole number of 32 bits; the default where it is absent or empty."""
        text = self.text(name)
        if not text:
            return default
        try:
            number = int(text)
        except ValueError:
            raise Invalid(f'invalid value for {name}: "{text}" is not a number') from None
        if not -(2**31) <= number < 2**31:
            raise Invalid(f'invalid value for {name}: "{text}" is out of range')
        return number

    async def json(self, *, required: bool = False) -> Any:
        """The body as JSON, None where there is none and it is not `required`; failures in Docker's words."""
        raw = await self.whole_body()
        kind = self.headers.get("content-type", "").split(";")[0].strip().lower()
        if (kind or raw) and kind != JSON:
            raise Invalid(f"unsupported Content-Type header ({kind}): must be '{JSON}'")
        if not raw.strip():
            if required or raw:
                raise Invalid("invalid JSON: got EOF while reading request body")
            return None
        try:
            return msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if "trailing characters" in str(error):
                raise Invalid("unexpected content after JSON") from error
            raise Invalid(f"invalid JSON: {error}") from error
        except RecursionError as error:
            raise Invalid("invalid JSON: it is nested too deeply") from error

    async def whole_body(self) -> bytes:
        """The body in one piece, of a size that JSON may have."""
        parts, size = [], 0
        async for part in self.body:
            size += len(part)
            if size > MAX_JSON:
                raise Invalid(f"the request body is larger than {MAX_JSON} bytes")
            parts.append(part)
        return b"".join(parts)


def json_response(value: Any, status: int = 200, *, in_order: bool = True) -> Response:
    """An answer in JSON, with the newline at its end that Go's encoder writes. Not `in_order`: every object is sorted by name."""
    return Response(status, msgspec.json.encode(value, order=None if in_order else "sorted") + b"\n")


def empty(status: int = 204) -> Response:
    """An answer without a body."""
    return Response(status)
