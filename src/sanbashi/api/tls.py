"""TLS in front of the API: what a client sends is decrypted onto a socket pair, behind which it is served like one on a unix socket.

asyncio's own TLS ends both directions when a client closes its writing side, and `echo | docker run -i` would lose its output. Here
close_notify of one direction leaves the other open.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import field
from pathlib import Path

from ..errors import Invalid
from ..records import dataclass

log = logging.getLogger("sanbashi.api")

PIECE = 64 * 1024
# How a client that speaks HTTP without TLS begins, and what Go's servers tell it.
PLAIN = (b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO")
PLAIN_ANSWER = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
HANDSHAKE_TIME = 15.0  # seconds


def server_context(certificate: Path, key: Path, authority: Path | None) -> ssl.SSLContext:
    """What we are and whom we serve: with an authority only clients whose certificates it has signed. Invalid where a file is no use."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise Invalid(f'could not load X509 key pair (cert: "{certificate}", key: "{key}"): {reason(error)}') from error
    if authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(authority)
        except OSError as error:
            raise Invalid(f'could not read CA certificate "{authority}": {reason(error)}') from error
    return context


def reason(error: OSError) -> str:
    """Why, in a few words."""
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error)
    return (error.strerror or str(error)).lower()


class Refused(Exception):
    """The client did not show what it had to."""


@dataclass
class Tunnel:
    """One client's connection: TLS outside, plain bytes on the other end of a socket pair."""

    context: ssl.SSLContext
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    incoming: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    outgoing: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)

    def __post_init__(self) -> None:
        self.tls = self.context.wrap_bio(self.incoming, self.outgoing, server_side=True)

    async def run(self, serve: Callable[[socket.socket], Awaitable[object]]) -> None:
        """Shake hands, hand the plain end to `serve`, and carry bytes until both sides have ended."""
        try:
            async with asyncio.timeout(HANDSHAKE_TIME):
                await self.shake_hands()
        except (Refused, ConnectionError, TimeoutError) as error:
            log.info("TLS handshake from %s: %s", self.writer.get_extra_info("peername"), error or "timed out")
            self.writer.close()
            return
        ours, its = socket.socketpair()
        ours.setblocking(False)
        its.setblocking(False)
        plain_reader, plain_writer = await asyncio.open_unix_connection(sock=ours)
        await serve(its)
        inward = asyncio.create_task(self.carry_in(plain_writer))
        outward = asyncio.create_task(self.carry_out(plain_reader))
        try:
            # Each ends when its connection is over; the client's end of sending alone does not end either.
            await asyncio.wait((outward, inward), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (inward, outward):
                task.cancel()
            await asyncio.gather(inward, outward, return_exceptions=True)
            plain_writer.close()
            self.writer.close()

    async def shake_hands(self) -> None:
        """Refused where the client is none that we serve."""
        first = True
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.flush()
                data = await self.reader.read(PIECE)
                if not data:
                    raise Refused("the client went away") from None
                if first and data.startswith(PLAIN):
                    self.writer.write(PLAIN_ANSWER)
                    raise Refused("client sent an HTTP request to an HTTPS server") from None
                first = False
                self.incoming.write(data)
            except ssl.SSLError as error:
                with contextlib.suppress(ConnectionError):
                    await self.flush()  # the alert that says why
                raise Refused(reason(error)) from error
            else:
                await self.flush()
                return

    async def flush(self) -> None:
        """What TLS wants to say goes to the client."""
        if self.outgoing.pending:
            self.writer.write(self.outgoing.read())
            await self.writer.drain()

    async def carry_in(self, plain: asyncio.StreamWriter) -> None:
        """The client's bytes, decrypted, until it is gone altogether."""
        while True:
            try:
                data = self.tls.read(PIECE)
            except ssl.SSLWantReadError:
                await self.flush()  # an answer to a renegotiation or a key update
                received = await self.reader.read(PIECE)
                if not received:
                    return
                self.incoming.write(received)
                continue
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError:
                return
            if not data:
                plain.write_eof()
                break
            plain.write(data)
            await plain.drain()
        while await self.reader.read(PIECE):  # nothing may follow close_notify; the end of TCP says that the client has gone
            pass

    async def carry_out(self, plain: asyncio.StreamReader) -> None:
        """Our bytes, encrypted, then the word that there are no more."""
        while data := await plain.read(PIECE):
            self.tls.write(data)
            await self.flush()
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        await self.flush()
