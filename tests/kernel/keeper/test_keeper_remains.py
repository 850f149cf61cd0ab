"""Ports of TCP at which something stands that does not listen: a process that has bound and will, and what connections left behind."""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import ip_address
from typing import Any

import pytest

from sanbashi.host.taken import PortTaken
from sanbashi.keeper import remains
from sanbashi.network.picture import Forwarder, HeldPort

from .test_keeper_ports import bind, held

pytestmark = pytest.mark.root
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
LINUX = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])


def bound(address: str, port: int, kind: int = STREAM, *, reuse: bool = True, only6: bool = True) -> socket.socket:
    """A process's socket that is bound, and does no more."""
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
    if ":" in address:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only6)
    made.bind((address, port))
    return made


def leave_behind(address: str, port: int) -> None:
    """A connection's TIME_WAIT at a port, as a server leaves it that closes first."""
    with bound(address, port) as listener, socket.socket(listener.family) as client:
        listener.listen()
        client.connect((address, port))
        listener.accept()[0].close()
        assert client.recv(1) == b""


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize(
    ("place", "theirs"), [("0.0.0.0", "0.0.0.0"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"), ("::", "::"), ("::", "::1")]
)
def test_bound_and_not_listening(world: Any, place: str, theirs: str, reuse: bool) -> None:
    """It would find the port taken when it listens; so it has it, whatever options it has set."""
    with bound(theirs, 8000, reuse=reuse) as other:
        for item in (held(f"{place}:8000"), Forwarder("tcp", ip_address(place), 8000, ip_address("127.0.0.1"), 9)):
            with pytest.raises(PortTaken) as refused:
                world.client.change([], [item])
            shown = f"[{place}]" if ":" in place else place
            assert refused.value.message == f"failed to bind host port {shown}:8000/tcp: address already in use"
            if LINUX >= (6, 8):
                where = f"[{theirs}]" if ":" in theirs else theirs
                assert refused.value.hint.endswith(f"(process {os.getpid()}) on {where}:8000/tcp")
        other.listen()  # nobody took it away
    world.client.change([], [held(f"{place}:8000")])


def test_bound_elsewhere(world: Any) -> None:
    """On another address, of the other family, or of the other protocol: nobody's way."""
    with bound("127.0.0.2", 8000), bound("::", 8000), bound("127.0.0.1", 8000, DATAGRAM):
        world.client.change([], [held("127.0.0.1:8000")])


@pytest.mark.parametrize("reuse", [False, True])
def test_bound_by_udp(world: Any, reuse: bool) -> None:
    with bound("127.0.0.1", 8000, DATAGRAM, reuse=reuse):
        with pytest.raises(PortTaken) as refused:
            world.client.change([], [held("0.0.0.0:8000", "udp")])
        assert refused.value.hint.endswith(f"(process {os.getpid()}) on 127.0.0.1:8000/udp")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_time_wait_is_nobodys(world: Any, address: str) -> None:
    """Held or served, and held against everybody as any other port is."""
    everywhere = "::" if ":" in address else "0.0.0.0"
    leave_behind(address, 8000)
    leave_behind(address, 8001)
    assert bind(everywhere, 8000, STREAM, reuse=False) == errno.EADDRINUSE
    items = [held(f"{everywhere}:8000"), Forwarder("tcp", ip_address(everywhere), 8001, ip_address("127.0.0.1"), 9)]
    world.client.change([], items)
    for port in (8000, 8001):
        assert bind(everywhere, port, STREAM, reuse=True) == errno.EADDRINUSE
        assert bind(address, port, STREAM, reuse=True) == errno.EADDRINUSE


def test_what_the_forwarder_leaves_behind_is_not_in_its_own_way(world: Any) -> None:
    """A container that is stopped and started again: its clients' connections ended a moment ago, from our side."""
    with socket.create_server(("127.0.0.1", 9000)) as target:
        item: HeldPort | Forwarder = Forwarder("tcp", ip_address("::"), 8000, ip_address("127.0.0.1"), 9000)
        for _ in range(2):
            world.client.change([], [item])
            with socket.create_connection(("::1", 8000)) as client:
                target.accept()[0].close()  # first, so that the forwarder closes before the client does
                assert client.recv(1) == b""
            world.client.change([item], [])
            assert bind("::", 8000, STREAM, reuse=False) == errno.EADDRINUSE  # it is there
    world.client.change([], [held(":::8000")])


def test_five_hundred_ports_with_remains_cost_one_look(world: Any) -> None:
    """That each is held shows that none was refused; how often the tables are read is the unit test's."""
    ports = range(20000, 20500)
    for port in ports:
        leave_behind("127.0.0.1", port)
    world.client.change([], [held(f"0.0.0.0:{port}") for port in ports])
    assert len(world.client.items()) == len(ports)


def test_sock_diag_tells_what_the_tables_show_of_some_ports_alone(world: Any) -> None:
    """Of both families, open and TIME_WAIT; neither a listener nor what is bound and no more; nothing of the ports beside those asked for."""
    for address, port in (("127.0.0.1", 8000), ("127.0.0.1", 8001), ("::1", 8002), ("127.0.0.1", 8007), ("::1", 8008)):
        leave_behind(address, port)
    with bound("127.0.0.1", 8003), bound("::1", 8004) as alone, bound("::", 8005, only6=False) as both, bound("127.0.0.1", 8006) as four:
        for listener in (alone, both, four):
            listener.listen()
        with socket.create_connection(("127.0.0.1", 8005)), socket.create_connection(("127.0.0.1", 8006)):
            assert set(remains.told(8001, 8007)) == {8001, 8002, 8005, 8006, 8007}
            assert {port for port in remains.printed() if 8001 <= port <= 8007} == {8001, 8002, 8005, 8006, 8007}
            assert [*remains.told(8003, 8004), *remains.told(8009, 9000)] == []
            assert remains.seen(8002, 8002) == {8002}
