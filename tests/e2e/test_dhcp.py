"""Addresses leased from a DHCP server of the network outside: dnsmasq, and a server of our own that does as it is told; real packets throughout.

machine: parent0 -- lan (bridge in `outside`, 10.7.0.1: the servers, a machine on the LAN)      macvlan stands on parent0
         br0 (10.7.0.2) with port0 -- lan                                                        containers are ports of br0
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.harness import Engine, Machine, Space, sanbashi_cli

pytestmark = [
    pytest.mark.root,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="needs dnsmasq: make setup"),
]

WIRES = """
set -e
ip link add parent0 type veth peer name lan0 netns $1; ip link set parent0 up
ip link add br0 type bridge; ip link add port0 type veth peer name lan1 netns $1
ip link set port0 master br0 up; ip addr add 10.7.0.2/24 dev br0; ip link set br0 up
nsenter --target $1 --net sh -ec '
  ip link add lan type bridge; ip link set lan0 master lan up; ip link set lan1 master lan up
  ip addr add 10.7.0.1/24 dev lan; ip link set lan up; ip addr add 10.9.0.1/32 dev lan'
"""
KINDS = ("macvlan", "bridge")
OPTIONS = {"macvlan": {"parent": "parent0"}, "bridge": {"com.docker.network.bridge.name": "br0"}}
HAS = {"macvlan": "parent0", "bridge": "br0"}


@pytest.fixture(scope="module")
def lan(where: Machine) -> Space:
    """The LAN and its wires; what is in it is run in the namespace of the neighbouring host."""
    # From where both namespaces' holders have a pid.
    Space(where.pid, ("--net",)).run(["bash", "-c", WIRES, "wires", str(where.outside.pid)])
    return where.outside


@dataclass
class Lines:
    """The lines that a process writes, as they come; TimeoutError, EOFError."""

    descriptor: int
    rest: bytes = b""

    def next(self, until: float) -> str:
        while b"\n" not in self.rest:
            if not select.select([self.descriptor], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError
            data = os.read(self.descriptor, 65536)
            if not data:
                raise EOFError
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return line.decode()


@dataclass
class Dnsmasq:
    """dnsmasq on the LAN; `lines` is what it said."""

    on: Space
    options: tuple[str, ...] = ()
    pool: str = "10.7.0.100,10.7.0.199,2m"
    lines: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def serving(self) -> Iterator[Dnsmasq]:
        words = [
            *("dnsmasq", "--keep-in-foreground", "--log-facility=-", "--log-dhcp", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--no-ping"),
            *("--user=root", "--pid-file=", "--leasefile-ro", "--bind-interfaces", "--interface=lan", "--except-interface=lo", "--domain=lan.test"),
            *(
                f"--dhcp-range={self.pool}",
                "--dhcp-authoritative",
                "--address=/printer.lan.test/10.7.0.77",
                "--local=/lan.test/",
                *self.options,
            ),
        ]
        process = self.on.popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            self.said = Lines(process.stderr.fileno())
            self.until(lambda line: "DHCP, IP range" in line)
            yield self
        finally:
            process.terminate()
            process.communicate(timeout=10)

    def until(self, true: Callable[[str], bool], within: float = 30) -> str:
        """The next line of the log that is so."""
        end = time.monotonic() + within
        try:
            while True:
                self.lines.append(self.said.next(end))
                if true(self.lines[-1]):
                    return self.lines[-1]
        except (TimeoutError, EOFError) as error:
            raise AssertionError(f"dnsmasq did not say it: {self.lines[-20:]}") from error


@pytest.fixture
def dnsmasq(lan: Space) -> Iterator[Dnsmasq]:
    extra = ("--dhcp-option=option:mtu,1400", "--dhcp-option=121,10.9.0.0/24,10.7.0.1,0.0.0.0/0,10.7.0.1")
    with Dnsmasq(lan, extra).serving() as made:
        yield made


class Obedient:
    """tests.dhcpserver on the LAN."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self.given, self.said, self.heard = process.stdin, Lines(process.stdout.fileno()), list[dict[str, Any]]()
        self.next()

    def next(self, within: float = 30) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.said.next(time.monotonic() + within))
        self.heard.append(said)
        return said

    def behave(self, **how: Any) -> None:
        self.given.write(json.dumps({"mood": "ack", "lease": 60, "t1": 30, "t2": 50, **how}).encode() + b"\n")
        self.given.flush()
        while "now" not in self.next():
            continue

    def until(self, **wanted: str) -> dict[str, Any]:
        """The next message that is so."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            said = self.next()
            if all(said.get(k) == v for k, v in wanted.items()):
                return said
        raise AssertionError(f"no {wanted} in {self.heard[-10:]}")


@pytest.fixture
def obedient(lan: Space) -> Iterator[Obedient]:
    with serving(lan, "10.7.0.1") as made:
        yield made


@contextlib.contextmanager
def serving(lan: Space, address: str) -> Iterator[Obedient]:
    process = lan.popen([sys.executable, "-m", "tests.dhcpserver", "lan", address], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Obedient(process)
    finally:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


# -- what the tests do with an engine


def create(on: Engine, kind: str, *, name: str = "lan", timeout: int = 15) -> None:
    options = {"timeout": str(timeout)} if timeout != 15 else None
    body = {"Name": name, "Driver": kind, "Options": OPTIONS[kind], "IPAM": {"Driver": "dhcp", "Options": options}}
    status, said = on.call("POST", "/networks/create", body)
    assert status == 201, said


def run(on: Engine, name: str, *options: str, network: str = "lan") -> str:
    """A container that sleeps; its address on the network."""
    on.cli("run", "-d", "--name", name, "--network", network, *options, "busybox", "sleep", "1000")
    return on.address(name, network)


def settings(on: Engine, name: str, network: str = "lan") -> Any:
    return on.call("GET", f"/containers/{name}/json")[1]["NetworkSettings"]["Networks"][network]


def inside(on: Engine, name: str, line: str, *, check: bool = True) -> str:
    return on.cli("exec", name, "sh", "-c", line, check=check).text


def pid_of(on: Engine, name: str) -> int:
    return int(on.call("GET", f"/containers/{name}/json")[1]["State"]["Pid"])


def addresses(on: Engine, name: str, link: str = "eth0", *, pid: int = 0) -> list[str]:
    """What the kernel has, read by ip(8)."""
    pid = pid or pid_of(on, name)
    found = json.loads(on.machine.run(["nsenter", "--target", str(pid), "--net", "ip", "-j", "-4", "addr", "show", link]).stdout)
    return [f"{a['local']}/{a['prefixlen']}" for one in found for a in one.get("addr_info", [])]


def eventually(true: Callable[[], bool], within: float = 45.0) -> None:
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.05)


@pytest.fixture
def on(clean: Engine, lan: Space) -> Iterator[Engine]:
    yield clean
    if clean.process is None:  # a test that failed while the daemon was dead
        clean.start()
    clean.clear()


# -- what a lease gives


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_server_lends_is_what_the_container_has(on: Engine, dnsmasq: Dnsmasq, kind: str) -> None:
    """Address, mask, router, routes, MTU, name servers, domain; the server sees hostname and client id; both sides reach each other."""
    create(on, kind)
    address = run(on, "web", "--hostname", "webhost")
    seen = settings(on, "web")
    assert address.startswith("10.7.0.1") and seen["IPPrefixLen"] == 24 and seen["Gateway"] == "10.7.0.1"
    lease = seen["DhcpLease"]
    assert lease["Server"] == "10.7.0.1" and lease["Dns"] == ["10.7.0.1"] and lease["Domains"] == ["lan.test"] and lease["Mtu"] == 1400
    assert lease["Routes"] == [{"Destination": "10.9.0.0/24", "Gateway": "10.7.0.1"}] and lease["Obtained"] < lease["Renews"] < lease["Expires"]
    assert addresses(on, "web") == [f"{address}/24"]
    assert dnsmasq.until(lambda line: "DHCPACK" in line and address in line).split()[-1] == "webhost"
    routes = inside(on, "web", "ip route")
    assert "default via 10.7.0.1" in routes and "10.9.0.0/24 via 10.7.0.1" in routes
    assert "mtu 1400" in inside(on, "web", "ip link show eth0")
    assert "nameserver 127.0.0.11" in (conf := inside(on, "web", "cat /etc/resolv.conf")) and "search lan.test" in conf
    assert f"{address}\twebhost" in inside(on, "web", "cat /etc/hosts")
    inside(on, "web", "ping -c1 -W2 10.9.0.1")
    assert "10.7.0.77" in inside(on, "web", "nslookup -type=a printer.lan.test")
    on.machine.outside.run(["ping", "-c1", "-W2", address])
    members = on.call("GET", "/networks/lan")[1]
    assert members["IPAM"]["Driver"] == "dhcp" and [m["IPv4Address"] for m in members["Containers"].values()] == [f"{address}/24"]
    # Another container finds it by name, and has another address.
    other = run(on, "other")
    assert other != address and address in inside(on, "other", "nslookup -type=a web.")
    inside(on, "other", "ping -c1 -W2 web")


@pytest.mark.parametrize("kind", KINDS)
def test_the_address_stays_over_stop_and_start_and_is_given_back(on: Engine, dnsmasq: Dnsmasq, kind: str) -> None:
    create(on, kind)
    address, mac = run(on, "web"), settings(on, "web")["MacAddress"]
    on.cli("stop", "-t", "0", "web")
    dnsmasq.until(lambda line: f"DHCPRELEASE(lan) {address}" in line)
    run(on, "between")
    on.cli("start", "web")
    assert on.address("web", "lan") == address, dnsmasq.lines
    assert settings(on, "web")["MacAddress"] == mac and addresses(on, "web") == [f"{address}/24"]
    on.cli("rm", "-f", "web")
    dnsmasq.until(lambda line: f"DHCPRELEASE(lan) {address}" in line)


def test_published_ports_on_an_adopted_bridge(on: Engine, dnsmasq: Dnsmasq) -> None:
    """From the LAN, from another network of the host's, and from the host; the router outside is no obstacle to the answers."""
    create(on, "bridge")
    on.cli(
        "run", "-d", "--name", "web", "--network", "lan", "-p", "8080:80", "busybox", "sh", "-c", "echo here > /index.html; exec httpd -f -p 80 -h /"
    )
    assert on.cli("port", "web").stdout.splitlines()[0] == "80/tcp -> 0.0.0.0:8080"
    eventually(lambda: on.machine.run(["curl", "-fsS", f"http://{on.address('web', 'lan')}/"], check=False).stdout == "here\n")
    for address in ("10.7.0.2", "198.51.100.2"):
        assert on.machine.outside.run(["curl", "-fsS", "--max-time", "5", f"http://{address}:8080/"]).stdout == "here\n", address
        assert on.machine.run(["curl", "-fsS", "--max-time", "5", f"http://{address}:8080/"]).stdout == "here\n", address
    # The bridge itself is as it was: nothing that crosses it from elsewhere is ours to judge.
    listed = on.machine.run(["nft", "list", "set", "inet", "sanbashi", "bridges"]).stdout
    assert '"br0"' not in listed


def test_a_container_on_a_bridge_speaks_from_its_lease_alone(on: Engine, dnsmasq: Dnsmasq) -> None:
    create(on, "bridge")
    address = run(on, "web", "--cap-add", "NET_ADMIN")
    inside(on, "web", "ping -c1 -W2 10.7.0.1")
    inside(on, "web", "ip addr add 10.7.0.250/24 dev eth0")
    assert "100% packet loss" in inside(on, "web", "ping -c1 -W1 -I 10.7.0.250 10.7.0.1", check=False)
    inside(on, "web", f"ping -c1 -W2 -I {address} 10.7.0.1")


def test_a_port_that_somebody_took_from_the_bridge_comes_back_with_its_leased_mtu(on: Engine, dnsmasq: Dnsmasq) -> None:
    create(on, "bridge")
    run(on, "web")
    port = settings(on, "web")["HostInterface"]
    on.machine.run(["ip", "link", "set", port, "nomaster"])
    eventually(lambda: "master br0" in on.machine.run(["ip", "link", "show", port]).stdout)
    inside(on, "web", "ping -c1 -W2 10.7.0.1")
    assert "mtu 1400" in inside(on, "web", "ip link show eth0") and "mtu 1500" in on.machine.run(["ip", "link", "show", port]).stdout


def test_an_address_that_is_asked_for(on: Engine, dnsmasq: Dnsmasq) -> None:
    create(on, "macvlan", timeout=5)
    assert run(on, "web", "--ip", "10.7.0.150") == "10.7.0.150"
    before = on.machine.traces()
    refused = on.cli("run", "-d", "--name", "no", "--network", "lan", "--ip", "10.7.0.20", "busybox", "true", check=False)
    assert refused.exit == 125 and "the DHCP server on parent0 gives 10.7.0.1" in refused.stderr
    assert "and not 10.7.0.20, the address that was asked for" in refused.stderr
    held = on.cli("run", "-d", "--network", "lan", "--ip", "10.7.0.150", "busybox", "true", check=False)
    assert held.exit == 125 and "Address already in use" in held.stderr
    assert not on.machine.stays(before)


def test_of_two_servers_the_one_that_has_the_address_asked_for_is_waited_for(on: Engine, lan: Space) -> None:
    create(on, "macvlan", timeout=60)
    with serving(lan, "10.9.0.1") as wrong:
        wrong.behave(give="10.7.0.50")
        words = ["docker", "run", "-d", "--name", "web", "--network", "lan", "--ip", "10.7.0.150", "busybox", "sleep", "1000"]
        started = on.machine.popen(words, environment=on.variables(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            wrong.until(kind="discover", asked="10.7.0.150")
            with Dnsmasq(lan).serving():
                said, _ = started.communicate(timeout=60)
        finally:
            started.kill()
            started.communicate()
    assert started.returncode == 0, said
    assert addresses(on, "web") == ["10.7.0.150/24"] and settings(on, "web")["DhcpLease"]["Server"] == "10.7.0.1"


# -- somebody has the address


@contextlib.contextmanager
def somebody(on: Engine, address: str) -> Iterator[None]:
    """A machine on the LAN that was given an address by hand: the host itself."""
    on.machine.run(["ip", "addr", "add", f"{address}/32", "dev", "br0"])
    try:
        yield
    finally:
        on.machine.run(["ip", "addr", "del", f"{address}/32", "dev", "br0"])


@pytest.mark.parametrize("kind", KINDS)
def test_an_address_that_somebody_has_is_declined_and_another_taken(on: Engine, obedient: Obedient, kind: str) -> None:
    obedient.behave(give="10.7.0.50")
    create(on, kind)
    with somebody(on, "10.7.0.50"):
        words = ["docker", "run", "-d", "--name", "web", "--network", "lan", "busybox", "sleep", "1000"]
        started = on.machine.popen(words, environment=on.variables(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            obedient.until(kind="decline", asked="10.7.0.50")
            obedient.behave(give="10.7.0.51")
            said, _ = started.communicate(timeout=60)
        finally:
            started.kill()
            started.communicate()
    assert started.returncode == 0, said
    assert addresses(on, "web") == ["10.7.0.51/24"] == [f"{on.address('web', 'lan')}/24"]


def test_a_real_server_gives_another_for_one_that_was_declined(on: Engine, dnsmasq: Dnsmasq) -> None:
    create(on, "macvlan")
    address = run(on, "web")
    on.cli("stop", "-t", "0", "web")
    with somebody(on, address):
        on.cli("start", "web")
        dnsmasq.until(lambda line: f"DHCPDECLINE(lan) {address}" in line)
        other = on.address("web", "lan")
        assert other.startswith("10.7.0.1") and other != address and addresses(on, "web") == [f"{other}/24"]


def test_a_real_server_renews_and_then_says_no(on: Engine, lan: Space) -> None:
    """dnsmasq renews at T1; started anew with another range it answers the next renewal with NAK, and the container moves."""
    create(on, "bridge")
    quick = ("--dhcp-option=option:T1,3", "--dhcp-option=option:T2,100")
    with Dnsmasq(lan, quick).serving() as first:
        address = run(on, "web")
        acks = [first.until(lambda line: f"DHCPACK(lan) {address}" in line) for _ in range(2)]
        assert len(acks) == 2 and not [line for line in first.lines if "DHCPDECLINE" in line]
    with Dnsmasq(lan, quick, pool="10.7.0.210,10.7.0.219,2m").serving() as second:
        second.until(lambda line: f"DHCPNAK(lan) {address}" in line)
        eventually(lambda: on.address("web", "lan").startswith("10.7.0.21"))
        eventually(lambda: addresses(on, "web") == [f"{on.address('web', 'lan')}/24"])
        inside(on, "web", "ping -c1 -W2 10.7.0.1")


def test_an_address_that_is_asked_for_and_that_somebody_has(on: Engine, dnsmasq: Dnsmasq) -> None:
    create(on, "macvlan", timeout=5)
    before = on.machine.traces()
    with somebody(on, "10.7.0.160"):
        refused = on.cli("run", "-d", "--name", "no", "--network", "lan", "--ip", "10.7.0.160", "busybox", "true", check=False)
        dnsmasq.until(lambda line: "DHCPDECLINE(lan) 10.7.0.160" in line)
    assert refused.exit == 125 and "the DHCP server on parent0 gives 10.7.0." in refused.stderr
    assert not on.machine.stays(before)


def test_connect_and_disconnect(on: Engine, dnsmasq: Dnsmasq) -> None:
    create(on, "bridge")
    on.cli("run", "-d", "--name", "web", "busybox", "sleep", "1000")
    on.cli("network", "connect", "lan", "web")
    address = on.address("web", "lan")
    assert addresses(on, "web", "eth1") == [f"{address}/24"] and address in inside(on, "web", "cat /etc/hosts")
    on.machine.outside.run(["ping", "-c1", "-W2", address])
    on.cli("network", "disconnect", "lan", "web")
    dnsmasq.until(lambda line: f"DHCPRELEASE(lan) {address}" in line)
    on.cli("network", "connect", "--ip", "10.7.0.151", "lan", "web")
    assert addresses(on, "web", "eth1") == ["10.7.0.151/24"]
    on.cli("network", "disconnect", "lan", "web")
    assert address not in inside(on, "web", "cat /etc/hosts") and "eth1" not in inside(on, "web", "ip link")


# -- no server


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_server_nothing_starts_and_nothing_is_left(on: Engine, kind: str) -> None:
    create(on, kind, timeout=1)
    on.cli("run", "-d", "--name", "there", "busybox", "sleep", "1000")
    before = on.machine.traces()
    failed = on.cli("run", "-d", "--name", "web", "--network", "lan", "busybox", "sleep", "1000", check=False)
    assert failed.exit == 125
    assert f"failed to set up container networking: no DHCP server answered on {HAS[kind]} within 1 s" in failed.stderr
    ours = on.cli("start", "web", program=sanbashi_cli(), check=False)
    assert f"ip link show {HAS[kind]}" in ours.stderr and "--ipam-opt timeout=60" in ours.stderr
    joined = on.cli("network", "connect", "lan", "there", check=False)
    assert joined.exit == 1 and f"no DHCP server answered on {HAS[kind]} within 1 s" in joined.stderr
    assert "lan" not in on.call("GET", "/containers/there/json")[1]["NetworkSettings"]["Networks"]
    assert not on.machine.stays(before)
    assert on.call("GET", "/networks/lan")[1]["Containers"] == {}
    assert on.call("GET", "/containers/web/json")[1]["State"]["Status"] == "created"


def test_a_start_that_waits_is_given_up_with_its_request(on: Engine) -> None:
    """^C of the client: the connection goes, and with it the wait, long before its time."""
    create(on, "macvlan", timeout=600)
    on.cli("create", "--name", "web", "--network", "lan", "busybox", "sleep", "1000")
    before = on.machine.traces()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as request:
        request.connect(str(on.socket))
        request.sendall(b"POST /v1.44/containers/web/start HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n")
        eventually(lambda: on.call("GET", "/networks/lan")[1]["Containers"] != {})
    eventually(lambda: on.call("GET", "/networks/lan")[1]["Containers"] == {})
    assert not on.machine.stays(before)
    assert "given up" in on.call("GET", "/containers/web/json")[1]["State"]["Error"]


# -- what becomes of a lease


def short(give: str, **more: Any) -> Mapping[str, Any]:
    return {"give": give, "lease": 4, "t1": 1, "t2": 2, **more}


def keeper_of(on: Engine) -> int:
    """The keeper's pid inside the machine, as soon as there is one."""
    found: list[int] = []

    def there() -> bool:
        found[:] = [pid for pid, line in on.machine.processes().items() if "keeper/__main__.py" in line and f"--exec-root {on.exec_root} " in line]
        return len(found) == 1

    eventually(there)
    return found[0]


def renewals_from_now(server: Obedient) -> None:
    """What the server heard before is read, so that what it hears next is new."""
    server.behave(**short("10.7.0.50"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_lease_is_renewed_whoever_is_killed(on: Engine, obedient: Obedient, kind: str) -> None:
    """At T1 to the server itself, from the address; while the daemon is dead, after the keeper died, after both died; the address never goes."""
    obedient.behave(**short("10.7.0.50"))
    create(on, kind)
    assert run(on, "web", "--hostname", "webhost") == "10.7.0.50"
    told = obedient.until(kind="request", have="0.0.0.0", asked="10.7.0.50", hostname="webhost")
    identity, expires = told["id"], settings(on, "web")["DhcpLease"]["Expires"]
    renewed = {"kind": "request", "have": "10.7.0.50", "from": "10.7.0.50", "id": identity}
    obedient.until(**renewed)
    # On a busy machine the first question may have been asked twice.
    sought = [m for m in obedient.heard if m.get("kind") == "discover"]
    eventually(lambda: settings(on, "web")["DhcpLease"]["Expires"] > expires)
    on.kill()
    renewals_from_now(obedient)
    for _ in range(3):
        obedient.until(**renewed)
    on.start()
    first = keeper_of(on)
    on.machine.run(["kill", "-9", str(first)])
    eventually(lambda: keeper_of(on) != first)
    renewals_from_now(obedient)
    for _ in range(3):
        obedient.until(**renewed)
    second = keeper_of(on)
    on.kill()
    on.machine.run(["kill", "-9", str(second)])
    on.start()
    renewals_from_now(obedient)
    for _ in range(3):
        obedient.until(**renewed)
    assert addresses(on, "web") == ["10.7.0.50/24"] and on.address("web", "lan") == "10.7.0.50"
    asked = [m for m in obedient.heard if m.get("kind") in ("discover", "release")]
    assert sought and asked == sought
    on.cli("rm", "-f", "web")
    assert obedient.until(kind="release")["have"] == "10.7.0.50"


@pytest.mark.parametrize("kind", KINDS)
def test_the_server_takes_an_address_back(on: Engine, obedient: Obedient, kind: str) -> None:
    """NAK: the container goes to another address, with routes, names and files; the event and the log say so."""
    obedient.behave(**short("10.7.0.50"))
    create(on, kind)
    run(on, "web", "--hostname", "webhost")
    began = time.time()
    obedient.behave(**short("10.7.0.60", mood="nak"))
    obedient.until(kind="request", have="10.7.0.50")
    obedient.behave(**short("10.7.0.60"))
    eventually(lambda: addresses(on, "web") == ["10.7.0.60/24"])
    eventually(lambda: on.address("web", "lan") == "10.7.0.60")
    eventually(lambda: "10.7.0.60\twebhost" in inside(on, "web", "cat /etc/hosts"))
    assert "10.7.0.50" not in inside(on, "web", "cat /etc/hosts") and "default via 10.7.0.1" in inside(on, "web", "ip route")
    assert "10.7.0.60" in inside(on, "web", "nslookup -type=a web.")
    inside(on, "web", "ping -c1 -W2 10.7.0.1")
    filters = urllib.parse.quote(json.dumps({"event": ["lease"], "network": ["lan"]}))
    body = on.call("GET", f"/events?since={began:.9f}&until={time.time():.9f}&filters={filters}")[1]
    told = [json.loads(line)["Actor"]["Attributes"] for line in str(body).splitlines()]
    assert [t["address"] for t in told] == ["", "10.7.0.60/24"] and "took it back" in told[0]["reason"]
    assert "web on network lan has no address now (before: 10.7.0.50/24): the server 10.7.0.1 took it back" in on.log.read_text()


def test_a_lease_that_nobody_renews_ends(on: Engine, obedient: Obedient) -> None:
    """At its end the address goes, the container stays; when the server is back there is one again. A daemon that was dead meanwhile follows."""
    obedient.behave(**short("10.7.0.50"))
    create(on, "bridge")
    on.cli("run", "-d", "--name", "web", "--network", "lan", "-p", "8080:80", "busybox", "sleep", "1000")
    obedient.behave(mood="silent")
    eventually(lambda: addresses(on, "web") == [])
    eventually(lambda: on.address("web", "lan") == "" and settings(on, "web")["DhcpLease"] is None)
    assert on.call("GET", "/containers/web/json")[1]["State"]["Running"] and "no server renewed it" in on.log.read_text()
    pid = pid_of(on, "web")
    on.kill()
    obedient.behave(**short("10.7.0.70"))
    obedient.until(kind="request", have="0.0.0.0", asked="10.7.0.70")
    assert addresses(on, "web", pid=pid) == []
    on.start()
    eventually(lambda: addresses(on, "web") == ["10.7.0.70/24"])
    assert on.cli("port", "web").stdout.splitlines()[0] == "80/tcp -> 0.0.0.0:8080"
    on.machine.outside.run(["ping", "-c1", "-W2", "10.7.0.70"])


def test_drift_is_mended_to_the_lease(on: Engine, obedient: Obedient) -> None:
    """Somebody deletes the container's interface: it comes back with the leased address, and the lease goes on."""
    obedient.behave(**short("10.7.0.50"))
    create(on, "bridge")
    run(on, "web")
    on.machine.run(["ip", "link", "delete", settings(on, "web")["HostInterface"]])
    eventually(lambda: on.machine.run(["ip", "link", "show", settings(on, "web")["HostInterface"]], check=False).exit == 0)
    eventually(lambda: addresses(on, "web") == ["10.7.0.50/24"])
    for _ in range(3):
        obedient.until(kind="request", have="10.7.0.50")
    on.machine.outside.run(["ping", "-c1", "-W2", "10.7.0.50"])
