"""The keeper's life: started once, adopted, killed and replaced, ended when nothing needs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from sanbashi.errors import Failed, Unavailable
from sanbashi.host import keeperline, keeperprocess
from sanbashi.keeper import protocol
from sanbashi.network.picture import Forwarder, HeldPort, Item, Names, Picture, Resolver

pytestmark = pytest.mark.root
HELD = HeldPort("tcp", ip_address("0.0.0.0"), 8080)
Eventually = Callable[[Callable[[], bool]], None]


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_killed_and_replaced(world: Any, app: list[Item]) -> None:
    """The daemon learns of it at once; the next keeper answers on the same port and holds the same items."""
    box = world.sandbox("a")
    port = world.resolver(box, *app, HELD, Forwarder("udp", ip_address("::"), 9000, ip_address("127.0.0.1"), 9))
    kept, first = world.client.items(), world.client.pid
    os.kill(first, signal.SIGKILL)
    assert world.lost.wait(30)
    assert not alive(first)  # reaped
    assert world.client.ensure() == ()
    assert world.client.pid != first
    assert world.client.items() == kept
    assert world.ask(box, port, "web01") == "NOERROR 10.0.0.2"
    with pytest.raises(Failed, match=r"failed to bind host port 127\.0\.0\.1:8080/tcp"):
        world.client.change([], [HeldPort("tcp", ip_address("127.0.0.1"), 8080)])


def test_killed_before_a_change(world: Any, app: list[Item]) -> None:
    """A change finds it dead, starts another, and happens there."""
    box = world.sandbox("a")
    port = world.resolver(box, *app)
    os.kill(world.client.pid, signal.SIGKILL)
    world.client.change([], [Names("n1", "e3", ("web03",), (ip_address("10.0.0.4"),))])
    assert [world.ask(box, port, name) for name in ("web01", "web03")] == ["NOERROR 10.0.0.2", "NOERROR 10.0.0.4"]


def test_a_change_goes_on_beside_its_caller(world: Any, app: list[Item], eventually: Eventually) -> None:
    box = world.sandbox("a")
    port = world.resolver(box, *app)
    with world.client.changing([], [web03 := Names("n1", "e3", ("web03",), (ip_address("10.0.0.4"),))]) as finish:
        eventually(lambda: world.ask(box, port, "web03") == "NOERROR 10.0.0.4")
        assert finish() == (web03,)
    assert web03 in world.client.items()


def test_killed_with_a_change_under_way(world: Any, app: list[Item]) -> None:
    """It happens in the next one, with all that the last had."""
    box = world.sandbox("a")
    port = world.resolver(box, *app)
    with world.client.changing([], [Names("n1", "e3", ("web03",), (ip_address("10.0.0.4"),))]) as finish:
        os.kill(world.client.pid, signal.SIGKILL)
        assert world.lost.wait(30)
        finish()
    assert [world.ask(box, port, name) for name in ("web01", "web03")] == ["NOERROR 10.0.0.2", "NOERROR 10.0.0.4"]


@pytest.mark.parametrize("dies", [False, True])
def test_a_caller_that_fails_leaves_the_line_in_order(world: Any, app: list[Item], dies: bool) -> None:
    """What it began is heard to its end: the next change, by whatever thread, is answered with its own answer."""
    box = world.sandbox("a")
    port = world.resolver(box, *app)
    with pytest.raises(ZeroDivisionError), world.client.changing([], [HELD]):
        if dies:
            os.kill(world.client.pid, signal.SIGKILL)
        raise ZeroDivisionError
    web03 = Names("n1", "e3", ("web03",), (ip_address("10.0.0.4"),))
    stands: list[tuple[Item, ...]] = []
    thread = threading.Thread(target=lambda: stands.append(world.client.change([HELD], [web03])))
    thread.start()
    thread.join()
    assert stands == [(web03,)]
    assert [world.ask(box, port, name) for name in ("web01", "web03")] == ["NOERROR 10.0.0.2", "NOERROR 10.0.0.4"]
    assert HELD not in world.client.items()


def test_what_cannot_be_restored_is_told(world: Any, app: list[Item]) -> None:
    boxes = [world.sandbox("a"), world.sandbox("b")]
    port = world.resolver(boxes[0], *app, HELD)
    lost_port = world.resolver(boxes[1])
    os.kill(world.client.pid, signal.SIGKILL)
    assert world.lost.wait(30)
    with socket.create_server(("0.0.0.0", 8080)), world.connected(boxes[1], 1) as thief:
        thief.close()
        with world.inside(boxes[1], lambda: socket.create_server(("127.0.0.11", lost_port))):
            losses = world.client.ensure()
    assert sorted(str(loss.item) for loss in losses) == ["held port 0.0.0.0:8080/tcp", "resolver in b"]
    assert any("address already in use" in loss.error.message for loss in losses)
    assert world.ask(boxes[0], port, "web01") == "NOERROR 10.0.0.2"
    assert HELD not in world.client.items()


@pytest.fixture
def in_the_middle(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], None]:
    """Have something happen once, right before a keeper is given what the last one kept; it is told the new one's pid."""
    send = keeperline.Line.send

    def happens(what: Callable[[int], None]) -> None:
        waiting = [what]

        def interrupted(line: keeperline.Line, frame: protocol.Frame, descriptors: Sequence[int] = ()) -> None:
            if "change" in frame and waiting:
                waiting.pop()(line.pid)
            send(line, frame, descriptors)

        monkeypatch.setattr(keeperline.Line, "send", interrupted)

    return happens


Happening = Callable[[Callable[[int], None]], None]


def test_the_next_one_is_killed_before_it_has_everything(world: Any, app: list[Item], in_the_middle: Happening) -> None:
    """The one after it is given all the same, and what is lost is told once."""
    boxes = [world.sandbox("a"), world.sandbox("b")]
    port = world.resolver(boxes[0], *app, HELD)
    kept = world.client.items()
    lost_port = world.resolver(boxes[1])
    os.kill(world.client.pid, signal.SIGKILL)
    assert world.lost.wait(30)
    in_the_middle(lambda pid: os.kill(pid, signal.SIGKILL))
    with world.inside(boxes[1], lambda: socket.create_server(("127.0.0.11", lost_port))):
        assert [str(loss.item) for loss in world.client.ensure()] == ["resolver in b"]
    assert world.client.items() == kept
    assert world.ask(boxes[0], port, "web01") == "NOERROR 10.0.0.2"


@pytest.mark.parametrize("then", [signal.SIGCONT, signal.SIGKILL])
def test_the_next_one_is_stopped_before_it_has_everything(
    world: Any, app: list[Item], in_the_middle: Happening, monkeypatch: pytest.MonkeyPatch, then: int
) -> None:
    """It is given the rest when it is awake, and when it is killed the one after it is given all."""
    monkeypatch.setattr(keeperprocess, "PATIENCE", 0.2)
    box = world.sandbox("a")
    port = world.resolver(box, *app, HELD)
    kept = world.client.items()
    os.kill(world.client.pid, signal.SIGKILL)
    assert world.lost.wait(30)
    stopped: list[int] = []

    def stop(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        stopped.append(pid)

    in_the_middle(stop)
    with pytest.raises(Unavailable, match="it is stopped"):
        world.client.ensure()
    os.kill(stopped[0], then)
    assert world.client.ensure() == ()
    assert world.client.items() == kept
    assert (world.client.pid == stopped[0]) == (then == signal.SIGCONT)
    assert world.ask(box, port, "web01") == "NOERROR 10.0.0.2"


def test_another_daemon_changes_the_next_one_before_it_has_everything(world: Any, app: list[Item], in_the_middle: Happening) -> None:
    box = world.sandbox("a")
    port = world.resolver(box, *app, HELD)
    kept = world.client.items()
    os.kill(world.client.pid, signal.SIGKILL)
    assert world.lost.wait(30)
    beside = HeldPort("udp", ip_address("0.0.0.0"), 9000)

    def change(pid: int) -> None:
        with world.another_client() as other:
            other.change([], [beside])

    in_the_middle(change)
    assert world.client.ensure() == ()
    assert world.client.items() == Picture.of([*kept, beside])
    assert world.ask(box, port, "web01") == "NOERROR 10.0.0.2"


def test_adopted_by_the_next_daemon(world: Any, app: list[Item]) -> None:
    box = world.sandbox("a")
    port = world.resolver(box, *app)
    kept, pid = world.client.items(), world.client.pid
    world.client.close()
    assert world.ask(box, port, "web01") == "NOERROR 10.0.0.2"  # while nobody is there
    with world.another_client() as next_daemon:
        assert (next_daemon.pid, next_daemon.items()) == (pid, kept)
        next_daemon.change([], [HELD])
        world.client.change([], [Resolver(box, ("n1",), ndots_set=True)])  # it notices that another was at it
        assert world.client.items() == next_daemon.items()
        assert world.ask(box, port, "nosuch") == "NOERROR"
    assert not world.lost.is_set()


def test_many_start_it_at_once_and_there_is_one(world: Any) -> None:
    clients = [world.another_client() for _ in range(8)]
    threads = [threading.Thread(target=client.ensure) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({client.pid for client in (*clients, world.client)} - {0}) == 1
    for number, client in enumerate(clients):
        threads[number] = threading.Thread(target=client.change, args=([], [HeldPort("tcp", ip_address("0.0.0.0"), 9000 + number)]))
        threads[number].start()
    for thread in threads:
        thread.join()
    assert len(world.client.items()) == 8
    for client in clients:
        client.close()


def test_calls_from_many_threads(world: Any) -> None:
    items = [[HeldPort("udp", ip_address("0.0.0.0"), 9000 + number)] for number in range(20)]
    threads = [threading.Thread(target=world.client.change, args=([], mine)) for mine in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.client.items() == Picture.of(item for mine in items for item in mine)


def test_it_belongs_to_nobody(world: Any) -> None:
    """A session of its own, none of the daemon's descriptors, no open directory, a name of its own."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    world.client.ensure()
    pid = world.client.pid
    os.close(writer)
    os.set_blocking(reader, False)
    assert os.read(reader, 1) == b""  # closed everywhere
    os.close(reader)
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/comm").read_text() == "sanbashi-keeper\n"
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert Path(f"/proc/{pid}/environ").read_bytes() == b""
    assert (world.root / protocol.SOCKET).stat().st_mode & 0o777 == 0o600


def test_it_ends_on_sigterm(world: Any) -> None:
    world.client.change([], [HELD])
    pid = world.client.pid
    os.kill(pid, signal.SIGTERM)
    assert world.lost.wait(30)
    assert not alive(pid)
    assert not (world.root / protocol.SOCKET).exists()
    assert (world.root / protocol.LOG).read_text().endswith("keeper ends, because signal 15 came\n")


def test_it_stays_for_an_item_and_ends_without(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its linger is waited for once."""
    world.client.ensure()
    pid = world.client.pid
    world.client.close()
    child = world.client._child
    assert child.wait(60) == 0
    assert not alive(pid)


def test_another_version_is_refused_in_a_sentence(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.client.ensure()
    monkeypatch.setattr(protocol, "VERSIONS", (7, 8))
    sentence = f"the keeper that runs \\(process {world.client.pid}\\) speaks protocol 1 or 2 or 3 or 4, and who asks speaks 7 or 8"
    with pytest.raises(Unavailable, match=sentence):
        world.another_client().ensure()


def test_hostile_clients_of_its_own_socket(world: Any, app: list[Item]) -> None:
    box = world.sandbox("a")
    port = world.resolver(box, *app)
    path = str(world.root / protocol.SOCKET)
    for said in (
        b"GET / HTTP/1.0\r\n\r\n",
        b"\0\0\0\2{}",
        b"\0\0\0\2[]",
        b"\0\0\0\1{",
        b"\xff" * 9,
        b"\0\0\0\x0e" + b'{"items":true}',
        b"\0\0\1\0part",
    ):
        with socket.socket(socket.AF_UNIX) as rude:
            rude.connect(path)
            rude.sendall(said)
            if not said.endswith(b"part"):
                rude.settimeout(15)
                assert b'"refused"' in rude.recv(4096)
    assert world.ask(box, port, "web01") == "NOERROR 10.0.0.2"


def test_a_namespace_that_is_gone(world: Any, tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"resolver in gone on 127\.0\.0\.11:0: no such file or directory"):
        world.client.change([], [HELD, Resolver("gone", ())], namespaces=lambda sandbox: tmp_path / sandbox)
    assert world.client.items() == Picture()


def test_more_resolvers_than_descriptors_in_a_frame(world: Any) -> None:
    world.sandbox("a")
    path = world.path("a")
    many = [Resolver(f"box{number}", ("n1",)) for number in range(200)]
    stand = world.client.change([], many, namespaces=lambda sandbox: path)
    assert len({item.port for item in stand if isinstance(item, Resolver)}) == 200
    world.client.change(stand, [])
    assert world.client.items() == Picture()


def test_wrong_arguments() -> None:
    ended = subprocess.run([sys.executable, "-m", "sanbashi.keeper", "--lock", "x"], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr.split(":")[0]) == (2, "usage")
