"""Changes while containers run, and what must not change, told by packets: policy, name servers, flows, an administrator's own chains."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.harness import Engine, Machine, ready, sanbashi_cli
from tests.kernel.test_drift import ECHO, HOST, HOST6, NEIGHBOUR, until
from tests.kernel.test_neighbourly import asked

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
BRIDGE = "com.docker.network.bridge."
MODE = "--gateway-mode-ipv4"
SLEEP = ("busybox", "sleep", "1000")
SERVER = "192.0.2.53"  # what the machine's resolv.conf names; the neighbour has it here
# Tells each who connects what address it saw.
WHO = (
    "import socket; s = socket.create_server(('198.51.100.1', 9100)); print('ready', flush=True)\n"
    "while True:\n c, a = s.accept()\n c.sendall(a[0].encode())\n c.close()"
)
QUESTIONS = "table inet questions { chain come { type filter hook prerouting priority raw; th dport 53 meta l4proto { tcp, udp } counter; }; }"
# An administrator's: what is published as 8081 is closed, and port 81 of everybody open, though it is not published.
OWN = """
table inet mine {
    chain forward {
        type filter hook forward priority filter - 10; policy accept;
        meta l4proto tcp ct original proto-dst 8081 drop
        tcp dport 81 meta mark set meta mark or 0x53420000
    }
    chain early { type nat hook prerouting priority dstnat; policy accept; }
}
table ip filter {
    chain FORWARD { type filter hook forward priority filter; policy accept; }
}
"""


@contextmanager
def program(where: Machine, *words: str) -> Iterator[None]:
    """A program of the neighbour's."""
    with ready(where.outside.popen([sys.executable, *words], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)):
        yield


def update(engine: Engine, *words: str) -> None:
    engine.cli("network", "update", *words, "app", program=sanbashi_cli())


def test_a_networks_policy_changes_under_its_containers(clean: Engine) -> None:
    """Masquerading, source address, gateway mode, trusted interfaces and host binding, each there and back, and nothing of it needs a restart."""
    where = clean.machine
    where.run("ip addr add 198.51.100.77/24 dev eth0")
    where.outside.run(["ip", "route", "replace", "172.16.0.0/12", "via", HOST])
    clean.cli("network", "create", "app")
    clean.cli("run", "-d", "--name", "echo", "--network", "app", "-p", "8080:80", "busybox", "sh", "-c", ECHO)
    address, began = clean.address("echo", "app"), clean.call("GET", "/containers/echo/json")[1]["State"]["StartedAt"]

    def seen(wanted: tuple[str, bool, bool, bool]) -> tuple[str, bool, bool, bool]:
        """As whom the container is seen outside; whether its published and its other port, and the host's port, are reached, as is wanted."""
        source = clean.cli("exec", "echo", "sh", "-c", f"timeout 20 nc {NEIGHBOUR} 9100 </dev/null", check=False).stdout
        first, second, third = (
            asked(where, *at, 15.0 if is_open else 0.5) for at, is_open in zip(((address, 80), (address, 81), (HOST, 8080)), wanted[1:], strict=True)
        )
        return source, first, second, third

    usual = (HOST, False, False, True)
    changes: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, bool, bool, bool]], ...] = (
        (("--masquerade", "false"), ("--masquerade", "true"), (address, False, False, True)),
        ((MODE, "routed"), (MODE, "nat"), (address, True, False, False)),
        ((MODE, "nat-unprotected"), (MODE, "nat"), (HOST, True, True, True)),
        (("-o", BRIDGE + "trusted_host_interfaces=eth0"), ("--opt-rm", BRIDGE + "trusted_host_interfaces"), (HOST, True, True, True)),
        (("-o", "com.docker.network.host_ipv4=198.51.100.77"), ("--opt-rm", "com.docker.network.host_ipv4"), ("198.51.100.77", False, False, True)),
        (("-o", BRIDGE + "host_binding_ipv4=127.0.0.1"), ("--opt-rm", BRIDGE + "host_binding_ipv4"), (HOST, False, False, False)),
    )
    with program(where, "-c", WHO):
        until(lambda: seen(usual) == usual)
        for there, back, found in changes:
            update(clean, *there)
            assert seen(found) == found, there
            update(clean, *back)
            assert seen(usual) == usual, back
    assert clean.call("GET", "/containers/echo/json")[1]["State"]["StartedAt"] == began
    where.run("ip addr del 198.51.100.77/24 dev eth0")


def test_name_servers_change_under_a_running_container_and_an_internal_network_asks_none(clean: Engine) -> None:
    """Through our own API; counted at the neighbour: from an internal network no packet with a question comes, by whatever way it is asked."""
    where = clean.machine
    where.outside.run(["ip", "addr", "add", f"{SERVER}/32", "dev", "lo"])
    where.outside.run(["nft", QUESTIONS])
    clean.cli("network", "create", "app")
    clean.cli("network", "create", "--internal", "inner")
    clean.cli("run", "-d", "--name", "web", "--network", "app", *SLEEP)
    clean.cli("run", "-d", "--name", "shut", "--network", "inner", "--dns", NEIGHBOUR, *SLEEP)

    def look(container: str, name: str, *server: str) -> str:
        said = clean.cli("exec", container, "timeout", "5", "nslookup", "-type=a", f"{name}.example.org", *server, check=False).stdout
        return said.rpartition("Address: ")[2].strip() if "Name:" in said else ""

    def questions() -> int:
        listed = json.loads(where.outside.run(["nft", "-j", "list", "table", "inet", "questions"]).stdout)["nftables"]
        return int(next(e["counter"]["packets"] for o in listed if "rule" in o for e in o["rule"]["expr"] if "counter" in e))

    first = program(where, "-m", "tests.nameserver", SERVER, "www.example.org=203.0.113.1", "new.example.org=203.0.113.3")
    second = program(where, "-m", "tests.nameserver", NEIGHBOUR, "www.example.org=203.0.113.2")
    try:
        with first, second:
            assert look("web", "www") == "203.0.113.1"
            answer = clean.call("POST", "/sanbashi/networks/app/update", {"DNS": [NEIGHBOUR], "Labels": {"kind": "live"}})
            assert answer == (200, {"Warnings": []}) and look("web", "www") == "203.0.113.2"
            assert clean.call("GET", "/networks/app")[1]["Labels"] == {"kind": "live"}
            update(clean, "--dns", "")
            until(lambda: look("web", "www") == "203.0.113.1", what="the host's own server")
            before = questions()
            assert before > 0
            # A name that nobody has asked for yet, so that no cache answers.
            assert [look("shut", "new"), look("shut", "new", SERVER), look("shut", "new", NEIGHBOUR)] == ["", "", ""]
            assert questions() == before, "a question of an internal network got out"
            assert look("web", "new") == "203.0.113.3" and questions() > before
    finally:
        where.outside.run(["nft", "delete", "table", "inet", "questions"])
        where.outside.run(["ip", "addr", "del", f"{SERVER}/32", "dev", "lo"])


def test_flows_of_the_changed_mapping_alone_are_forgotten(clean: Engine) -> None:
    """Two containers with the same ports inside, other numbers on the host: neither the other port's flow nor the other container's goes."""
    where = clean.machine
    clean.cli("network", "create", "app")
    for name, port in (("one", 5301), ("two", 5302)):
        clean.cli("run", "-d", "--name", name, "--network", "app", "-p", f"{port}:53/udp", "-p", f"{port + 10}:54/udp", *SLEEP)
    ports = (53, 5301, 5302, 5311, 5312)
    for port in ports:
        where.outside.run(f"echo hello > /dev/udp/{HOST}/{port}")
    where.run(f"echo hello > /dev/udp/{NEIGHBOUR}/53")

    def flows() -> set[tuple[str, int]]:
        listed = where.run("conntrack -L -p udp").stdout
        return {(target, int(port)) for target, port in re.findall(r"^udp .*? dst=(\S+) sport=\d+ dport=(\d+)", listed, re.MULTILINE)}

    known = {(HOST, port) for port in ports} | {(NEIGHBOUR, 53)}
    assert flows() >= known
    clean.cli("port", "unpublish", "one", "5301:53/udp", program=sanbashi_cli())
    assert flows() & known == known - {(HOST, 5301)}
    clean.cli("stop", "-t0", "two")
    assert flows() & known == known - {(HOST, 5301), (HOST, 5302), (HOST, 5312)}


SAY = "import socket, sys; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 7000)); s.sendto(b'hello', (sys.argv[1], 9200))"


def test_what_an_address_began_is_forgotten_as_it_goes(clean: Engine) -> None:
    """Its next holder, on another network of that subnet, is not masqueraded by what an old flow remembers; the others' flows stay."""
    where, subnet = clean.machine, "10.99.0.0/24"

    def say(name: str) -> None:
        pid = clean.cli("inspect", "-f", "{{.State.Pid}}", name).stdout.strip()
        where.run(["nsenter", "--target", pid, "--net", sys.executable, "-c", SAY, NEIGHBOUR])

    def seen_as() -> dict[str, str]:
        """Who the neighbour takes each for, by what it is."""
        listed = where.run("conntrack -L -p udp").stdout
        return dict(re.findall(rf"^udp .*? src=(\S+) dst={NEIGHBOUR} sport=7000 dport=9200 .*?src=\S+ dst=(\S+)", listed, re.MULTILINE))

    clean.cli("network", "create", "--subnet", subnet, "gone")
    for name, last in (("one", 7), ("two", 8), ("three", 9)):
        clean.cli("run", "-d", "--name", name, "--network", "gone", "--ip", f"10.99.0.{last}", *SLEEP)
        say(name)
    where.run([sys.executable, "-c", SAY, NEIGHBOUR])
    kept = {"10.99.0.8": HOST, HOST: HOST}
    assert seen_as() == {"10.99.0.7": HOST, "10.99.0.9": HOST} | kept
    clean.cli("stop", "-t0", "one")
    clean.cli("network", "disconnect", "gone", "three")
    assert seen_as() == kept
    clean.cli("rm", "-f", "one", "two", "three")
    clean.cli("network", "rm", "gone")
    assert seen_as() == {HOST: HOST}
    clean.cli("network", "create", "--subnet", subnet, "-o", f"{BRIDGE}enable_ip_masquerade=false", "next")
    clean.cli("run", "-d", "--name", "one", "--network", "next", "--ip", "10.99.0.7", *SLEEP)
    say("one")
    assert seen_as() == {"10.99.0.7": "10.99.0.7", HOST: HOST}


NEIGHBOUR6 = "2001:db8:51::1"
SAY6 = SAY.replace("type=", "socket.AF_INET6, ")


def test_what_an_ipv6_address_began_is_forgotten_as_it_goes(clean: Engine) -> None:
    """With a stop and a disconnection, soon; before anybody gets that address; what others began stays."""
    where = clean.machine

    def say(*space: str) -> None:
        where.run([*space, sys.executable, "-c", SAY6, NEIGHBOUR6])

    def began() -> set[str]:
        listed = where.run("conntrack -L -f ipv6 -p udp").stdout
        return set(re.findall(rf"^udp .*? src=(\S+) dst={NEIGHBOUR6} sport=7000 dport=9200", listed, re.MULTILINE))

    clean.cli("network", "create", "--ipv6", "--subnet", "10.99.0.0/24", "--subnet", "fd99::/64", "gone")
    for name, last in (("one", 7), ("two", 8), ("three", 9)):
        clean.cli("run", "-d", "--name", name, "--network", "gone", "--ip6", f"fd99::{last}", *SLEEP)
        say("nsenter", "--target", clean.cli("inspect", "-f", "{{.State.Pid}}", name).stdout.strip(), "--net")
    say()
    assert began() == {"fd99::7", "fd99::8", "fd99::9", HOST6}
    clean.cli("stop", "-t0", "one")
    clean.cli("network", "disconnect", "gone", "three")
    until(lambda: began() == {"fd99::8", HOST6}, what="that the flows of two are forgotten")
    clean.cli("restart", "-t0", "two")  # who gets the address waits until they are
    assert began() == {HOST6}


def test_an_administrators_chains_run_before_ours_and_survive(clean: Engine) -> None:
    """What they drop is dropped, what they mark is let pass; no command, flush or restart of ours changes a word of them."""
    where = clean.machine
    where.outside.run(["ip", "route", "replace", "172.16.0.0/12", "via", HOST])
    clean.cli("network", "create", "app")
    clean.cli("run", "-d", "--name", "echo", "--network", "app", "-p", "8080:80", "-p", "8081:80", "busybox", "sh", "-c", ECHO)
    address = clean.address("echo", "app")

    def reached(*wanted: bool) -> bool:
        """Whether the published ports, a port that is not and one that is published, both of the container's own, are reached as is wanted."""
        places = ((HOST, 8080), (HOST, 8081), (address, 81), (address, 80))
        return [asked(where, *at, 15.0 if is_open else 0.5) for at, is_open in zip(places, wanted, strict=True)] == list(wanted)

    until(lambda: reached(True, True, False, False))
    where.run(["nft", "-f", "-"], given=OWN)
    try:
        theirs = where.run("nft -s list table inet mine; nft -s list table ip filter").stdout
        assert reached(True, False, True, False)
        clean.cli("run", "-d", "--name", "other", "--network", "app", "-p", "8082:80", *SLEEP)
        clean.cli("rm", "-f", "other")
        update(clean, "--icc", "false")
        where.run("nft 'delete table inet sanbashi; delete table bridge sanbashi'")
        until(lambda: reached(True, False, True, False), what="our tables beside theirs")
        clean.end()
        clean.start()
        assert reached(True, False, True, False)
        assert where.run("nft -s list table inet mine; nft -s list table ip filter").stdout == theirs
    finally:
        where.run("nft 'delete table inet mine; delete table ip filter'")
    until(lambda: reached(True, True, False, False))
