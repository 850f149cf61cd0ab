"""Held host ports: nobody else gets them, strays are refused, and a change is whole or nothing."""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from sanbashi.host.taken import PortTaken
from sanbashi.network.picture import Forwarder, HeldPort, Names, Picture, Zone

pytestmark = pytest.mark.root
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM


def held(place: str, protocol: str = "tcp") -> HeldPort:
    address, _, port = place.rpartition(":")
    return HeldPort(protocol, ip_address(address), int(port))  # type: ignore[arg-type]


def bind(address: str, port: int, kind: int, *, reuse: bool) -> int:
    """0, or the errno of another process's bind."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as other:
        if family == socket.AF_INET6:
            other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        try:
            other.bind((address, port))
            if kind == STREAM:
                other.listen()
        except OSError as error:
            return error.errno or -1
    return 0


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize(("protocol", "kind"), [("tcp", STREAM), ("udp", DATAGRAM)])
def test_nobody_else_gets_it(world: Any, protocol: str, kind: int, reuse: bool) -> None:
    items = [held("0.0.0.0:8080", protocol), held(":::8081", protocol), held("127.0.0.1:8082", protocol)]
    world.client.change([], items)
    assert bind("0.0.0.0", 8080, kind, reuse=reuse) == errno.EADDRINUSE
    assert bind("127.0.0.1", 8080, kind, reuse=reuse) == errno.EADDRINUSE
    assert bind("::", 8080, kind, reuse=reuse) == 0  # the other family is another's
    assert bind("::1", 8081, kind, reuse=reuse) == errno.EADDRINUSE
    assert bind("0.0.0.0", 8081, kind, reuse=reuse) == 0
    assert bind("127.0.0.1", 8082, kind, reuse=reuse) == errno.EADDRINUSE
    assert bind("127.0.0.2", 8082, kind, reuse=reuse) == 0
    world.client.change(items, [])
    assert bind("0.0.0.0", 8080, kind, reuse=reuse) == 0
    assert world.client.items() == Picture()


def test_strays(world: Any) -> None:
    world.client.change([], [held("0.0.0.0:8080"), held("0.0.0.0:8080", "udp")])
    with socket.socket() as tcp, pytest.raises(ConnectionRefusedError):
        tcp.connect(("127.0.0.1", 8080))
    with socket.socket(socket.AF_INET, DATAGRAM) as udp:
        udp.connect(("127.0.0.1", 8080))
        for _ in range(1000):
            udp.send(b"x" * 1000)
    queues = [line.split()[4] for line in Path("/proc/thread-self/net/udp").read_text().splitlines()[1:] if ":1F90 " in line]
    assert queues == ["00000000:00000000"]


def test_time_wait_does_not_stop_us(world: Any) -> None:
    with socket.socket() as listener, socket.socket() as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        listener.bind(("0.0.0.0", 8080))
        listener.listen()
        client.connect(("127.0.0.1", 8080))
        accepted, _ = listener.accept()
        accepted.close()  # first: TIME_WAIT is on this side
        assert client.recv(1) == b""
    assert bind("0.0.0.0", 8080, STREAM, reuse=False) == errno.EADDRINUSE
    world.client.change([], [held("0.0.0.0:8080")])


def test_taken_by_a_process(world: Any) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 8000))
        other.listen()
        before = [Zone("n1", "app"), held("0.0.0.0:7999")]
        world.client.change([], before)
        with pytest.raises(PortTaken) as refused:
            world.client.change([before[1]], [Names("n1", "e1", ("a",), ()), held("0.0.0.0:8001"), held("0.0.0.0:8000")])
        assert refused.value.message == "failed to bind host port 0.0.0.0:8000/tcp: address already in use"
        assert refused.value.item == held("0.0.0.0:8000")
        assert refused.value.hint.startswith("in the way is ")
        assert refused.value.hint.endswith(" on 127.0.0.1:8000/tcp")
        assert world.client.items() == Picture.of(before)  # nothing of it happened
        assert bind("0.0.0.0", 8001, STREAM, reuse=False) == 0
        assert bind("0.0.0.0", 7999, STREAM, reuse=False) == errno.EADDRINUSE


def test_taken_by_ourselves(world: Any) -> None:
    world.client.change([], [held("0.0.0.0:8000")])
    with pytest.raises(PortTaken) as refused:
        world.client.change([], [held("127.0.0.1:8000")])
    assert refused.value.hint == "in the way is held port 0.0.0.0:8000/tcp"
    with pytest.raises(PortTaken, match=r"failed to bind host port \[2001:db8::1\]:80/tcp: cannot assign requested address"):
        world.client.change([], [held("2001:db8::1:80")])


def test_a_port_moves_to_another_address_in_one_change(world: Any) -> None:
    everywhere, local = held("0.0.0.0:8000"), held("127.0.0.1:8000")
    world.client.change([], [everywhere])
    world.client.change([everywhere], [local])
    assert world.client.items() == Picture.of([local])
    with socket.socket() as other:
        other.bind(("127.0.0.2", 8000))
        other.listen()
        with pytest.raises(PortTaken):
            world.client.change([local], [everywhere])
    assert world.client.items() == Picture.of([local])
    assert bind("127.0.0.1", 8000, STREAM, reuse=True) == errno.EADDRINUSE  # taken back


def test_held_and_forwarded_replace_each_other(world: Any) -> None:
    forwarder = Forwarder("tcp", ip_address("::"), 8000, ip_address("127.0.0.1"), 9)
    for item in (held(":::8000"), forwarder, held(":::8000")):
        world.client.change([], [item])
        assert world.client.items() == Picture.of([item])
        assert bind("::", 8000, STREAM, reuse=True) == errno.EADDRINUSE


def test_sctp_is_held_in_the_book_where_the_kernel_has_no_sockets(world: Any) -> None:
    world.client.change([], [held("0.0.0.0:8000", "sctp")])
    assert world.client.items() == Picture.of([held("0.0.0.0:8000", "sctp")])


def test_five_hundred_ports(world: Any) -> None:
    items = [held(f"{address}:{port}", protocol) for port in range(20000, 20125) for address in ("0.0.0.0", "::") for protocol in ("tcp", "udp")]
    world.client.change([], items)
    assert len(world.client.items()) == 500
    world.client.change(items, [])
    assert world.client.items() == Picture()


def test_a_range_is_held_whole_or_not_at_all(world: Any) -> None:
    four, six = HeldPort("tcp", ip_address("0.0.0.0"), 8000, 20), HeldPort("tcp", ip_address("::"), 8000, 20)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 8013))
        with pytest.raises(PortTaken, match=r"failed to bind host port 0.0.0.0:8013/tcp: address already in use") as refused:
            world.client.change([], [four, six])
        assert refused.value.item == held("0.0.0.0:8013")
        assert all(bind("0.0.0.0", 8000 + n, STREAM, reuse=False) == 0 for n in range(20) if n != 13)
    world.client.change([], [four, six])
    assert all(bind("0.0.0.0", 8000 + n, STREAM, reuse=False) == errno.EADDRINUSE for n in range(20))
    with pytest.raises(PortTaken) as refused:
        world.client.change([], [held("127.0.0.1:8007")])
    assert "in the way is held port 0.0.0.0:8007/tcp" in refused.value.hint


def test_a_part_of_a_range_is_let_go(world: Any) -> None:
    run = HeldPort("tcp", ip_address("0.0.0.0"), 8000, 20)
    world.client.change([], [run])
    world.client.change([held("0.0.0.0:8004")], [])
    assert [n for n in range(20) if bind("0.0.0.0", 8000 + n, STREAM, reuse=False) == 0] == [4]
    assert world.client.items() == Picture.of(i for i in run.each() if i.port != 8004)
    with world.another_client() as next_daemon:
        assert next_daemon.items() == world.client.items()
        next_daemon.change([HeldPort("tcp", ip_address("0.0.0.0"), 8005, 15)], [])
        assert next_daemon.items() == Picture.of(run.each()) - Picture.of(HeldPort("tcp", run.address, 8004, 16).each())
