"""The resolver of the host itself: who may ask it, what survives, and that containers learn nothing by way of it."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest

from sanbashi.errors import Failed
from sanbashi.host.keeper import KeeperClient
from sanbashi.keeper import protocol
from sanbashi.network.picture import HostResolver, Item, Names, Zone

pytestmark = pytest.mark.root
Query = Callable[..., bytes]
Make = Callable[..., Any]
Eventually = Callable[[Callable[[], bool]], None]
HERE = HostResolver(ip_address("127.0.0.83"), 53)
SIX = HostResolver(ip_address("::1"), 5353)
DATA: list[Item] = [Zone("n2", "data"), Names("n2", "e7", ("db",), (ip_address("10.2.0.7"),))]


def ask(query: Query, name: str, kind: str = "A", item: HostResolver = HERE, *, transport: int = socket.SOCK_DGRAM) -> str:
    """The host's own question: the reply's code and addresses, "closed" where nobody listens."""
    family = socket.AF_INET if item.address.version == 4 else socket.AF_INET6
    data = query(name, kind)
    with socket.socket(family, transport) as asking:
        asking.settimeout(15)
        try:
            asking.connect((str(item.address), item.port))
            asking.send(len(data).to_bytes(2, "big") + data if transport == socket.SOCK_STREAM else data)
            reply = asking.recv(65535)
        except ConnectionRefusedError:
            return "closed"
    reply = reply[2:] if transport == socket.SOCK_STREAM else reply
    flags, _, answers = struct.unpack_from(">HHH", reply, 2)
    words = [["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"][flags & 15]]
    offset = len(data)
    for _ in range(answers):
        length = int.from_bytes(reply[offset + 10 : offset + 12], "big")
        value = reply[offset + 12 : offset + 12 + length]
        words.append(str(ip_address(value)) if kind in ("A", "AAAA") else value.decode("latin-1"))
        offset += 12 + length
    return " ".join(words)


def test_the_host_asks_for_names_of_all_networks(world: Any, app: list[Item], query: Query) -> None:
    world.client.change((), [*app, *DATA, HERE])
    assert ask(query, "web01.app.sanbashi.internal") == "NOERROR 10.0.0.2"
    assert ask(query, "web01.sanbashi.internal", "AAAA") == "NOERROR fd00::2"
    assert ask(query, "db.sanbashi.internal", transport=socket.SOCK_STREAM) == "NOERROR 10.2.0.7"
    assert ask(query, "7.0.2.10.in-addr.arpa", "PTR") == "NOERROR \x02db\x04data\x08sanbashi\x08internal\0"
    assert ask(query, "nobody.sanbashi.internal") == "NXDOMAIN"
    assert sorted(ask(query, "web.sanbashi.internal").split()) == ["10.0.0.2", "10.0.0.3", "NOERROR"]
    world.client.change([DATA[1]], ())
    assert ask(query, "db.sanbashi.internal") == "NXDOMAIN"


def test_nobody_is_asked_for_it(world: Any, app: list[Item], query: Query, reply: Make) -> None:
    """Not even where the host's resolv.conf names it, and nothing else: the question would come back."""
    other = world.server("", "127.0.0.2", lambda data: [reply(data, "192.0.2.1")])
    world.follow("127.0.0.2", "127.0.0.83")
    world.client.change((), [*app, HERE])
    for name in ("example.com", "web01", "web01.app"):
        assert ask(query, name) == "REFUSED"
    assert not other.seen
    world.follow("127.0.0.83")
    box = world.sandbox("a")
    port = world.resolver(box)
    assert world.ask(box, port, "example.com") == "SERVFAIL"


def test_containers_learn_nothing_by_way_of_it(world: Any, app: list[Item], query: Query, reply: Make, eventually: Eventually) -> None:
    """A container's resolver asks the host's servers, and these may ask us for the host: what a container sees is said by its view alone."""
    world.follow("127.0.0.83")
    world.client.change((), [*app, *DATA, HERE])
    box = world.sandbox("a")
    port = world.resolver(box)
    assert ask(query, "db.data.sanbashi.internal") == "NOERROR 10.2.0.7"
    for name, kind in (("db.data.sanbashi.internal", "A"), ("db.sanbashi.internal", "AAAA"), ("7.0.2.10.in-addr.arpa", "PTR")):
        assert world.ask(box, port, name, kind) == "NXDOMAIN"
        assert world.ask_tcp(box, port, name, kind) == "NXDOMAIN"
    assert world.ask(box, port, "2.0.0.10.in-addr.arpa", "PTR") == "NOERROR web01\x03app"
    # A forwarder of the host's in between changes nothing: it is not asked for such names.
    between = world.server("", "127.0.0.2", lambda data: [reply(data, "10.2.0.7")])
    world.follow("127.0.0.2")
    other = world.sandbox("b")
    port = world.resolver(other)
    eventually(lambda: world.ask(other, port, "example.com") == "NOERROR 10.2.0.7")
    assert world.ask(other, port, "db.data.sanbashi.internal") == "NXDOMAIN"
    assert not [data for _, data in between.seen if b"sanbashi" in data]
    # Without a listener for the host such names are like any other.
    world.client.change([HERE], ())
    assert ask(query, "db.sanbashi.internal") == "closed"
    assert world.ask(other, port, "db.data.sanbashi.internal") == "NOERROR 10.2.0.7"


def test_a_container_cannot_send_to_it(world: Any, app: list[Item], query: Query) -> None:
    world.client.change((), [*app, HERE])
    assert ask(query, "web01.sanbashi.internal") == "NOERROR 10.0.0.2"
    assert world.inside(world.sandbox("a"), lambda: ask(query, "web01.sanbashi.internal")) == "closed"  # its own loopback


def test_it_is_there_again_when_the_keeper_was_killed(world: Any, app: list[Item], query: Query) -> None:
    world.client.change((), [*app, HERE])
    with socket.create_connection(("127.0.0.83", 53)):  # it lingers on the port
        os.kill(world.client.pid, signal.SIGKILL)
        assert world.lost.wait(30)
        assert world.client.ensure() == ()
        assert ask(query, "web02.sanbashi.internal") == "NOERROR 10.0.0.3"


def test_it_outlives_the_daemon(world: Any, app: list[Item], query: Query) -> None:
    world.client.change((), [*app, HERE])
    keeper = world.client.pid
    world.client.close()
    assert ask(query, "web02.sanbashi.internal") == "NOERROR 10.0.0.3"
    world.client = world.another_client()
    world.client.change((), [HERE])
    assert world.client.pid == keeper
    assert HERE in set(world.client.items())


def test_it_moves_and_goes(world: Any, app: list[Item], query: Query) -> None:
    world.client.change((), [*app, HERE])
    world.client.change((), [SIX])
    assert ask(query, "web01.sanbashi.internal") == "closed"
    assert ask(query, "web01.sanbashi.internal", item=SIX) == "NOERROR 10.0.0.2"
    assert {i for i in world.client.items() if isinstance(i, HostResolver)} == {SIX}
    world.client.change([SIX], ())
    assert ask(query, "web01.sanbashi.internal", item=SIX) == "closed"


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_taken_port_is_told_and_the_old_one_stays(world: Any, app: list[Item], query: Query, kind: int) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("0.0.0.0", 5300))
        if kind == socket.SOCK_STREAM:
            other.listen()
        world.client.change((), [*app, HERE])
        with pytest.raises(Failed) as refused:
            world.client.change((), [HostResolver(ip_address("127.0.0.83"), 5300)])
        words = refused.value
        assert words.message == "names of containers cannot be served to the host at 127.0.0.83:5300: address already in use"
        protocol_name = "tcp" if kind == socket.SOCK_STREAM else "udp"
        assert f"(process {os.getpid()}) on 0.0.0.0:5300/{protocol_name}; give another address" in words.hint
        assert ask(query, "web01.sanbashi.internal") == "NOERROR 10.0.0.2"
        assert HERE in set(world.client.items())


def test_a_port_lost_to_another_while_the_keeper_was_gone(world: Any, app: list[Item], query: Query) -> None:
    box = world.sandbox("a")
    port = world.resolver(box, *app, HERE)
    world.client.close()
    os.kill(int(world.another_client().status()["pid"]), signal.SIGKILL)
    client = world.client = world.another_client()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        while True:
            try:
                other.bind(("127.0.0.83", 53))
                break
            except OSError:
                select.select([], [], [], 0.01)
        with pytest.raises(Failed, match=r"names of containers cannot be served to the host at 127\.0\.0\.83:53: address already in use"):
            client.change((), [HERE])
    stands = client.change((), [HERE])
    assert stands == (HERE,)
    assert port


def test_a_published_port_and_it_exclude_each_other(world: Any, app: list[Item]) -> None:
    from sanbashi.host.taken import PortTaken
    from sanbashi.network.picture import HeldPort

    world.client.change((), [*app, HERE])
    with pytest.raises(PortTaken, match=r"0\.0\.0\.0:53/udp: address already in use"):
        world.client.change((), [HeldPort("udp", ip_address("0.0.0.0"), 53)])


def test_rubbish_and_strangers_hold_up_nobody(world: Any, app: list[Item], query: Query) -> None:
    world.client.change((), [*app, HERE])
    stuck = [socket.create_connection(("127.0.0.83", 53)) for _ in range(80)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        for number in range(150):  # what the buffer holds
            flood.sendto(os.urandom(number % 60), ("127.0.0.83", 53))
    assert ask(query, "web01.sanbashi.internal") == "NOERROR 10.0.0.2"
    assert ask(query, "web01.sanbashi.internal", transport=socket.SOCK_STREAM) == "NOERROR 10.0.0.2"
    for one in stuck:
        one.close()


def test_a_keeper_of_an_older_sanbashi_is_named(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "VERSIONS", (1,))
    client: KeeperClient = world.client
    with pytest.raises(Failed, match="the keeper that runs is of an older Sanbashi") as refused:
        client.change((), [HERE])
    assert refused.value.hint.startswith(f"kill {client.pid}: ")
