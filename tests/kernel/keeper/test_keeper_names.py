"""The resolver in real namespaces: names, both transports, changes and hostile clients."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.keeper.conftest import read

from sanbashi.network.picture import Item, Names, Resolver, Zone

pytestmark = pytest.mark.root
Query = Callable[..., bytes]


def test_names(world: Any, app: list[Item]) -> None:
    box = world.sandbox("a")
    port = world.resolver(box, *app)
    assert world.ask(box, port, "web01") == "NOERROR 10.0.0.2"
    assert world.ask(box, port, "WEB01.App", "AAAA") == "NOERROR fd00::2"
    assert world.ask(box, port, "web02", "AAAA") == "NOERROR"
    assert world.ask(box, port, "web02", "MX") == "NOERROR"
    assert world.ask(box, port, "2.0.0.10.in-addr.arpa", "PTR") == "NOERROR web01\x03app"
    assert world.ask_tcp(box, port, "web01") == "NOERROR 10.0.0.2"
    assert world.ask(box, port, "elsewhere.example") == "SERVFAIL"  # the host names no servers
    assert {world.ask(box, port, "web") for _ in range(4)} == {"NOERROR 10.0.0.2 10.0.0.3", "NOERROR 10.0.0.3 10.0.0.2"}


def test_port_53_beside_the_containers_own_server(world: Any, app: list[Item]) -> None:
    """With the two rules of the datapath (here by nft itself), as busybox's nslookup sees it; the text is Docker's, as recorded."""
    box = world.sandbox("a")
    port = world.resolver(box, *app)
    rules = f"""table inet dns {{ chain dns {{ type filter hook output priority raw; policy accept;
        ip daddr 127.0.0.11 udp dport 53 notrack udp dport set {port}
        ip saddr 127.0.0.11 udp sport {port} notrack udp sport set 53
        ip daddr 127.0.0.11 tcp dport 53 notrack tcp dport set {port}
        ip saddr 127.0.0.11 tcp sport {port} notrack tcp sport set 53
    }}; }}"""

    def look() -> tuple[str, bytes]:
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.bind(("0.0.0.0", 53))
            shown = subprocess.run(["busybox", "nslookup", "web02", "127.0.0.11"], capture_output=True, text=True, timeout=20).stdout
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
                asker.sendto(b"mine", ("127.0.0.1", 53))
                return shown, own.recv(100)

    shown, own = world.inside(box, look)
    assert own == b"mine"
    sections = sorted(filter(None, shown.split("Non-authoritative answer:\n")))
    assert " ".join("".join(sections).split()) == "Name: web02 Address: 10.0.0.3 Server: 127.0.0.11 Address: 127.0.0.11:53"


def test_a_change_is_seen_at_once_by_all_who_see_the_network(world: Any, app: list[Item]) -> None:
    boxes = [world.sandbox(name) for name in "abc"]
    ports = [world.resolver(boxes[0], *app), world.resolver(boxes[1]), world.resolver(boxes[2], Zone("n2", "db"), networks=("n2", "n1"))]
    for box, port in zip(boxes, ports, strict=True):
        assert world.ask(box, port, "web02") == "NOERROR 10.0.0.3"
    moved = Names("n1", "e2", ("renamed", "web"), (ip_address("10.0.0.9"),))
    world.client.change([], [moved])
    for box, port in zip(boxes, ports, strict=True):
        assert world.ask(box, port, "web02") == "SERVFAIL"
        assert world.ask(box, port, "renamed") == "NOERROR 10.0.0.9"
    world.client.change([moved], [])
    assert world.ask(boxes[0], ports[0], "renamed") == "SERVFAIL"
    assert world.ask(boxes[0], ports[0], "web") == "NOERROR 10.0.0.2"


def test_joining_another_network_keeps_the_sockets(world: Any, app: list[Item]) -> None:
    box = world.sandbox("a")
    port = world.resolver(box, *app)
    with world.connected(box, port, socket.SOCK_STREAM) as tcp:
        (stands,) = (i for i in world.client.change([], [Resolver(box, ("n2", "n1"))]) if isinstance(i, Resolver))
        assert stands.port == port
        world.client.change([], [Names("n2", "e9", ("db",), (ip_address("10.2.0.9"),))])
        assert world.ask(box, port, "db") == "NOERROR 10.2.0.9"
        assert world.over(tcp, *[world_query("db"), world_query("web01")]) == "NOERROR 10.2.0.9 | NOERROR 10.0.0.2"
    world.client.change([Resolver(box, ("n2", "n1"))], [])
    with world.connected(box, port) as udp, pytest.raises(ConnectionRefusedError):
        udp.send(world_query("db"))
        udp.recv(100)


def world_query(name: str) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    return struct.pack(">6H", 0xBEEF, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">HH", 1, 1)


def test_a_long_answer_is_cut_over_udp_and_whole_over_tcp(world: Any) -> None:
    box = world.sandbox("a")
    many = [Names("n1", f"e{number}", ("many",), (ip_address(f"10.0.0.{number}"),)) for number in range(100)]
    port = world.resolver(box, *many)
    assert world.ask(box, port, "many").startswith("NOERROR tc 10.")
    assert len(world.ask(box, port, "many", edns=4096).split()) == 101
    assert len(world.ask_tcp(box, port, "many").split()) == 101


def test_a_crowd_of_questions_that_waited(world: Any, app: list[Item], query: Query) -> None:
    """What has come while the keeper slept is taken at once: each asker gets its own answers, long ones, refusals and rubbish included."""
    many = [Names("n1", f"m{number}", ("many",), (ip_address(f"10.0.1.{number}"),)) for number in range(1, 80)]
    box = world.sandbox("a")
    port = world.resolver(box, *app, *many)
    kinds = {
        "web01": (query("web01"), "NOERROR 10.0.0.2"),
        "web02": (query("web02"), "NOERROR 10.0.0.3"),
        "long": (query("many", edns=4096), "NOERROR 10.0.1."),
        "unknown": (query("elsewhere.example"), "SERVFAIL"),
        "no question": (query("web01")[:12], "FORMERR"),
    }
    askers = [world.connected(box, port) for _ in range(3)]
    gone = world.connected(box, port)
    wanted: list[dict[int, str]] = [{} for _ in askers]
    for _ in range(2):  # in the second round answers are ready
        os.kill(world.client.pid, signal.SIGSTOP)
        for number in range(120):
            data, answer = list(kinds.values())[number % len(kinds)]
            asker = number % len(askers)
            identity = len(wanted[asker]) + 1000 * (asker + 1)
            askers[asker].send(identity.to_bytes(2, "big") + data[2:])
            wanted[asker][identity] = answer
            if number % 7 == 0:
                askers[asker].send(b"\7"[: number % 2])  # too short to have an id
                gone.send(data)
        gone.close()
        os.kill(world.client.pid, signal.SIGCONT)
        for asker, left in zip(askers, wanted, strict=True):
            asker.settimeout(15)
            while left:
                reply = asker.recv(65535)
                identity = int.from_bytes(reply[:2], "big")
                assert read(reply, identity).startswith(left.pop(identity))
        gone = world.connected(box, port)
    gone.close()
    for asker in askers:
        asker.close()


def test_rubbish(world: Any, app: list[Item], query: Query) -> None:
    """Ten thousand broken questions, and the next good one is answered."""
    box = world.sandbox("a")
    port = world.resolver(box, *app)
    dice = random.Random(7)
    good = query("web01", edns=1232)
    with world.connected(box, port) as udp:
        udp.setblocking(False)
        for _ in range(10_000):
            bad = bytearray(good)
            for _ in range(dice.randrange(1, 6)):
                bad[dice.randrange(len(bad))] = dice.randrange(256)
            udp.send(bytes(bad[: dice.randrange(len(bad) + 1)]) if dice.random() < 0.5 else bytes(bad))
        udp.send(dice.randbytes(60_000))
    # The flood may still fill the socket: like any client, ask again.
    for _ in range(5):
        with contextlib.suppress(TimeoutError):
            assert world.ask(box, port, "web01") == "NOERROR 10.0.0.2"
            break
    else:
        pytest.fail("no answer after the flood")
    assert world.client.status()["items"] == 4


def test_tcp_rubbish_and_silence(world: Any, app: list[Item], query: Query, eventually: Callable[[Callable[[], bool]], None]) -> None:
    """Connections that say nothing, half of something, too much, or never read hold up nobody, and do not cost descriptors for ever."""
    box = world.sandbox("a")
    port = world.resolver(box, *app)
    folder = Path(f"/proc/{world.client.pid}/fd")
    before = len(list(folder.iterdir()))
    whole = query("web01")
    opened = [world.connected(box, port, socket.SOCK_STREAM) for _ in range(100)]
    for number, tcp in enumerate(opened):
        try:
            tcp.sendall((b"", b"\0", b"\0\x20ab", b"\0\0", b"\xff\xff" + b"x" * 3000)[number % 5])
        except OSError:  # the oldest were closed to make room
            continue
    deaf = world.connected(box, port, socket.SOCK_STREAM)
    deaf.settimeout(0.2)
    asked = (len(whole).to_bytes(2, "big") + whole) * 1000
    with pytest.raises(TimeoutError):
        for _ in range(10_000):
            deaf.sendall(asked)
    assert world.ask(box, port, "web01") == "NOERROR 10.0.0.2"
    assert world.ask_tcp(box, port, "web01") == "NOERROR 10.0.0.2"
    assert len(list(folder.iterdir())) <= before + 64
    for tcp in (*opened, deaf):
        tcp.close()
    eventually(lambda: len(list(folder.iterdir())) == before)


def test_half_closed_tcp_is_answered(world: Any, app: list[Item], query: Query) -> None:
    box = world.sandbox("a")
    port = world.resolver(box, *app)
    data = query("web01")
    with world.connected(box, port, socket.SOCK_STREAM) as tcp:
        tcp.sendall(len(data).to_bytes(2, "big") + data[:5])
        tcp.sendall(data[5:])
        tcp.shutdown(socket.SHUT_WR)
        stream = tcp.makefile("rb").read()
    assert len(stream) == 2 + int.from_bytes(stream[:2], "big")


def test_it_sleeps_when_nothing_happens(world: Any, app: list[Item]) -> None:
    box = world.sandbox("a")
    port = world.resolver(box, *app)
    silent = world.connected(box, port, socket.SOCK_STREAM)
    world.ask(box, port, "web01")
    assert world.rests()
    silent.close()
