"""TLS to a daemon: a thread carries bytes between a socket pair and the encrypted connection, so that the rest of us has a plain socket.

Half-closed connections (`run -i` whose input has ended) need it: Python's TLS sockets can only close both directions at once.
"""

import contextlib
import select
import socket
import ssl
import threading

from sanbashi.cli.failure import Failure

PIECE = 65536


class Trust:
    """Which certificates are shown and believed: paths of PEM files; `verify` False believes any server."""

    __slots__ = ("authority", "certificate", "key", "verify")

    def __init__(self, *, verify: bool, authority: str, certificate: str, key: str) -> None:
        self.verify = verify
        self.authority = authority
        self.certificate = certificate
        self.key = key

    def context(self) -> ssl.SSLContext:
        """For one connection; Failure with docker's words for a file that is no use."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            try:
                context.load_verify_locations(self.authority)
            except OSError as problem:
                raise Failure(f'could not read CA certificate "{self.authority}": {reason(problem)}') from None
        try:
            context.load_cert_chain(self.certificate, self.key)
        except FileNotFoundError as problem:
            if self.verify:
                raise Failure(f'could not load X509 key pair (cert: "{self.certificate}", key: "{self.key}"): {reason(problem)}') from None
        except OSError as problem:
            raise Failure(f'could not load X509 key pair (cert: "{self.certificate}", key: "{self.key}"): {reason(problem)}') from None
        return context


def reason(problem: OSError) -> str:
    """Why, in a few words."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        return str(problem.verify_message)
    if isinstance(problem, ssl.SSLError):
        return str(problem.reason or problem)
    return (problem.strerror or str(problem)).lower()


def plain_end(connected: socket.socket, trust: Trust, name: str) -> socket.socket:
    """The plain side of a connection that stands; Failure where the other side is not who it should be."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trust.context().wrap_bio(incoming, outgoing, server_hostname=name)
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            connected.sendall(outgoing.read())
            data = connected.recv(PIECE)
            if not data:
                raise Failure("error during connect: the daemon closed the connection during the TLS handshake") from None
            incoming.write(data)
        except ssl.SSLError as problem:
            raise Failure(f"error during connect: tls: {reason(problem)}") from None
        else:
            break
    connected.sendall(outgoing.read())
    ours, its = socket.socketpair()
    threading.Thread(target=Tunnel(connected, tls, incoming, outgoing, its).run, daemon=True).start()
    return ours


class Tunnel:
    """Carries both directions until both have ended."""

    def __init__(self, connected: socket.socket, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, plain: socket.socket) -> None:
        self.connected = connected
        self.tls = tls
        self.incoming = incoming
        self.outgoing = outgoing
        self.plain = plain

    def run(self) -> None:
        """The thread."""
        sources = [self.connected, self.plain]
        try:
            self.decrypt()  # what came with the handshake
            while self.connected in sources:
                ready, _, _ = select.select(sources, [], [])
                if self.plain in ready and not self.send(self.plain.recv(PIECE)):
                    sources.remove(self.plain)
                if self.connected in ready and not self.receive(self.connected.recv(PIECE)):
                    sources.remove(self.connected)
        except OSError:
            pass  # one side has gone: the other is told by closing
        finally:
            self.plain.close()
            self.connected.close()

    def send(self, data: bytes) -> bool:
        """Our bytes; none ends our direction alone."""
        if data:
            self.tls.write(data)
        else:
            self.decrypt()  # shutting down must not meet what is still unread
            with contextlib.suppress(ssl.SSLError):  # the other side's own word comes later
                self.tls.unwrap()
        self.connected.sendall(self.outgoing.read())
        return bool(data)

    def receive(self, data: bytes) -> bool:
        """The daemon's bytes; False when there are no more."""
        if not data:
            return False
        self.incoming.write(data)
        return self.decrypt()

    def decrypt(self) -> bool:
        """What can be read now goes to us; False after the daemon's last."""
        while True:
            try:
                data = self.tls.read(PIECE)
            except ssl.SSLWantReadError:
                if self.outgoing.pending:
                    self.connected.sendall(self.outgoing.read())
                return True
            except ssl.SSLZeroReturnError:
                return False
            except ssl.SSLError as problem:
                # TLS 1.3 refuses a client's certificate only here, after the handshake.
                self.plain.sendall(refusal(reason(problem)))
                return False
            if not data:
                return False
            self.plain.sendall(data)


def refusal(why: str) -> bytes:
    """What the daemon's TLS said, as an answer that the client understands."""
    body = f"tls: {why}\n".encode()
    return b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
