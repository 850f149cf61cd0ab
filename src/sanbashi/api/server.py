"""The API's server: its sockets, its connections and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import ipaddress
import logging
import os
import socket
import ssl
import stat
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..daemon.config import DaemonConfig
from ..errors import Invalid
from ..records import dataclass
from .connection import Connection, Gone, Reader
from .door import Door
from .messages import Answer, Request
from .plain import usual_headers, written
from .raw import PIECE
from .router import Router
from .routes.system import PONG
from .status import answer
from .tls import Tunnel, server_context

if TYPE_CHECKING:
    from ..daemon.engine import Engine

log = logging.getLogger("sanbashi.api")

MAX_CONNECTIONS = 2048  # beyond it the longest idle ones are closed
GRACE = 3.0  # seconds for requests under way when the daemon goes down
BACKLOG = 512
FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START


@dataclass
class Server:
    """Serves an engine on any number of sockets."""

    engine: Engine
    name: str = "Sanbashi"
    router: Router = field(default_factory=Router)
    listening: list[asyncio.AbstractServer | Door] = field(default_factory=list)
    made: list[Path] = field(default_factory=list)  # socket files that are ours to remove
    connections: dict[Connection, None] = field(default_factory=dict)  # oldest first
    tunnels: set[asyncio.Task[None]] = field(default_factory=set)
    closed: bool = False

    async def answer(self, request: Request) -> Answer:
        """The answer to a request, whatever happens."""
        try:
            return await self.router.find(request)(self.engine, request)
        except Gone:
            raise
        except Exception as error:  # the boundary: no failure of a handler reaches a client as anything but an answer
            return answer(error)

    async def listen(self, sock: socket.socket) -> None:
        """Serve on a listening socket."""
        if sock.family == socket.AF_UNIX:
            door = Door(sock, self.adopt, self.ping)
            door.open(BACKLOG)
            self.listening.append(door)
            return
        sock.setblocking(False)
        self.listening.append(await asyncio.get_running_loop().create_server(self.protocol, sock=sock, backlog=BACKLOG))

    def ping(self, whole: bool) -> bytes:
        """The answer to a ping; not `whole`: its head alone."""
        length = ("Content-Length", str(len(PONG.body)))
        return written(PONG.status, usual_headers(self.name, PONG.content_type, (*PONG.headers, length)), PONG.body if whole else b"")

    async def listen_tls(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        """Serve on a listening socket, behind TLS."""
        sock.setblocking(False)

        async def tunnelled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            task = asyncio.current_task()
            assert task is not None
            self.tunnels.add(task)
            try:
                await Tunnel(context, reader, writer).run(self.adopt)
            except (ConnectionError, asyncio.CancelledError):
                writer.close()
            finally:
                self.tunnels.discard(task)

        self.listening.append(await asyncio.start_server(tunnelled, sock=sock, backlog=BACKLOG))

    async def adopt(self, sock: socket.socket, early: bytes = b"") -> object:
        """Serve a connection that stands already, and has sent this."""
        return await asyncio.get_running_loop().connect_accepted_socket(lambda: self.protocol(early), sock)

    def protocol(self, early: bytes = b"") -> asyncio.Protocol:
        reader = Reader(limit=PIECE)
        if early:
            reader.feed_data(early)
        return asyncio.StreamReaderProtocol(reader, self.connected)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A client's whole stay."""
        assert isinstance(reader, Reader)
        if self.closed:  # it came in at the last moment
            writer.close()
            return
        connection = Connection(reader, writer, self.answer, self.name)
        sock = connection.socket
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a peer that vanished is noticed in the end
        self.connections[connection] = None
        self.bound_idle()
        try:
            await connection.run()
        except asyncio.CancelledError:
            # Ours (the client has gone, the daemon ends): the task is over either way, and asyncio would log it as a failure.
            pass
        finally:
            self.connections.pop(connection, None)

    def bound_idle(self) -> None:
        """Close idle connections where there are too many."""
        surplus = len(self.connections) - MAX_CONNECTIONS
        if surplus > 0:
            for connection in [c for c in self.connections if c.idle and c.task is not None][:surplus]:
                assert connection.task is not None
                connection.task.cancel()

    async def close(self) -> None:
        """Stop listening, let requests under way finish, end streams, remove our socket files."""
        self.closed = True
        for server in self.listening:
            server.close()
        for path in self.made:
            path.unlink(missing_ok=True)
        for connection in list(self.connections):
            connection.last = True
            if (connection.idle or connection.streaming) and connection.task is not None:
                connection.task.cancel()
        tasks = [c.task for c in self.connections if c.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=GRACE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self.tunnels:  # they end by themselves, with what was answered last
            _, left = await asyncio.wait(self.tunnels, timeout=GRACE)
            for tunnel in left:
                tunnel.cancel()
            await asyncio.gather(*left, return_exceptions=True)


def check_hosts(config: DaemonConfig) -> None:
    """Invalid for what serve() would refuse by the settings alone: to be asked before the daemon changes anything."""
    certificates(config)
    for host in config.hosts:
        if host.startswith("tcp://"):
            tcp_address(host, verified=config.tls and config.tlsverify)
        elif host.startswith("unix://"):
            group_id(config.group)


def certificates(config: DaemonConfig) -> ssl.SSLContext | None:
    return server_context(config.tlscert, config.tlskey, config.tlscacert if config.tlsverify else None) if config.tls else None


async def serve(engine: Engine, config: DaemonConfig) -> Server:
    """Listen where the settings say; every socket is open when this returns."""
    server = Server(engine, f"Sanbashi/{engine.version()['Version']} (linux)")
    try:
        context = certificates(config)
        for host in config.hosts:
            for sock in sockets_of(host, config.group, server.made.append, verified=config.tls and config.tlsverify):
                if context is not None and sock.family != socket.AF_UNIX:
                    await server.listen_tls(sock, context)
                else:
                    await server.listen(sock)
    except BaseException:
        await server.close()
        raise
    return server


def sockets_of(host: str, group: str, made: Callable[[Path], None], *, verified: bool = False) -> list[socket.socket]:
    """The listening sockets of one -H: unix://PATH, tcp://ADDRESS:PORT or fd:// (those that systemd hands over).

    `verified`: clients on TCP have to show a certificate, so that any address may be served.
    """
    scheme, _, rest = host.partition("://")
    if scheme == "unix":
        path = Path(rest)
        sock = unix_socket(path, group)
        made(path)
        return [sock]
    if scheme == "tcp":
        return [tcp_socket(host, verified=verified)]
    if scheme == "fd":
        return handed_over(verified=verified)
    raise Invalid(f"invalid host {host!r}", hint="wants unix:///PATH, tcp://127.0.0.1:PORT or fd://")


def unix_socket(path: Path, group: str) -> socket.socket:
    """A unix socket that root and the group may use, nobody else; a left-over of a daemon that is gone is replaced."""
    number = group_id(group)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise Invalid(f"can't create unix socket {path}: a file that is no socket is there")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
                probe.connect(str(path))
                raise Invalid(f"can't create unix socket {path}: another daemon listens there", hint="end it, or start this one with another --host")
        path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # nobody can connect before the group is right
    try:
        sock.bind(str(path))
    except OSError as error:
        sock.close()
        raise Invalid(f"can't create unix socket {path}: {error}") from error
    finally:
        os.umask(before)
    if os.geteuid() == 0:
        if number is None:
            log.warning("could not change the group of %s to %s: there is no such group; only root can use it", path, group)
        else:
            os.chown(path, 0, number)
    path.chmod(0o660)
    return sock


def group_id(group: str) -> int | None:
    """A group's number by name or number; None where the usual one is not there, Invalid where one that somebody chose is not."""
    try:
        return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        if group == DaemonConfig().group:
            return None
        raise Invalid(f"group {group} not found", hint="make it (groupadd), or leave --group out") from None


def tcp_address(host: str, *, verified: bool = False) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """The address and port of a tcp:// host: a loopback address, unless clients are verified, as who reaches the API is root."""
    try:
        url = urlsplit(host)
        name, port = url.hostname or "127.0.0.1", url.port if url.port is not None else 2376 if verified else 2375
        address = ipaddress.ip_address("127.0.0.1" if name == "localhost" else name)
    except ValueError as error:
        raise Invalid(f"invalid host {host!r}: {error}") from error
    if not address.is_loopback and not verified:
        raise Invalid(
            f"refusing to listen on {host}: without --tlsverify only loopback addresses are served",
            hint="give --tlsverify --tlscacert --tlscert --tlskey, or use tcp://127.0.0.1:PORT and ssh -L",
        )
    return address, port


def tcp_socket(host: str, *, verified: bool = False) -> socket.socket:
    """A TCP socket on that address."""
    address, port = tcp_address(host, verified=verified)
    sock = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((str(address), port))
    except OSError as error:
        sock.close()
        raise Invalid(f"cannot listen on {host}: {error.strerror}") from error
    return sock


def handed_over(*, verified: bool = False) -> list[socket.socket]:
    """The sockets of systemd's activation."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not os.environ.get("LISTEN_FDS", "").isdigit():
        raise Invalid("no sockets found via socket activation: make sure the service was started by systemd")
    found = [socket.socket(fileno=FIRST_DESCRIPTOR + n) for n in range(int(os.environ["LISTEN_FDS"]))]
    for sock in found:
        os.set_inheritable(sock.fileno(), False)
        if sock.family != socket.AF_UNIX and not verified and not ipaddress.ip_address(sock.getsockname()[0]).is_loopback:
            raise Invalid(f"refusing the TCP socket {sock.getsockname()[0]} from systemd: without --tlsverify only loopback addresses are served")
    return found
