"""A little world for the kernel tests: our host, a neighbouring host, containers as bare namespaces, and real packets between them.

The host is a thread with a network and a mount namespace of its own, so that nothing of the machine is touched and everything goes with the
thread. Sockets belong to the namespace they were opened in, so one thread answers for every listener and clients need no process.
"""

from __future__ import annotations

import ctypes
import os
import queue
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sanbashi.host.counts import Counts
from sanbashi.host.facts import probe
from sanbashi.host.kernel import Kernel
from sanbashi.network.picture import Item, Picture
from sanbashi.network.plan import Step

T = TypeVar("T")
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
PATIENCE = 0.7  # seconds a client waits for what must not come; what is dropped takes as long
AGAIN = 5.0  # until a datagram is sent again
ANSWERED = 20.0  # and for what must come, however busy the machine is
NOTHING = "no answer"

UP4, UP4B, UP6 = "192.0.2.1", "192.0.2.10", "2001:db8::1"  # the host, towards the neighbour
NB4, NB6 = "192.0.2.2", "2001:db8::2"


def check(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def own_network() -> int:
    """A descriptor of the calling thread's network namespace."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Place(threading.Thread):
    """A thread in a network namespace, which does what it is given; `own_mounts` gives it a mount namespace too."""

    def __init__(self, descriptor: int | None = None, *, own_mounts: bool = False) -> None:
        super().__init__(name="place", daemon=True)
        self.work: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self.descriptor, self.own_mounts = descriptor, own_mounts
        self.start()
        self.network = self.do(own_network)

    def run(self) -> None:
        first = self.work.get()
        assert first is not None
        try:
            if self.own_mounts:
                check(LIBC.unshare(CLONE_NEWNS), "own mounts")
                check(LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "private mounts")
            if self.descriptor is None:
                check(LIBC.unshare(CLONE_NEWNET), "own network")
            else:
                check(LIBC.setns(self.descriptor, CLONE_NEWNET), "enter network")
        except OSError as error:
            first[1].set_exception(error)
            return
        task: tuple[Callable[[], Any], Future[Any]] | None = first
        while task is not None:
            work, result = task
            try:
                result.set_result(work())
            except BaseException as error:  # belongs to the one who asked
                result.set_exception(error)
            task = self.work.get()

    def begin(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        result: Future[T] = Future()
        self.work.put((lambda: work(*args, **kwargs), result))
        return result

    def do(self, work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return self.begin(work, *args, **kwargs).result()

    def sh(self, command: str, *, check: bool = True) -> str:
        """What a shell command prints here."""
        done = self.do(subprocess.run, command, shell=True, capture_output=True, text=True)
        assert not check or done.returncode == 0, f"{command}\n{done.stderr}{done.stdout}"
        return str(done.stdout)

    def end(self) -> None:
        self.work.put(None)
        self.join()
        os.close(self.network)


# -- traffic


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def ask(protocol: str, address: str, port: int, *, source: tuple[str, int] | None = None, wait: float = ANSWERED) -> str:
    """Send a question; the answer names who answered and whom it saw asking.

    A datagram that must be answered is sent again, as resolvers do: what waits for a processor is dropped where another namespace floods it.
    """
    with socket.socket(family(address), socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM) as client:
        client.settimeout(wait)
        try:
            if source is not None:
                client.bind(source)
            client.connect((address, port))
            client.send(b"?")
            if protocol == "udp" and wait > AGAIN:
                waiting = select.poll()
                waiting.register(client, select.POLLIN)
                if not waiting.poll(AGAIN * 1000):
                    client.send(b"?")
            return client.recv(200).decode() or "closed"
        except TimeoutError:
            return NOTHING
        except ConnectionRefusedError:
            return "refused"
        except OSError as error:
            return error.strerror or str(error)


class Servers(threading.Thread):
    """Answers on every listener of every namespace with the listener's name and the client's address; notes datagrams that came."""

    def __init__(self) -> None:
        super().__init__(name="servers", daemon=True)
        self.sockets: dict[int, tuple[socket.socket, str]] = {}
        self.poll = select.epoll()
        self.seen: set[tuple[str, bytes]] = set()
        self.came = threading.Condition()
        self.ending = False
        self.start()

    def listen(self, name: str, ports: Sequence[int], families: Sequence[socket.AddressFamily] = (socket.AF_INET, socket.AF_INET6)) -> None:
        """Open listeners in the namespace of the calling thread."""
        for number in families:
            for port in ports:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    s = socket.socket(number, kind)
                    if number == socket.AF_INET6:
                        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    if kind == socket.SOCK_STREAM:
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("", port))
                    if kind == socket.SOCK_STREAM:
                        s.listen(64)
                    s.setblocking(False)
                    self.sockets[s.fileno()] = s, name
                    self.poll.register(s, select.EPOLLIN)

    def run(self) -> None:
        while not self.ending:
            for descriptor, _ in self.poll.poll(0.2):
                s, name = self.sockets[descriptor]
                try:
                    if s.type == socket.SOCK_STREAM:
                        peer, address = s.accept()
                        with peer:
                            peer.sendall(f"{name} {address[0]}".encode())
                    else:
                        data, address = s.recvfrom(2000)
                        with self.came:
                            self.seen.add((name, data))
                            self.came.notify_all()
                        s.sendto(f"{name} {address[0]}".encode(), address)
                except OSError:  # the client is gone already
                    continue

    def arrived(self, name: str, token: str, wait: float) -> bool:
        """Whether a datagram has come to a listener, or comes within the time."""
        with self.came:
            return self.came.wait_for(lambda: (name, token.encode()) in self.seen, wait)

    def end(self) -> None:
        self.ending = True
        self.join()
        self.poll.close()
        for s, _ in self.sockets.values():
            s.close()


# -- frames made by hand, for those who lie


def checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def hardware(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def send_frame(link: str, to: str, by: str, kind: int, payload: bytes) -> None:
    """Put a frame on a link of the calling thread's namespace."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind((link, 0))
        s.send(hardware(to) + hardware(by) + struct.pack("!H", kind) + payload)


def udp4(source: str, target: str, port: int, token: str, *, by: int = 4444) -> bytes:
    """An IPv4 packet with a datagram from port `by`."""
    data = token.encode()
    udp = struct.pack("!HHHH", by, port, 8 + len(data), 0) + data
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(target))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + udp


def ip6(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, address)


def with_head6(source: str, target: str, kind: int, body: bytes, offset: int) -> bytes:
    pseudo = ip6(source) + ip6(target) + struct.pack("!II", len(body), kind)
    body = body[:offset] + struct.pack("!H", checksum(pseudo + body)) + body[offset + 2 :]
    return struct.pack("!IHBB", 0x60000000, len(body), kind, 255) + ip6(source) + ip6(target) + body


def udp6(source: str, target: str, port: int, token: str, *, by: int = 4444) -> bytes:
    """An IPv6 packet with a datagram from port `by`."""
    data = token.encode()
    return with_head6(source, target, 17, struct.pack("!HHHH", by, port, 8 + len(data), 0) + data, 6)


def advert6(source: str, target: str, about: str, by: str) -> bytes:
    """A neighbour advertisement that overrides."""
    return with_head6(source, target, 58, struct.pack("!BBHI", 136, 0, 0, 0x60000000) + ip6(about) + b"\2\1" + hardware(by), 2)


def arp_reply(about: str, by: str, to_mac: str, to: str) -> bytes:
    parts = hardware(by), socket.inet_aton(about), hardware(to_mac), socket.inet_aton(to)
    return struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 2, *parts)


# -- the world


@dataclass
class World:
    """Host and neighbour joined by a wire; `places` are all namespaces by name."""

    host: Place
    neighbour: Place
    servers: Servers
    root: Path
    br_netfilter: bool
    places: dict[str, Place]
    pool: ThreadPoolExecutor

    def ask(self, who: str, protocol: str, address: str, port: int, **options: Any) -> str:
        """Ask from a place what must be answered; several threads may ask from one place at a time."""
        return self.inside(who, lambda: ask(protocol, address, port, **options))

    def ask_in_vain(self, who: str, protocol: str, address: str, port: int) -> str:
        """Ask what must not be answered."""
        return self.ask(who, protocol, address, port, wait=PATIENCE)

    def inside(self, who: str, work: Callable[[], T]) -> T:
        """The result of `work` in a place's namespace, on a thread of its own."""

        def run() -> T:
            check(LIBC.setns(self.places[who].network, CLONE_NEWNET), f"enter {who}")
            return work()

        return self.pool.submit(run).result()

    def together(self, *works: Callable[[], T]) -> list[T]:
        """All at once, so that waiting for what does not come costs its time once."""
        with ThreadPoolExecutor(max(1, len(works))) as pool:
            return list(pool.map(lambda work: work(), works))

    def add_place(self, name: str, path: Path) -> Place:
        """A pinned namespace as a place."""
        descriptor = self.host.do(os.open, path, os.O_RDONLY | os.O_CLOEXEC)
        self.places[name] = Place(descriptor)
        os.close(descriptor)
        return self.places[name]


@contextmanager
def new_world(root: Path, *, br_netfilter: bool) -> Iterator[World]:
    """Our host and its neighbour, with addresses on the wire between them; all of it goes at the end."""
    host, neighbour, servers = Place(own_mounts=True), Place(), Servers()
    pool = ThreadPoolExecutor(32)
    world = World(host, neighbour, servers, root, br_netfilter, {"host": host, "neighbour": neighbour}, pool)
    try:
        pid, number = os.getpid(), int(br_netfilter)
        host.sh(
            "ip link set lo up; "
            f"ip link add up0 type veth peer name eth0 netns /proc/{pid}/fd/{neighbour.network}; ip link set up0 up; "
            f"ip addr add {UP4}/24 dev up0; ip addr add {UP4B}/24 dev up0; ip addr add {UP6}/64 dev up0 nodad; "
            "[ ! -e /proc/sys/net/bridge ] || sysctl -qw "
            f"net.bridge.bridge-nf-call-iptables={number} net.bridge.bridge-nf-call-ip6tables={number} net.bridge.bridge-nf-call-arptables=0"
        )
        neighbour.sh(
            f"ip link set lo up; ip link set eth0 up; ip addr add {NB4}/24 dev eth0; ip addr add {NB6}/64 dev eth0 nodad; "
            f"ip route add 10.0.0.0/8 via {UP4}; ip route add fd00::/8 via {UP6}"
        )
        neighbour.do(servers.listen, "neighbour", (80,))
        host.do(servers.listen, "host", (7000,))
        yield world
    finally:
        servers.end()
        pool.shutdown()
        for place in list(world.places.values()):
            place.end()


def eventually(true: Callable[[], bool], within: float = 30.0) -> None:
    """Wait for something that must become true."""
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, "it did not become true in time"
        threading.Event().wait(0.01)


class RememberingKeeper:
    """A keeper that opens nothing and only remembers; it takes part in a change as the real one does."""

    def __init__(self) -> None:
        self.kept: dict[tuple[object, ...], Item] = {}
        self.messages: list[tuple[tuple[Item, ...], tuple[Item, ...]]] = []

    def change(self, remove: Sequence[Item], add: Sequence[Item], *, namespaces: Callable[[str], Path] | None = None) -> tuple[Item, ...]:
        self.messages.append((tuple(remove), tuple(add)))
        for item in remove:
            self.kept.pop(item.key, None)
        self.kept.update((item.key, item) for item in add)
        return tuple(add)

    @contextmanager
    def changing(
        self, remove: Sequence[Item], add: Sequence[Item], *, namespaces: Callable[[str], Path] | None = None
    ) -> Iterator[Callable[[], tuple[Item, ...]]]:
        stand = self.change(remove, add)
        yield lambda: stand

    def items(self) -> Picture:
        return Picture.of(self.kept.values())


class KernelAt:
    """The real kernel in a place: every call is made on the place's thread."""

    def __init__(self, place: Place, root: Path, keeper: Any) -> None:
        self.place = place
        self.real = Kernel(root, keeper, place.do(probe))

    @property
    def counts(self) -> Counts:
        return self.real.counts

    def namespace(self, sandbox: str) -> Path:
        return self.real.namespace(sandbox)

    def prepare(self) -> tuple[str, ...]:
        return self.place.do(self.real.prepare)

    def apply(self, steps: Sequence[Step]) -> tuple[Item, ...]:
        return self.place.do(self.real.apply, tuple(steps))

    def observe(self, scope: Picture | None, *, like: Picture | None = None) -> Picture:
        return self.place.do(self.real.observe, scope, like=like)

    def remove_everything(self) -> None:
        self.place.do(self.real.remove_everything)

    def close(self) -> None:
        self.place.do(self.real.close)
