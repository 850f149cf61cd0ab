"""A port on every address of both families: one socket holds it, and each family is held, refused, given up and served as if it had its own."""

from __future__ import annotations

import errno
import itertools
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from sanbashi.host import keeperline
from sanbashi.host.taken import OPEN_FILES, PortTaken
from sanbashi.keeper import filters
from sanbashi.keeper.filters import DROP_ALL, DROP_IPV4, Filter, attach
from sanbashi.keeper.hostports import HostPorts, Key
from sanbashi.keeper.loop import Loop
from sanbashi.keeper.protocol import LOG
from sanbashi.network.picture import Forwarder, HeldPort, Picture

pytestmark = pytest.mark.root
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
KINDS = {"tcp": STREAM, "udp": DATAGRAM}
ANY4, ANY6, LOOPBACK = ip_address("0.0.0.0"), ip_address("::"), ip_address("127.0.0.1")
PORT = 8000
Item = HeldPort | Forwarder
Making = Callable[[str, int], Item]


def four(protocol: str, port: int = PORT) -> Item:
    return HeldPort(protocol, ANY4, port)  # type: ignore[arg-type]


def held6(protocol: str, port: int = PORT) -> Item:
    return HeldPort(protocol, ANY6, port)  # type: ignore[arg-type]


def served6(protocol: str, port: int = PORT) -> Item:
    return Forwarder(protocol, ANY6, port, LOOPBACK, 9000)  # type: ignore[arg-type]


# Every protocol, with IPv6 held and with IPv6 served.
either = pytest.mark.parametrize(("protocol", "six"), list(itertools.product(KINDS, (held6, served6))))


def descriptors(world: Any) -> int:
    return len(list(Path(f"/proc/{world.client.pid}/fd").iterdir()))


def taken(address: str, protocol: str, *, reuse: bool = True) -> bool:
    """Whether another process cannot have the port on an address of one family."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, KINDS[protocol]) as other:
        if family == socket.AF_INET6:
            other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        try:
            other.bind((address, PORT))
            if protocol == "tcp":
                other.listen()
        except OSError as error:
            assert error.errno == errno.EADDRINUSE
            return True
    return False


def held(protocol: str) -> dict[str, bool]:
    return {address: taken(address, protocol) for address in ("0.0.0.0", "127.0.0.1", "::", "::1")}


BOTH = {"0.0.0.0": True, "127.0.0.1": True, "::": True, "::1": True}
ONLY4 = {"0.0.0.0": True, "127.0.0.1": True, "::": False, "::1": False}
ONLY6 = {"0.0.0.0": False, "127.0.0.1": False, "::": True, "::1": True}


@pytest.fixture
def target() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 9000)) as listener:
        listener.settimeout(15)
        yield listener


@either
def test_one_socket_holds_both(world: Any, protocol: str, six: Making) -> None:
    items = [make(protocol, port) for port in range(PORT, PORT + 100) for make in (four, six)]
    world.client.change([], [four(protocol, 7000), six(protocol, 7000)])  # filters are loaded with the first
    before = descriptors(world)
    world.client.change([], items)
    assert descriptors(world) - before == 100
    assert held(protocol) == BOTH and taken("127.0.0.1", protocol, reuse=False) and taken("::1", protocol, reuse=False)
    assert world.client.items() == Picture.of([*items, four(protocol, 7000), six(protocol, 7000)])
    world.client.change(items, [])
    assert descriptors(world) == before
    assert not any(held(protocol).values())


@either
def test_one_family_alone_is_given_up(world: Any, protocol: str, six: Making) -> None:
    for gone, stays, left in ((four, six, ONLY6), (six, four, ONLY4)):
        world.client.change([], [four(protocol), six(protocol)])
        world.client.change([gone(protocol, PORT)], [])
        assert held(protocol) == left
        assert world.client.items() == Picture.of([stays(protocol, PORT)])
        world.client.change([], [gone(protocol, PORT)])
        assert held(protocol) == BOTH
        world.client.change([four(protocol), six(protocol)], [])
        assert not any(held(protocol).values())


@pytest.mark.parametrize("protocol", KINDS)
def test_held_and_forwarded_replace_each_other_beside_the_other_family(world: Any, protocol: str) -> None:
    world.client.change([], [four(protocol), held6(protocol)])
    for item in (served6(protocol), held6(protocol), served6(protocol)):
        world.client.change([], [item])
        assert held(protocol) == BOTH
        assert world.client.items() == Picture.of([four(protocol), item])


@either
def test_who_is_in_the_way_of_which_family(world: Any, protocol: str, six: Making) -> None:
    for address, refused, where in (("127.0.0.1", four, "0.0.0.0"), ("::1", six, "[::]")):
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, KINDS[protocol]) as other:
            other.bind((address, PORT))
            if protocol == "tcp":
                other.listen()
            with pytest.raises(PortTaken) as failure:
                world.client.change([], [four(protocol), six(protocol)])
        shown = f"[{address}]" if ":" in address else address
        assert failure.value.message == f"failed to bind host port {where}:{PORT}/{protocol}: address already in use"
        assert failure.value.item == refused(protocol, PORT)
        assert failure.value.hint.startswith("in the way is ") and failure.value.hint.endswith(f" on {shown}:{PORT}/{protocol}")
        assert world.client.items() == Picture()
        assert not any(held(protocol).values())


def test_of_two_of_our_own_the_one_in_the_way_is_named(world: Any) -> None:
    world.client.change([], [four("tcp"), served6("tcp")])
    for address, holder in (("127.0.0.1", four), ("::1", served6)):
        with pytest.raises(PortTaken) as failure:
            world.client.change([], [HeldPort("tcp", ip_address(address), PORT)])
        assert failure.value.hint == f"in the way is {holder('tcp')}"


def test_what_could_not_be_restored_of_one_family(world: Any) -> None:
    """The next keeper has what can be had, and says what it lacks."""
    world.client.change([], [four("tcp"), served6("tcp")])
    os.kill(world.client.pid, signal.SIGKILL)
    assert world.lost.wait(30)
    with socket.create_server(("127.0.0.1", PORT)):
        losses = world.client.ensure()
    assert [loss.item for loss in losses] == [four("tcp")]
    assert world.client.items() == Picture.of([served6("tcp")])
    assert held("tcp") == ONLY6


def test_a_connection_goes_on_when_the_other_family_goes(world: Any, target: socket.socket) -> None:
    world.client.change([], [four("tcp"), served6("tcp")])
    with socket.create_connection(("::1", PORT), timeout=15) as before, target.accept()[0] as accepted:
        world.client.change([four("tcp")], [])
        before.sendall(b"still here")
        assert accepted.recv(100) == b"still here"
        with socket.create_connection(("::1", PORT), timeout=15) as after, target.accept()[0] as second:
            after.sendall(b"and new")
            assert second.recv(100) == b"and new"


def test_who_waits_to_be_accepted_is_when_the_other_family_goes(world: Any, target: socket.socket) -> None:
    loop = Loop()
    ports = HostPorts(loop, {}, print)
    both: dict[Key, Item] = {item.key: item for item in (four("tcp"), served6("tcp"))}
    assert ports.take(both, whole=True) == {}
    with ExitStack() as opened:
        waiting = [opened.enter_context(socket.create_connection(("::1", PORT), timeout=15)) for _ in range(20)]
        for number, client in enumerate(waiting):
            client.sendall(number.to_bytes(1))
        ports.release([four("tcp").key])
        come = []
        for _ in waiting:
            accepted = opened.enter_context(target.accept()[0])
            accepted.settimeout(0)
            while not (data := received(accepted)):
                loop.turn(5)
            come.append(data)
        assert sorted(come) == [number.to_bytes(1) for number in range(20)]
        ports.release(both)
    assert not any(held("tcp").values())


def received(connected: socket.socket) -> bytes:
    try:
        return connected.recv(100)
    except BlockingIOError:
        return b""


def test_a_port_that_is_lost_when_the_other_family_goes_is_told(
    world: Any, target: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else is quick enough to listen in between, which no test can be: the keeper goes on, and the port can be had again."""
    command = keeperline.command
    failing = (
        "import errno, runpy, sys; sys.path += sys.argv[3:6:2]; from sanbashi.keeper import streams\n"
        "def listen(to): streams.listen = well; raise OSError(errno.EADDRINUSE, 'Address already in use')\n"
        "well, streams.listen = streams.listen, listen\n"
        "del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )

    def patched(*given: Any) -> list[str]:
        words = command(*given)
        file = words.index("--path") - 1
        return [*words[:file], "-c", failing, *words[file:]]

    monkeypatch.setattr(keeperline, "command", patched)
    beside = HeldPort("udp", ANY4, 7000)
    world.client.change([], [four("tcp"), served6("tcp"), beside])
    pid = world.client.pid
    world.client.change([four("tcp")], [])
    said = f"the keeper lost {served6('tcp')}: failed to bind host port [::]:{PORT}/tcp: address already in use"
    assert said in caplog.messages
    assert f"keeper lost {served6('tcp')}: [Errno {errno.EADDRINUSE}]" in (world.root / LOG).read_text()
    assert world.client.items() == Picture.of([beside])
    assert not any(held("tcp").values())
    world.client.change([], [four("tcp"), served6("tcp")])
    with socket.create_connection(("::1", PORT), timeout=15) as client, target.accept()[0] as accepted:
        client.sendall(b"again")
        assert accepted.recv(100) == b"again"
    assert world.client.pid == pid and not world.lost.is_set()


def test_datagrams_go_on_when_the_other_family_goes(world: Any) -> None:
    world.client.change([], [four("udp"), served6("udp")])
    with socket.socket(socket.AF_INET6, DATAGRAM) as client, socket.socket(socket.AF_INET, DATAGRAM) as server:
        server.bind(("127.0.0.1", 9000))
        for end in (client, server):
            end.settimeout(15)
        client.connect(("::1", PORT))
        client.send(b"one")
        data, session = server.recvfrom(100)
        assert data == b"one"
        world.client.change([four("udp")], [])
        client.send(b"two")
        assert server.recvfrom(100) == (b"two", session)
        server.sendto(b"back", session)
        assert client.recv(100) == b"back"


def test_ipv4_is_not_served_by_the_forwarder(world: Any, target: socket.socket) -> None:
    """Without our rules, which translate IPv4, nobody is told that he is connected, and nothing reaches the container by another way."""
    world.client.change([], [four("tcp"), served6("tcp"), four("udp"), served6("udp")])
    with socket.socket() as tcp:
        tcp.settimeout(0.5)
        with pytest.raises(TimeoutError):
            tcp.connect(("127.0.0.1", PORT))
    target.settimeout(0.1)
    with pytest.raises(TimeoutError):
        target.accept()
    target.settimeout(15)
    with socket.create_connection(("::1", PORT), timeout=15) as client, target.accept()[0] as accepted:  # the positive control
        client.sendall(b"six")
        assert accepted.recv(3) == b"six"
    with socket.socket(socket.AF_INET, DATAGRAM) as server:
        server.bind(("127.0.0.1", 9000))
        server.settimeout(15)
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family, DATAGRAM) as client:
                client.sendto(address.encode(), (address, PORT))
        assert server.recv(100) == b"::1"


def test_a_stray_of_either_family_is_refused_where_nothing_is_served(world: Any) -> None:
    world.client.change([], [four("tcp"), held6("tcp")])
    for address in ("127.0.0.1", "::1"):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, PORT), timeout=15)


def test_no_descriptors_left(world: Any, target: socket.socket) -> None:
    """A clear error; and where a family that stays cannot get a socket of its own, both stay held, and served."""
    world.client.change([], [four("tcp"), served6("tcp")])
    resource.prlimit(world.client.pid, resource.RLIMIT_NOFILE, (3, 1024))
    with pytest.raises(PortTaken) as failure:
        world.client.change([], [four("udp"), held6("udp")])
    assert failure.value.message == f"failed to bind host port 0.0.0.0:{PORT}/udp: too many open files"
    assert failure.value.hint == OPEN_FILES
    world.client.change([four("tcp")], [])
    assert world.client.items() == Picture.of([served6("tcp")])
    assert f"{served6('tcp')} has no socket of its own" in (world.root / LOG).read_text()
    resource.prlimit(world.client.pid, resource.RLIMIT_NOFILE, (1024, 1024))
    with socket.create_connection(("::1", PORT), timeout=15) as client, target.accept()[0] as accepted:
        client.sendall(b"served")
        assert accepted.recv(100) == b"served"


def test_where_the_host_makes_ipv6_sockets_ipv6_alone(world: Any) -> None:
    Path("/proc/sys/net/ipv6/bindv6only").write_text("1")
    world.client.change([], [four("tcp"), held6("tcp")])
    assert held("tcp") == BOTH


@pytest.mark.parametrize("shared", [True, False])
def test_filters(world: Any, monkeypatch: pytest.MonkeyPatch, shared: bool) -> None:
    """A program that all sockets share does what each one's own copy does, which is for kernels that refuse the other."""
    monkeypatch.setattr(filters, "_loaded", {})
    if not shared:
        monkeypatch.setattr(filters, "load", lambda what: -1)

    def received(what: Filter, wanted: int) -> list[bytes]:
        """What comes: so many as long as it takes, and more of them soon."""
        with socket.socket(socket.AF_INET6, DATAGRAM) as receiver:
            receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            attach(receiver, what)
            receiver.bind(("::", PORT))
            for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                with socket.socket(family, DATAGRAM) as client:
                    client.sendto(address.encode() * 5, (address, PORT))
            found: list[bytes] = []
            try:
                while True:
                    receiver.settimeout(15 if len(found) < wanted else 0.2)
                    found.append(receiver.recv(100))
            except TimeoutError:
                return found

    try:
        assert received(DROP_IPV4, 1) == [b"::1" * 5]
        assert received(DROP_ALL, 0) == []
        assert all((program >= 0) == shared for program in filters._loaded.values())
    finally:
        for program in filters._loaded.values():
            if program >= 0:
                os.close(program)
