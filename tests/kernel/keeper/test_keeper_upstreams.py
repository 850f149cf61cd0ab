"""What is not ours: asked of the host's servers from the host, of a container's own from the container, of nobody where that is meant."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sanbashi.network.picture import Resolver

pytestmark = pytest.mark.root
HOST = "127.0.0.53"
Make = Callable[..., bytes]
SOA = b"\xc0\x0c" + struct.pack(">HHIH", 6, 1, 60, 22) + b"\0\0" + struct.pack(">5I", 1, 2, 3, 4, 60)


def test_the_hosts_servers_are_asked_from_the_host(world: Any, reply: Make) -> None:
    box = world.sandbox("a")
    server = world.server("", HOST, lambda data: [reply(data, "192.0.2.1")])
    world.server(box, HOST, lambda data: [reply(data, "6.6.6.6")])
    world.follow(HOST)
    port = world.resolver(box)
    assert world.ask(box, port, "example.com") == "NOERROR 192.0.2.1"
    assert world.ask(box, port, "Example.Com") == "NOERROR 192.0.2.1"
    assert len(server.seen) == 1  # the second was kept
    assert world.ask(box, port, "other.com", "TXT") == "NOERROR 192.0.2.1"
    assert world.ask_tcp(box, port, "another.com") == "NOERROR 192.0.2.1"
    assert [kind for kind, _ in server.seen] == ["udp", "udp", "tcp"]
    assert len({data[:2] for _, data in server.seen} | {b"\xbe\xef"}) == 4  # ids of our own


def test_servers_of_the_container_are_asked_from_the_container(world: Any, reply: Make) -> None:
    box, other = world.sandbox("a"), world.sandbox("b")
    world.server("", HOST, lambda data: [reply(data, "192.0.2.1")])
    world.server(box, HOST, lambda data: [reply(data, "10.9.9.9")])
    world.follow(HOST)
    own, hosts = world.resolver(box, upstreams=(HOST,)), world.resolver(other)
    assert world.ask(box, own, "example.com") == "NOERROR 10.9.9.9"
    assert world.ask_tcp(box, own, "tcp.example.com") == "NOERROR 10.9.9.9"
    assert world.ask(other, hosts, "example.com") == "NOERROR 192.0.2.1"  # what one was told is not another's
    world.client.change([], [Resolver(other, ("n1",), upstreams=(HOST,))])
    assert world.ask(other, hosts, "fresh.example.com") == "SERVFAIL"  # nothing listens there
    world.client.change([], [Resolver(box, ("n1",))])
    assert world.ask(box, own, "example.com") == "NOERROR 192.0.2.1"


def test_an_internal_network_asks_nobody_on_the_host(world: Any, reply: Make) -> None:
    box, other = world.sandbox("a"), world.sandbox("b")
    server = world.server("", HOST, lambda data: [reply(data, "192.0.2.1")])
    world.server(other, HOST, lambda data: [reply(data, "10.9.9.9")])
    world.follow(HOST)
    port = world.resolver(box, forward=False)
    assert world.ask(box, port, "example.com") == "SERVFAIL"
    assert world.ask_tcp(box, port, "example.com") == "SERVFAIL"
    assert server.seen == []
    assert world.ask(other, world.resolver(other, forward=False, upstreams=(HOST,)), "example.com") == "NOERROR 10.9.9.9"


def test_single_labels_stay_inside_where_ndots_is_set(world: Any, reply: Make) -> None:
    box = world.sandbox("a")
    world.server("", HOST, lambda data: [reply(data, "192.0.2.1")])
    world.follow(HOST)
    port = world.resolver(box, ndots_set=True)
    assert world.ask(box, port, "single") == "NOERROR"
    assert world.ask(box, port, "not.single") == "NOERROR 192.0.2.1"


def test_the_hosts_file_is_followed(world: Any, reply: Make, eventually: Callable[[Callable[[], bool]], None]) -> None:
    box = world.sandbox("a")
    world.server("", HOST, lambda data: [reply(data, "192.0.2.1")])
    world.server("", "127.0.0.54", lambda data: [reply(data, "192.0.2.2")])
    port = world.resolver(box)
    assert world.ask(box, port, "example.com") == "SERVFAIL"
    world.follow(HOST)
    eventually(lambda: world.ask(box, port, "example.com") == "NOERROR 192.0.2.1")
    world.follow("127.0.0.54")
    eventually(lambda: world.ask(box, port, "example.com") == "NOERROR 192.0.2.2")  # and not what the other had said


def test_a_link_in_the_hosts_files_place_is_followed(
    world: Any, reply: Make, eventually: Callable[[Callable[[], bool]], None], tmp_path: Path
) -> None:
    """As systemd-resolved and NetworkManager have it; the link is replaced in one step, by one to a file as old and as long as the other."""
    box = world.sandbox("a")
    world.server("", HOST, lambda data: [reply(data, "192.0.2.1")])
    world.server("", "127.0.0.54", lambda data: [reply(data, "192.0.2.2")])
    port = world.resolver(box)
    for server, name, answer in ((HOST, "stub", "192.0.2.1"), ("127.0.0.54", "full", "192.0.2.2")):
        target, link = tmp_path / name, tmp_path / f"{name}.link"
        target.write_text(f"nameserver {server}\n".ljust(30) + "\n")
        os.utime(target, (1_700_000_000, 1_700_000_000))
        link.symlink_to(target)
        link.rename(world.resolv_conf)
        eventually(lambda answer=answer: world.ask(box, port, "example.com") == f"NOERROR {answer}")


def test_nxdomain_passes_and_is_kept(world: Any, reply: Make) -> None:
    def behave(data: bytes) -> list[bytes]:
        denied = bytearray(reply(data, rcode=3) + SOA)
        denied[9] = 1
        return [bytes(denied)]

    box = world.sandbox("a")
    server = world.server("", HOST, behave)
    world.follow(HOST)
    port = world.resolver(box)
    assert world.ask(box, port, "nosuch") == "NXDOMAIN"
    assert world.ask(box, port, "nosuch") == "NXDOMAIN"
    assert len(server.seen) == 1


@pytest.mark.parametrize("rcode", [2, 5])
def test_a_server_that_fails_is_passed_over_at_once(world: Any, reply: Make, rcode: int) -> None:
    box = world.sandbox("a")
    first = world.server("", HOST, lambda data: [reply(data, rcode=rcode)])
    world.server("", "127.0.0.54", lambda data: [reply(data, "192.0.2.2")])
    world.follow(HOST, "127.0.0.54")
    port = world.resolver(box)
    assert (world.ask(box, port, "example.com"), len(first.seen)) == ("NOERROR 192.0.2.2", 1)


@pytest.mark.parametrize(("rcode", "told"), [(2, "SERVFAIL"), (4, "NOTIMP"), (5, "SERVFAIL")])
def test_when_all_fail_the_failure_is_told_and_a_refusal_as_one(world: Any, reply: Make, rcode: int, told: str) -> None:
    box = world.sandbox("a")
    world.server("", HOST, lambda data: [reply(data, rcode=rcode)])
    world.follow(HOST)
    port = world.resolver(box)
    assert world.ask(box, port, "example.com") == told
    assert world.ask_tcp(box, port, "example.com") == told
    world.follow("not-an-address")
    other = world.resolver(world.sandbox("b"), upstreams=("192.0.2.77",))  # no route from there
    assert world.ask("b", other, "example.com") == "SERVFAIL"


def test_of_several_servers_the_good_one_is_asked_and_the_silent_one_left_alone(
    world: Any, reply: Make, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    box = world.sandbox("a")
    dead = world.server("", HOST, lambda data: [])
    good = world.server("", "127.0.0.54", lambda data: [reply(data, "192.0.2.2", ttl=0)])
    world.follow(HOST, "127.0.0.54")
    port = world.resolver(box)
    assert world.ask(box, port, "example.com") == "NOERROR 192.0.2.2"
    eventually(lambda: len(dead.seen) > 0)  # the first in the list was asked too

    def left_alone() -> bool:
        assert world.ask(box, port, "example.com") == "NOERROR 192.0.2.2"
        return len(good.seen) > len(dead.seen) + 20

    eventually(left_alone)


def test_an_answer_from_elsewhere_is_none(world: Any, reply: Make) -> None:
    """Right id, right question, and an address and port that were not asked."""
    box = world.sandbox("a")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as liar:
        liar.bind(("127.0.0.66", 53))

        def behave(data: bytes) -> list[bytes]:
            ports = [
                line.split()[1].split(":")[1] for line in Path("/proc/thread-self/net/udp").read_text().splitlines()[1:] if ":0035" in line.split()[2]
            ]
            for port in ports:
                liar.sendto(reply(data, "6.6.6.6"), ("127.0.0.1", int(port, 16)))
            assert ports
            return [reply(data, "192.0.2.1")]

        world.server("", HOST, behave)
        world.follow(HOST)
        assert world.ask(box, world.resolver(box), "example.com") == "NOERROR 192.0.2.1"


def test_no_socket_stays_in_the_namespace_of_a_sandbox_that_is_gone(world: Any, reply: Make) -> None:
    box = world.sandbox("a")
    world.resolver(world.sandbox("b"))
    world.server(box, HOST, lambda data: [])
    world.server(box, "127.0.0.54", lambda data: [reply(data, "192.0.2.2")])

    def sockets() -> int:
        return sum(str(path.readlink()).startswith("socket:") for path in Path(f"/proc/{world.client.pid}/fd").iterdir())

    before = sockets()
    servers = (HOST, "127.0.0.54")
    port = world.resolver(box, upstreams=servers)
    assert world.ask(box, port, "example.com") == "NOERROR 192.0.2.2"
    world.client.change([Resolver(box, ("n1",), upstreams=servers, port=port)], [])  # while the silent one is listened to
    assert sockets() == before


def test_while_one_waits_the_others_are_answered(world: Any, reply: Make, query: Make, eventually: Callable[[Callable[[], bool]], None]) -> None:
    """A hundred questions to a server that says nothing; another container and another name do not notice."""
    box, other = world.sandbox("a"), world.sandbox("b")
    world.server(box, HOST, lambda data: [])
    world.server("", HOST, lambda data: [reply(data, "192.0.2.1")])
    world.follow(HOST)
    stuck, fine = world.resolver(box, upstreams=(HOST,)), world.resolver(other)
    with world.connected(box, stuck) as udp:
        for number in range(100):
            udp.send(query(f"n{number}.example.com"))
        assert world.ask(other, fine, "example.com") == "NOERROR 192.0.2.1"
        eventually(lambda: world.client.status()["asking"] == 100)  # it takes 32 at a time, between which others have their turn
        world.client.change([Resolver(box, ("n1",), upstreams=(HOST,), port=stuck)], [])
    assert world.client.status()["asking"] == 0


def test_too_many_are_refused_where_they_come_from(world: Any, reply: Make, query: Make) -> None:
    box, other = world.sandbox("a"), world.sandbox("b")
    world.server(box, HOST, lambda data: [])
    world.server("", HOST, lambda data: [reply(data, "192.0.2.1")])
    world.follow(HOST)
    stuck, fine = world.resolver(box, upstreams=(HOST,)), world.resolver(other)
    with world.connected(box, stuck) as udp:
        for number in range(1030):
            udp.send(query(f"n{number}.example.com"))
            if number % 16 == 0:
                world.client.status()  # so that its buffer does not run over
        refused = [udp.recv(512)[3] & 15 for _ in range(6)]
        assert refused == [5] * 6
        assert world.ask(other, fine, "example.com") == "NOERROR 192.0.2.1"


def test_forged_answers_are_left_aside(world: Any, reply: Make) -> None:
    def behave(data: bytes) -> list[bytes]:
        wrong = bytes([data[0] ^ 1, data[1]])
        return [reply(data, "6.6.6.6", identity=wrong), b"", data, reply(b"xx" + data[2:], "6.6.6.6"), reply(data, "192.0.2.1")]

    box = world.sandbox("a")
    world.server("", HOST, behave)
    world.follow(HOST)
    assert world.ask(box, world.resolver(box), "example.com") == "NOERROR 192.0.2.1"


def test_broken_answers_hurt_nobody(world: Any, reply: Make) -> None:
    """Right id and question, and rubbish behind them."""
    box = world.sandbox("a")
    count = 0

    def behave(data: bytes) -> list[bytes]:
        nonlocal count
        count += 1
        return (
            [reply(data)[: 6 + count % 3] + bytes([count % 7]) * (count % 40)]
            if count % 2
            else [reply(data)[:7] + b"\7" + reply(data)[8:] + b"\xff" * count]
        )

    world.server("", HOST, behave)
    world.follow(HOST)
    port = world.resolver(box)
    with world.connected(box, port) as udp:
        for number in range(60):
            udp.send(b"\0\1\1\0\0\1\0\0\0\0\0\0\3" + b"n%02d" % number + b"\0\0\1\0\1")
        assert udp.recv(512)
    assert world.client.status()["items"] == 1


def test_a_cut_answer_makes_the_client_come_by_tcp(world: Any, reply: Make) -> None:
    box = world.sandbox("a")
    world.server("", HOST, lambda data: [reply(data, truncated=True)], stream=lambda data: [reply(data, *[f"192.0.2.{n}" for n in range(100)])])
    world.follow(HOST)
    port = world.resolver(box)
    assert world.ask(box, port, "example.com") == "NOERROR tc"
    assert len(world.ask_tcp(box, port, "example.com").split()) == 101
    assert world.ask(box, port, "example.com") == "NOERROR tc"  # now from what was kept, cut for UDP
    assert len(world.ask(box, port, "example.com", edns=4096).split()) == 101


def test_servers_by_ipv6(world: Any, reply: Make) -> None:
    box = world.sandbox("a")
    world.server(box, "::1", lambda data: [reply(data, "192.0.2.6")])
    assert world.ask(box, world.resolver(box, upstreams=("::1%lo",)), "example.com") == "NOERROR 192.0.2.6"


def test_several_questions_over_one_connection(world: Any, reply: Make, query: Make) -> None:
    box = world.sandbox("a")
    world.server("", HOST, lambda data: [reply(data, "192.0.2.1")])
    world.follow(HOST)
    port = world.resolver(box)
    with world.connected(box, port, socket.SOCK_STREAM) as tcp:
        assert world.over(tcp, *[query(f"n{n}.example.com") for n in range(5)]) == " | ".join(["NOERROR 192.0.2.1"] * 5)
