"""The host asks for names of containers with its own tools, by its resolv.conf; containers get nowhere near."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import pytest
from tests.harness import Engine, Kind, Machine, engine, machine, registry

pytestmark = pytest.mark.root

ASK = """
import socket, sys
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(float(sys.argv[1]))
asking.sendto(bytes.fromhex("beef01000001000000000000") + b"\\x05plain\\x08sanbashi\\x08internal\\0\\0\\1\\0\\1", ("127.0.0.83", 53))
try:
    print("answered" if asking.recv(512)[:2] == b"\\xbe\\xef" else "rubbish")
except TimeoutError:
    print("nothing")
"""
COUNTED = """table inet counted { chain before { type filter hook prerouting priority raw - 10;
    iif != lo ip daddr 127.0.0.83 udp dport 53 counter; }; }"""


@pytest.fixture(scope="module")
def where() -> Iterator[Machine]:
    """A machine whose resolv.conf names our listener first, as docs/names.md has it."""
    with machine(resolv_conf="nameserver 127.0.0.83\nnameserver 198.51.100.1\nsearch sanbashi.internal\noptions timeout:5 attempts:1\n") as made:
        yield made


@pytest.fixture(scope="module")
def running(where: Machine, engine_kind: Kind) -> Iterator[Engine]:
    if engine_kind != "sanbashi":
        pytest.skip("dockerd has no such setting")
    with registry(where) as url, engine(where, options=[f"--registry-mirror={url}", "--host-resolver=127.0.0.83"]) as made:
        made.pull("busybox:latest")
        made.cli("network", "create", "--ipv6", "app")
        made.cli("network", "create", "data")
        made.cli("run", "-d", "--name", "plain", "busybox", "sleep", "1000")
        made.cli("run", "-d", "--name", "web01", "--network", "app", "--network-alias", "web", "busybox", "sleep", "1000")
        made.cli("run", "-d", "--name", "web02", "--network", "data", "--network-alias", "web", "busybox", "sleep", "1000")
        yield made


def look(where: Machine, name: str, database: str = "ahostsv4") -> str:
    """What the C library of the host makes of a name: its address, or ""."""
    return where.run(["getent", database, name], check=False).stdout.partition(" ")[0]


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_with_the_hosts_own_tools(running: Engine) -> None:
    where = running.machine
    assert look(where, "plain") == look(where, "plain.bridge") == running.address("plain")
    assert look(where, "web01") == look(where, "web01.app.sanbashi.internal") == running.address("web01", "app")
    assert ":" in look(where, "web01.app", "ahostsv6")
    assert look(where, "web.data") == running.address("web02", "data")
    assert look(where, "web") == "", "two containers on two networks are called so"
    assert where.run(["getent", "hosts", running.address("web01", "app")]).stdout.split()[1] == "web01.app.sanbashi.internal"
    assert look(where, "nobody") == ""


def test_names_follow_what_happens(running: Engine) -> None:
    where = running.machine
    running.cli("run", "-d", "--name", "early", "busybox", "sleep", "1000")
    assert look(where, "early") == running.address("early")
    running.cli("rename", "early", "late")
    assert (look(where, "early"), look(where, "late")) == ("", running.address("late"))
    running.cli("network", "connect", "data", "late")
    assert look(where, "late.data") == running.address("late", "data")
    running.cli("rm", "-f", "late")
    assert look(where, "late") == ""


def test_containers_cannot_ask_there(running: Engine) -> None:
    """Neither through their own resolver nor with packets of their own, sent to the host's loopback by way of the gateway."""
    where = running.machine
    for name in ("web02.data.sanbashi.internal", "web02.sanbashi.internal", "plain.bridge.sanbashi.internal"):
        assert "NXDOMAIN" in running.cli("exec", "web01", "nslookup", name, check=False).text
    assert "can't resolve" in running.cli("exec", "web01", "ping", "-c1", "-w1", "web02", check=False).text.replace("bad address", "can't resolve")
    where.run(["nft", "-f", "-"], given=COUNTED)
    running.cli("run", "-d", "--name", "rogue", "--network", "app", "busybox", "sleep", "1000")
    pid = running.call("GET", "/containers/rogue/json")[1]["State"]["Pid"]
    gateway = running.call("GET", "/networks/app")[1]["IPAM"]["Config"][0]["Gateway"]
    inside = f"nsenter --target {pid} --net"
    where.run(
        f"{inside} sysctl -qw net.ipv4.conf.all.route_localnet=1;"
        f"{inside} ip route del local 127.0.0.0/8 dev lo table local; {inside} ip route del local 127.0.0.1 dev lo table local || true;"
        f"{inside} ip route add 127.0.0.83 via {gateway}"
    )
    asked = where.run([*inside.split(), sys.executable, "-c", ASK, "2"]).stdout
    assert where.run([sys.executable, "-c", ASK, "20"]).stdout == "answered\n", "the host itself, of the same listener"
    assert "counter packets 1 " in where.run(["nft", "list", "table", "inet", "counted"]).stdout, "the container's question came as far as the host"
    assert asked == "nothing\n"
    running.cli("rm", "-f", "rogue")


def test_it_outlives_the_daemon_and_the_keeper(running: Engine) -> None:
    where, address = running.machine, running.address("plain")
    running.kill()
    assert look(where, "plain") == address
    running.start()
    assert look(where, "plain") == address
    keeper = next(pid for pid, line in where.processes().items() if "keeper" in line and "--exec-root" in line)
    where.run(["kill", "-9", str(keeper)])
    eventually(lambda: look(where, "plain") == address)


def test_a_taken_port_is_one_clear_sentence(running: Engine) -> None:
    where = running.machine
    taker = where.popen(
        ["python3", "-c", "import socket; s = socket.socket(type=2); s.bind(('127.0.0.84', 53)); print(flush=True); input()"], stdin=-1, stdout=-1
    )
    assert taker.stdin is not None and taker.stdout is not None
    running.end()
    options, running.options = running.options, (*running.options, "--host-resolver=127.0.0.84")
    try:
        assert taker.stdout.readline() == b"\n"
        running.start()
        warning = running.call("GET", "/info")[1]["Warnings"][0]
        assert warning.startswith(
            "names of containers cannot be served to the host at 127.0.0.84:53: address already in use: in the way is python3 (process "
        )
        assert sum(warning in line for line in running.tail(200).splitlines()) == 1
        assert running.cli("exec", "plain", "true").exit == 0
    finally:
        taker.communicate(b"\n")
        running.end()
        running.options = options
        running.start()
    assert look(where, "plain") == running.address("plain")
    assert running.call("GET", "/info")[1]["Warnings"] is None


def test_other_addresses_than_the_loopbacks_are_refused(running: Engine) -> None:
    refused = running.machine.run([*running.command()[:1], "--host-resolver=198.51.100.2"], check=False)
    assert refused.exit == 1 and "198.51.100.2 is no loopback address, and containers could ask there" in refused.stderr
