"""One client's connection: requests in, answers out, and the moment when it stops being HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import cached_property
from http import HTTPStatus
from typing import Any

import h11

from ..errors import Forbidden, Invalid
from ..records import dataclass
from .messages import MAXIMUM, RAW_STREAM, Answer, Hijacked, Request, Response, Streamed, version_text
from .origin import check_origin
from .plain import Plain, plain_request, usual_headers, writable, written
from .raw import PIECE, RECHECK, Raw, hung_up, taken
from .status import answer as answer_to
from .status import failure

log = logging.getLogger("sanbashi.api")

MAX_HEAD = 256 * 1024  # bytes of a request's head; X-Registry-Auth can be long
IDLE = 600.0  # seconds that a connection may be kept without a request
HEAD_TIME = 60.0  # seconds that a request's head may take
# Bytes of an unread body that are read away: a unix client that is closed on in the middle of sending sees a reset instead of its answer.
LEFTOVER = 64 << 20

Serve = Callable[[Request], Awaitable[Answer]]


class Gone(Exception):
    """The client went away in the middle of its request."""


class Reader(asyncio.StreamReader):
    """A stream reader that says at once when the client has closed."""

    closed: Callable[[], None] = staticmethod(lambda: None)

    def feed_eof(self) -> None:
        super().feed_eof()
        self.closed()

    def set_exception(self, exc: Exception) -> None:
        """A client that closed and had not read all that was sent to it is told of so."""
        super().set_exception(exc)
        self.closed()


@dataclass(eq=False)
class Connection:
    """Serves one client. `serve` answers a request and never raises anything but CancelledError and Gone."""

    reader: Reader
    writer: asyncio.StreamWriter
    serve: Serve
    server_name: str
    idle: bool = True  # between two requests
    streaming: bool = False  # answering without an end in sight
    hijacked: bool = False
    last: bool = False  # the present request is the last one
    task: asyncio.Task[None] | None = None
    upgrade: bool = False

    @cached_property
    def http(self) -> h11.Connection:
        """What reads and writes whatever is not plain, made when it is first needed: most clients come with plain requests only."""
        return h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)

    @property
    def plain_so_far(self) -> bool:
        """Whether nothing has been h11's yet."""
        return "http" not in self.__dict__

    async def run(self) -> None:
        """Serve until the client has gone, the connection is to be closed or this task is cancelled."""
        self.task = asyncio.current_task()
        self.reader.closed = self.client_closed
        try:
            while await self.serve_one() and not self.last:
                if not self.plain_so_far and self.http.our_state is h11.DONE:  # a plain request passes it by
                    self.http.start_next_cycle()
        except (Gone, ConnectionError, TimeoutError):
            pass
        except h11.LocalProtocolError:
            log.exception("an answer broke the protocol")
        finally:
            self.reader.closed = lambda: None
            self.writer.close()

    # -- the client goes away

    def client_closed(self) -> None:
        """The client sends no more: end what we do for it, unless it only closed its writing side and still listens."""
        if self.task is None or self.idle or self.hijacked:
            return
        unix = self.socket.family == socket.AF_UNIX
        if hung_up(self.socket) if unix else not self.upgrade:
            self.task.cancel()
        elif unix:
            asyncio.get_running_loop().call_later(RECHECK, self.recheck)

    def recheck(self) -> None:
        if self.task is not None and not self.task.done() and not self.writer.is_closing():
            self.client_closed()

    @property
    def socket(self) -> Any:
        return self.writer.get_extra_info("socket")

    # -- a request

    async def serve_one(self) -> bool:
        """Serve one request; whether another may follow."""
        self.idle, self.streaming = True, False
        try:
            head = await self.head()
        except h11.RemoteProtocolError as error:
            if self.http.our_state is h11.IDLE:
                await self.respond(failure(error.error_status_hint, f"malformed HTTP: {error}"), b"GET")
            return False
        if head is None:
            return False
        self.idle = False
        try:
            request = self.request_of(head)
            given = await self.serve(request)
        except (Forbidden, Invalid) as error:  # of the request's own head
            given = answer_to(error)
        if isinstance(head, Plain):
            if isinstance(given, Response) and writable(given.headers):
                await self.respond_plainly(given, head.method)
                return True
            self.http.receive_data(head.data)  # an answer that lasts, or has strange headers, is h11's
            self.http.next_event()
        withheld = self.http.they_are_waiting_for_100_continue  # a body that was never asked for is not to be waited for
        if isinstance(given, Hijacked):
            if not withheld and await self.skip_body():
                await self.hijack(given)
            else:
                given.close()
            return False
        if isinstance(given, Streamed):
            await self.stream(given, head.method)
        else:
            await self.respond(given, head.method)
        return not withheld and await self.skip_body() and self.http.their_state is h11.DONE and self.http.our_state is h11.DONE

    async def head(self) -> h11.Request | Plain | None:
        """The next request's head, None at the end of the connection."""
        limit = asyncio.get_running_loop().time() + IDLE
        started = False
        while True:
            if not self.plain_so_far:
                event = self.http.next_event()
                if isinstance(event, h11.Request):
                    return event
                if event is not h11.NEED_DATA:
                    return None
            async with asyncio.timeout_at(limit):
                data = await self.reader.read(PIECE)
            if self.plain_so_far and not data:
                return None
            if not started and (self.plain_so_far or not self.http.trailing_data[0]) and (plain := plain_request(data)) is not None:
                return plain
            self.http.receive_data(data)
            if not started:
                started, limit = True, asyncio.get_running_loop().time() + HEAD_TIME

    def request_of(self, head: h11.Request | Plain) -> Request:
        """The request with its body still to come."""
        if isinstance(head, Plain):
            headers, body = head.headers, head.body()
        else:
            headers, body = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}, self.body()
        self.upgrade = headers.get("upgrade", "").lower() in ("tcp", "websocket")
        if self.socket.family != socket.AF_UNIX:
            check_origin(headers)
        path, _, query = head.target.decode("latin-1").partition("?")
        if "://" in path:  # the absolute form, as through a proxy
            path = "/" + path.split("://", 1)[1].partition("/")[2]
        return Request(head.method.decode("latin-1"), path, query, headers, body)

    async def body(self) -> AsyncIterator[bytes]:
        """The body as it comes; Gone where the client stops half way."""
        while self.http.their_state is h11.SEND_BODY:
            try:
                event = self.http.next_event()
            except h11.RemoteProtocolError as error:
                raise Gone from error
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif event is h11.NEED_DATA:
                if self.http.they_are_waiting_for_100_continue:
                    await self.send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
                self.http.receive_data(await self.reader.read(PIECE))
            else:
                return

    async def skip_body(self) -> bool:
        """Read away what the handler left of the body; False where the connection is better closed."""
        if self.http.their_state is h11.SEND_BODY:
            size = 0
            async for part in self.body():
                size += len(part)
                if size > LEFTOVER:
                    return False
        return True

    # -- an answer

    def headers(self, content_type: str, more: Iterable[tuple[str, str]] = ()) -> list[tuple[str, str]]:
        return usual_headers(self.server_name, content_type, more)

    async def respond_plainly(self, given: Response, method: bytes) -> None:
        """As respond(), to a plain request."""
        bodiless = given.status in (204, 304)
        length = [] if bodiless else [("Content-Length", str(len(given.body)))]
        body = b"" if bodiless or method == b"HEAD" else given.body
        self.writer.write(written(given.status, self.headers(given.content_type if given.body else "", (*given.headers, *length)), body))
        await self.writer.drain()

    async def respond(self, given: Response, method: bytes) -> None:
        """A complete answer; a HEAD request gets its head only."""
        bodiless = given.status in (204, 304)
        length = [] if bodiless else [("Content-Length", str(len(given.body)))]
        kind = given.content_type if given.body else ""
        out = self.http.send(head_of(given.status, self.headers(kind, (*given.headers, *length)))) or b""
        if given.body and not bodiless and method != b"HEAD":
            out += self.http.send(h11.Data(data=given.body)) or b""
        out += self.http.send(h11.EndOfMessage()) or b""
        self.writer.write(out)
        await self.writer.drain()

    async def stream(self, given: Streamed, method: bytes) -> None:
        """An answer bit by bit. What fails after the head has gone cuts the connection, as nothing else can tell the client."""
        self.streaming = True
        bits = given.bits
        try:
            first: bytes | None = None
            if not given.at_once:
                try:
                    first = await anext(bits, None)
                except Exception as error:  # the boundary: whatever it is becomes an answer
                    if isinstance(error, Gone):
                        raise
                    await self.respond(answer_to(error), method)
                    return
            await self.send(head_of(200, self.headers(given.content_type, given.headers)))
            if method != b"HEAD":
                await self.send_bits(first or b"", bits)
            await self.send(h11.EndOfMessage())
        except (Gone, ConnectionError, h11.LocalProtocolError):
            raise
        except Exception as error:
            answer_to(error)  # logs what is strange
            log.warning("an answer was cut short: %s", error)
            raise Gone from error
        finally:
            close = getattr(bits, "aclose", None)
            if close is not None:
                await close()

    async def send_bits(self, first: bytes, bits: AsyncIterator[bytes]) -> None:
        """Send bits as they come: those that are there at once go together, so that a long log costs no system call a line."""
        pending = bytearray(first)
        loop, transport = asyncio.get_running_loop(), self.writer.transport

        def flush() -> None:
            if pending and not transport.is_closing():
                self.writer.write(self.http.send(h11.Data(data=bytes(pending))) or b"")
                pending.clear()

        flush()
        async for bit in bits:
            if not pending:
                loop.call_soon(flush)  # runs as soon as the source makes us wait
            pending += bit
            if len(pending) >= PIECE or transport.get_write_buffer_size() > PIECE:
                flush()
                await self.writer.drain()
                await asyncio.sleep(0)  # drain does not wait for a client that keeps up, and others want their turn
        flush()

    async def hijack(self, given: Hijacked) -> None:
        """Hand the connection over: 101 where the client asked for it, else the old 200 with a raw stream."""
        self.streaming = self.hijacked = True
        early = self.http.trailing_data[0]
        if self.upgrade:
            head = f"HTTP/1.1 101 UPGRADED\r\nContent-Type: {given.content_type}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        else:
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {given.content_type or RAW_STREAM}\r\n"
        head += f"Api-Version: {version_text(MAXIMUM)}\r\nOstype: linux\r\nServer: {self.server_name}\r\n\r\n"
        talking = False
        try:
            raw = Raw(self.reader, self.writer, bytes(early), self.socket)
            await raw.write(given.head or head.encode())
            given.begin()
            await taken(self.socket)
            talking = True
            await given.talk(raw)
            if self.writer.can_write_eof():
                with contextlib.suppress(OSError):
                    self.writer.write_eof()
        except (ConnectionError, Gone):
            pass
        except Exception as error:
            answer_to(error)
        finally:
            if not talking:
                given.close()

    async def send(self, event: h11.Event) -> None:
        data = self.http.send(event)
        if data:
            self.writer.write(data)
            await self.writer.drain()


def head_of(status: int, headers: list[tuple[str, str]]) -> h11.Response:
    """A response's head with the usual reason."""
    return h11.Response(status_code=status, headers=headers, reason=HTTPStatus(status).phrase.encode())
