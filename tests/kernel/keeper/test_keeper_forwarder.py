"""The one forwarder: [::]:port to an IPv4-only target, TCP and UDP, with clients and targets that behave badly."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from sanbashi.network.picture import Forwarder

pytestmark = pytest.mark.root
Eventually = Callable[[Callable[[], bool]], None]
LOOPBACK = ip_address("127.0.0.1")


def forward(world: Any, protocol: str = "tcp", target_port: int = 9000) -> None:
    world.client.change([], [Forwarder(protocol, ip_address("::"), 8000, LOOPBACK, target_port)])  # type: ignore[arg-type]


def target() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 9000))
    listener.settimeout(15)
    return listener


def client() -> socket.socket:
    return socket.create_connection(("::1", 8000), timeout=15)


def descriptors(world: Any) -> int:
    return len(list(Path(f"/proc/{world.client.pid}/fd").iterdir()))


def test_both_ways_and_half_closed(world: Any) -> None:
    """8 MB each way at once; the client closes its half first and still hears the rest."""
    data = bytes(range(256)) * 32768
    with target() as listener:
        forward(world)
        heard: list[str] = []

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                received = hashlib.sha256(accepted.makefile("rb").read()).hexdigest()
                heard.append(received)
                accepted.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        with client() as tcp:
            tcp.sendall(data)
            tcp.shutdown(socket.SHUT_WR)
            assert tcp.makefile("rb").read() == data
        thread.join()
    assert heard == [hashlib.sha256(data).hexdigest()]


def test_the_target_may_close_first(world: Any, eventually: Eventually) -> None:
    with target() as listener:
        forward(world)
        before = descriptors(world)
        with client() as tcp:
            accepted, _ = listener.accept()
            accepted.sendall(b"bye")
            accepted.shutdown(socket.SHUT_WR)
            assert tcp.makefile("rb").read() == b"bye"
            tcp.sendall(b"and you")
            tcp.close()
            assert accepted.makefile("rb").read() == b"and you"
            accepted.close()
        eventually(lambda: descriptors(world) == before)


def send_and_end(sender: socket.socket, data: bytes) -> None:
    sender.sendall(data)
    sender.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def asleep(world: Any) -> Iterator[None]:
    """The keeper does nothing meanwhile, so that it finds what happened all at once."""
    os.kill(world.client.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(world.client.pid, signal.SIGCONT)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 300_000])
def test_what_comes_with_the_end_arrives_whole(world: Any, eventually: Eventually, size: int) -> None:
    """Either way: all that is sent and the end of it are there when the forwarder looks, and the other half still speaks after it."""
    data = random.Random(size).randbytes(size)
    with target() as listener:
        forward(world)
        before = descriptors(world)
        for speaks_first in ("client", "target"):
            with client() as tcp, listener.accept()[0] as accepted:
                accepted.settimeout(15)
                first, second = (tcp, accepted) if speaks_first == "client" else (accepted, tcp)
                first.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
                sender = threading.Thread(target=send_and_end, args=(first, data))
                with asleep(world):
                    sender.start()
                    if size <= 65537:  # more may not fit before somebody reads
                        sender.join()
                assert second.makefile("rb").read() == data
                sender.join()
                send_and_end(second, b"and you")
                assert first.makefile("rb").read() == b"and you"
        eventually(lambda: descriptors(world) == before)


def test_the_end_behind_urgent_data_is_not_taken_for_the_end_before_it(world: Any) -> None:
    """A read stops at the urgent mark, although the end has been told and the buffer has room."""
    with target() as listener:
        forward(world)
        with client() as tcp, listener.accept()[0] as accepted:
            with asleep(world):
                tcp.sendall(b"before")
                tcp.send(b"!", socket.MSG_OOB)
                tcp.sendall(b"behind")
                tcp.shutdown(socket.SHUT_WR)
            accepted.settimeout(15)
            assert accepted.makefile("rb").read() == b"beforebehind"


def test_an_end_to_one_who_does_not_read_comes_after_all_that_was_sent(world: Any) -> None:
    """More than all buffers hold, then the end, while the client is deaf; it hears all of it later, and what it says meanwhile arrives."""
    data = random.Random(1).randbytes(24 << 20)
    with target() as listener:
        forward(world)
        with client() as tcp, listener.accept()[0] as accepted:
            accepted.settimeout(15)
            sender = threading.Thread(target=send_and_end, args=(accepted, data))
            sender.start()
            tcp.sendall(b"meanwhile")
            assert accepted.recv(9, socket.MSG_WAITALL) == b"meanwhile"
            assert world.rests()
            assert tcp.makefile("rb").read() == data
            sender.join()


def test_what_was_sent_before_a_reset_arrives_before_it(world: Any, eventually: Eventually) -> None:
    with target() as listener:
        forward(world)
        before = descriptors(world)
        with client() as tcp, listener.accept()[0] as accepted:
            tcp.sendall(b"hello")  # once it is here the forwarder knows that it is connected
            assert accepted.recv(100) == b"hello"
            with asleep(world):
                accepted.sendall(b"half")
                accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                accepted.close()
            assert tcp.recv(100) == b"half"
            with pytest.raises(ConnectionResetError):
                tcp.recv(100)
        eventually(lambda: descriptors(world) == before)


def test_a_refusal_is_a_reset(world: Any) -> None:
    forward(world)
    with pytest.raises(ConnectionResetError), client() as tcp:  # it may come as early as the connect
        tcp.recv(1)


def test_a_reset_is_passed_on(world: Any, eventually: Eventually) -> None:
    with target() as listener:
        forward(world)
        before = descriptors(world)
        with client() as tcp:
            accepted, _ = listener.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            accepted.close()
            with pytest.raises(ConnectionResetError):
                tcp.recv(1)
        eventually(lambda: descriptors(world) == before)


def test_who_does_not_read_holds_up_nobody_and_costs_nothing(world: Any) -> None:
    with target() as listener:
        forward(world)
        with client() as deaf, client() as quick:
            sources = [listener.accept()[0] for _ in range(2)]
            sources[0].settimeout(0.2)
            with pytest.raises(TimeoutError):
                while True:
                    sources[0].sendall(b"x" * 65536)
            sources[1].sendall(b"hello")
            assert quick.recv(5) == b"hello"
            assert world.rests()
            assert int(Path(f"/proc/{world.client.pid}/statm").read_text().split()[1]) < 9000
            deaf.close()
            for source in sources:
                source.close()


def test_many_at_once(world: Any, eventually: Eventually) -> None:
    with target() as listener:
        forward(world)
        before = descriptors(world)
        clients = [client() for _ in range(100)]
        accepted = [listener.accept()[0] for _ in clients]
        for number, (tcp, at) in enumerate(zip(clients, accepted, strict=True)):
            tcp.sendall(b"%d" % number)
            tcp.shutdown(socket.SHUT_WR)
            at.settimeout(15)
        assert sorted(int(at.makefile("rb").read()) for at in accepted) == list(range(100))
        for opened in (*clients, *accepted):
            opened.close()
        eventually(lambda: descriptors(world) == before)


def test_removing_it_ends_its_connections(world: Any) -> None:
    with target() as listener:
        forward(world)
        with client() as tcp:
            accepted, _ = listener.accept()
            world.client.change([Forwarder("tcp", ip_address("::"), 8000, LOOPBACK, 9000)], [])
            with pytest.raises(ConnectionResetError):
                tcp.recv(1)
            accepted.close()


def test_nobody_else_gets_a_port_that_is_served(world: Any) -> None:
    forward(world)
    for reuse, address in ((True, "::"), (False, "::"), (True, "::1"), (False, "::1")):
        with socket.socket(socket.AF_INET6) as other:
            other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
            with pytest.raises(OSError, match="Address already in use"):
                other.bind((address, 8000))


def test_datagrams_have_a_session_each(world: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 9000))
        server.settimeout(15)
        forward(world, "udp")
        clients = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(3)]
        for number, udp in enumerate(clients):
            udp.settimeout(15)
            udp.connect(("::1", 8000))  # connected: only a reply from the address it asked is heard
            udp.send(b"%d" % number)
        for _ in clients:
            data, source = server.recvfrom(100)
            server.sendto(b"you are " + data, source)
        assert [udp.recv(100) for udp in clients] == [b"you are 0", b"you are 1", b"you are 2"]
        clients[0].send(b"again")
        data, source = server.recvfrom(100)
        server.sendto(b"x" * 9000, source)
        assert len(clients[0].recv(65535)) == 9000
        for udp in clients:
            udp.close()


def test_datagrams_find_a_target_that_comes_up_later(world: Any) -> None:
    forward(world, "udp")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        udp.connect(("::1", 8000))
        udp.send(b"nobody there")
        for _ in range(2):  # the first may be answered in the turn that the datagram came in, the second only after it has been forwarded
            world.client.status()
        server.bind(("127.0.0.1", 9000))
        server.settimeout(15)
        udp.send(b"now")
        assert server.recv(100) == b"now"
