"""A world for the keeper: a network namespace as the host, others as sandboxes, and DNS servers that behave as told.

Namespaces are held by descriptors alone, so that nothing is mounted and nothing can be left behind.
"""

from __future__ import annotations

import ctypes
import os
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

import pytest

from sanbashi.host.keeper import KeeperClient
from sanbashi.network.picture import Item, Names, Resolver, Zone

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
PATIENCE = 15.0  # seconds for what is there as soon as the machine comes to it
T = TypeVar("T")
TYPES = {"A": 1, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")
Behaviour = Callable[[bytes], "list[bytes]"]


def on_thread(work: Callable[[], T]) -> T:
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # raised again below
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def here() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def setns(descriptor: int) -> None:
    if LIBC.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def query(name: str, kind: str = "A", *, edns: int = 0, identity: int = 0xBEEF) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"
    extra = struct.pack(">BHHIH", 0, 41, edns, 0, 0) if edns else b""
    return struct.pack(">6H", identity, 0x0100, 1, 0, 0, 1 if edns else 0) + labels + struct.pack(">HH", TYPES[kind], 1) + extra


def reply(data: bytes, *addresses: str, rcode: int = 0, ttl: int = 30, truncated: bool = False, identity: bytes = b"") -> bytes:
    """A server's reply to a question without EDNS."""
    flags = 0x8180 | rcode | (0x0200 if truncated else 0)
    records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, ttl, 4) + ip_address(address).packed for address in addresses)
    return (identity or data[:2]) + struct.pack(">5H", flags, 1, len(addresses), 0, 0) + data[12:] + records


def read(data: bytes, identity: int = 0xBEEF) -> str:
    """A reply to one question in short: "NOERROR 10.0.0.2 10.0.0.3", "NOERROR tc", "no reply"."""
    if not data:
        return "no reply"
    assert data[:2] == identity.to_bytes(2, "big")
    flags, _questions, answers = struct.unpack_from(">HHH", data, 2)
    assert flags & 0x8080 == 0x8080
    words = [RCODES[flags & 15], *(["tc"] if flags & 0x0200 else [])]
    offset = 12
    while _questions and data[offset]:
        offset += 1 + data[offset]
    offset += 5
    for _ in range(answers):
        kind, _class, _ttl, length = struct.unpack_from(">HHIH", data, offset + 2)
        value = data[offset + 12 : offset + 12 + length]
        words.append(str(ip_address(value)) if kind in (1, 28) else value[1:-1].decode("latin-1"))
        offset += 12 + length
    return " ".join(words)


class Server:
    """A DNS server on UDP and TCP in whatever namespace it is made in; `behave` says what it sends for a question, `seen` what came."""

    def __init__(self, address: str, behave: Behaviour, *, delay: float = 0, stream: Behaviour | None = None) -> None:
        self.behave, self.delay, self.stream = behave, delay, stream or behave
        self.seen: list[tuple[str, bytes]] = []
        self._udp = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp = socket.socket(self._udp.family, socket.SOCK_STREAM)
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._udp.bind((address, 53))
        self._tcp.bind((address, 53))
        self._tcp.listen()
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._udp, self._tcp, self._stop], [], [])
            if self._stop in ready:
                return
            if self._udp in ready:
                data, client = self._udp.recvfrom(4096)
                self.seen.append(("udp", data))
                self._wait()
                for answer in self.behave(data):
                    self._udp.sendto(answer, client)
            if self._tcp in ready:
                connected, _ = self._tcp.accept()
                with connected:
                    connected.settimeout(PATIENCE)
                    data = connected.recv(4096)[2:]
                    self.seen.append(("tcp", data))
                    self._wait()
                    for answer in self.stream(data):
                        connected.sendall(len(answer).to_bytes(2, "big") + answer)

    def _wait(self) -> None:
        select.select([self._stop], [], [], self.delay)

    def close(self) -> None:
        os.write(self._stopped, b"x")
        self._thread.join()
        for open_socket in (self._udp, self._tcp):
            open_socket.close()
        os.close(self._stop)
        os.close(self._stopped)


def runs(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    status = Path(f"/proc/{pid}/stat")
    return bool(pid) and status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


class World:
    """The host is the namespace of the test's own thread."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.resolv_conf = root / "resolv.conf"
        self.resolv_conf.write_text("")
        self.lost = threading.Event()
        self.client = self.another_client()
        self._sandboxes: dict[str, int] = {}
        self._servers: list[Server] = []

    def another_client(self) -> KeeperClient:
        return KeeperClient(self.root, namespaces=self.path, on_lost=lambda: self.lost.set(), resolv_conf=self.resolv_conf)

    def path(self, sandbox: str) -> Path:
        return Path(f"/proc/{os.getpid()}/fd/{self._sandboxes[sandbox]}")

    def sandbox(self, name: str) -> str:
        """A new namespace with lo up."""

        def make() -> int:
            assert LIBC.unshare(CLONE_NEWNET) == 0
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            return here()

        self._sandboxes[name] = on_thread(make)
        return name

    def inside(self, sandbox: str, work: Callable[[], T]) -> T:
        """Run on a thread inside a sandbox, or on the host where it is ""."""

        def enter() -> T:
            setns(self._sandboxes[sandbox])
            return work()

        return on_thread(enter) if sandbox else work()

    def server(self, sandbox: str, address: str, behave: Behaviour, **how: object) -> Server:
        server = self.inside(sandbox, lambda: Server(address, behave, **how))  # type: ignore[arg-type]
        self._servers.append(server)
        return server

    def resolver(self, sandbox: str, *more: Item, networks: tuple[str, ...] = ("n1",), **fields: object) -> int:
        """A resolver in a sandbox and other items beside it; its port."""
        stand = self.client.change((), [*more, Resolver(sandbox, networks, **fields)])  # type: ignore[arg-type]
        return next(item.port for item in stand if isinstance(item, Resolver))

    def connected(self, sandbox: str, port: int, kind: int = socket.SOCK_DGRAM) -> socket.socket:
        def connect() -> socket.socket:
            opened = socket.socket(socket.AF_INET, kind)
            opened.settimeout(PATIENCE)
            opened.connect(("127.0.0.11", port))
            return opened

        return self.inside(sandbox, connect)

    def ask(self, sandbox: str, port: int, name: str, kind: str = "A", *, edns: int = 0) -> str:
        return self.send(sandbox, port, query(name, kind, edns=edns))

    def send(self, sandbox: str, port: int, data: bytes) -> str:
        with self.connected(sandbox, port) as udp:
            udp.send(data)
            return read(udp.recv(65535))

    def ask_tcp(self, sandbox: str, port: int, name: str, kind: str = "A") -> str:
        with self.connected(sandbox, port, socket.SOCK_STREAM) as tcp:
            return self.over(tcp, query(name, kind))

    @staticmethod
    def over(tcp: socket.socket, *questions: bytes) -> str:
        tcp.sendall(b"".join(len(data).to_bytes(2, "big") + data for data in questions))
        replies = []
        stream = tcp.makefile("rb")
        for _ in questions:
            replies.append(read(stream.read(int.from_bytes(stream.read(2), "big"))))
        return " | ".join(replies)

    def follow(self, *servers: str) -> None:
        """The host's resolv.conf from now on; the keeper looks again after a second."""
        new = self.root / "resolv.new"
        new.write_text("".join(f"nameserver {server}\n" for server in servers))
        new.rename(self.resolv_conf)

    def rests(self) -> bool:
        """Whether the keeper sleeps until something happens: who turns in a circle is never found asleep, who wakes all the time switches often."""
        folder = Path(f"/proc/{self.client.pid}")

        def switches() -> int:
            return int((folder / "status").read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])

        def asleep() -> bool:
            before, states = switches(), set()
            for _ in range(30):
                time.sleep(0.01)
                states.add((folder / "stat").read_text().rpartition(")")[2].split()[0])
            # Its own timers wake it once a second.
            return "S" in states and switches() - before < 20

        return any(asleep() for _ in range(20))  # on a busy machine it is not done at once with what it was given

    def close(self) -> None:
        for server in self._servers:
            server.close()
        pid = self.client.pid
        self.client.end()
        deadline = time.monotonic() + 10  # its lock is free a moment before its process is gone
        while runs(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not runs(pid)
        for descriptor in self._sandboxes.values():
            os.close(descriptor)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    if os.geteuid():
        pytest.skip("needs root")
    home = here()
    assert LIBC.unshare(CLONE_NEWNET) == 0
    made: World | None = None
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        made = World(tmp_path)
        yield made
    finally:
        if made is not None:
            made.close()
        setns(home)
        os.close(home)


@pytest.fixture
def app() -> list[Item]:
    """A network of two containers that share an alias."""
    return [
        Zone("n1", "app"),
        Names("n1", "e1", ("web01", "web"), (ip_address("10.0.0.2"), ip_address("fd00::2"))),
        Names("n1", "e2", ("web02", "web"), (ip_address("10.0.0.3"),)),
    ]


def eventually(holds: Callable[[], bool]) -> None:
    """Until something holds that no event tells of."""
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture(name="eventually")
def eventually_() -> Callable[[Callable[[], bool]], None]:
    return eventually


@pytest.fixture(name="query")
def query_() -> Callable[..., bytes]:
    return query


@pytest.fixture(name="reply")
def reply_() -> Callable[..., bytes]:
    return reply
