"""`why`, beside real packets: what it says and what a packet does agree, and what it says mends it does."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.harness import Engine, Kind, Machine, Space, engine, machine, ready, registry, sanbashi_cli

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

CONNECT = """
import socket, sys
asking = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
asking.settimeout(float(sys.argv[3]))
try:
    asking.connect((sys.argv[1], int(sys.argv[2])))
    print("answered")
except OSError as error:
    print("blocked", error)
"""
LISTEN = """
import signal, socket, sys
taking = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
signal.pause()
"""
QUICK = ("", "NOT_LISTENING", "LISTENING_ON_LOOPBACK_ONLY")
PATIENT, BRIEF = 10.0, 0.5  # seconds: for a packet that is to be answered, and for one that is not
SERVE, SLEEP = ("busybox", "httpd", "-f", "-p"), ("busybox", "sleep", "1000")
NEIGHBOUR, HERE = "198.51.100.1", "198.51.100.2"


@pytest.fixture(scope="module")
def where() -> Iterator[Machine]:
    """Its name server is the neighbour, who knows one name."""
    with machine(resolv_conf=f"nameserver {NEIGHBOUR}\n") as made:
        names = [sys.executable, "-m", "tests.nameserver", NEIGHBOUR, f"www.example.org={NEIGHBOUR}"]
        server = [sys.executable, "-c", LISTEN, NEIGHBOUR, "7000"]
        with contextlib.ExitStack() as stack:
            for words in (names, server):
                stack.enter_context(ready(made.outside.popen(words, stdout=subprocess.PIPE, text=True)))
            yield made


@pytest.fixture(scope="module")
def town(where: Machine, engine_kind: Kind) -> Iterator[Engine]:
    """One daemon; nobody's test changes it for good."""
    if engine_kind != "sanbashi":
        pytest.skip("dockerd does not explain")
    with registry(where) as url, engine(where, options=[f"--registry-mirror={url}"]) as made:
        made.pull("busybox:latest")
        made.cli("network", "create", "app")
        made.cli("network", "create", "data")
        made.cli("network", "create", "--internal", "back")
        made.cli("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "quiet")
        for name, network, words in (
            ("web01", "app", SLEEP),
            ("web02", "app", (*SERVE, "80")),
            ("shy", "app", (*SERVE, "127.0.0.1:80")),
            ("inner", "back", SLEEP),
            ("q1", "quiet", SLEEP),
            ("q2", "quiet", (*SERVE, "80")),
            ("d1", "bridge", SLEEP),
            ("d2", "bridge", (*SERVE, "80")),
            ("gone", "app", (*SERVE, "80")),
        ):
            made.cli("run", "-d", "--name", name, "--network", network, *words)
        made.cli("run", "-d", "--name", "db", "--network", "data", "-p", "8080:80", "-p", "127.0.0.1:8081:81", *SERVE, "80")
        for name in ("web02", "q2", "d2", "db", "gone", "shy"):
            wait_for_server(made, name)
        yield made


def wait_for_server(town: Engine, name: str) -> None:
    """Until its server listens."""
    until = time.monotonic() + 30
    while "0050" not in town.machine.run(["nsenter", "--target", pid(town, name), "--net", "cat", "/proc/net/tcp", "/proc/net/tcp6"]).stdout:
        assert time.monotonic() < until, name
        time.sleep(0.02)


def pid(town: Engine, name: str) -> str:
    return str(town.call("GET", f"/containers/{name}/json")[1]["State"]["Pid"])


def why(town: Engine, source: str, target: str, *, probe: bool = False) -> tuple[str, str, dict[str, object]]:
    """(result, code of the cause, the whole answer)."""
    status, answer = town.call("GET", f"/sanbashi/why?from={source}&to={target}{'&probe=1' if probe else ''}")
    assert status == 200, answer
    return answer["Result"], answer["Cause"]["Code"] if answer["Cause"] else "", answer


def packet(town: Engine, source: str, address: str, port: int, *, patience: float) -> bool:
    """Whether a connection comes about, by no code of ours."""
    words = [sys.executable, "-c", CONNECT, address, str(port), str(patience)]
    space: Space = town.machine.outside if source == "outside" else town.machine
    if source not in ("outside", "host"):
        words = ["nsenter", "--target", pid(town, source), "--net", *words]
    said = space.run(words).stdout
    assert said.startswith(("answered", "blocked")), said
    return said.startswith("answered")


def agree(town: Engine, source: str, target: str, place: tuple[str, int], code: str) -> dict[str, object]:
    """That the answer is this code (none: reachable), that a packet fares so, and the daemon's own probe where nobody need wait for silence."""
    result, found, answer = why(town, source, target, probe=source != "outside" and code in QUICK)
    assert (result, found) == ("blocked" if code else "reachable", code), answer
    reached = packet(town, source, *place, patience=BRIEF if code else PATIENT)
    assert reached is not bool(code), answer
    return answer


@dataclass(frozen=True)
class Situation:
    """`at`: where a packet is sent, a container's name standing for its address on the network after the @."""

    source: str
    target: str
    at: tuple[str, int]
    code: str = ""


SITUATIONS = {
    "same network": Situation("web01", "web02:80", ("web02@app", 80)),
    "another network": Situation("web01", "db:80", ("db@data", 80), "NETWORK_ISOLATED"),
    "another network, by address": Situation("web01", "{db@data}:80", ("db@data", 80), "NETWORK_ISOLATED"),
    "icc off": Situation("q1", "q2:80", ("q2@quiet", 80), "ICC_DISABLED"),
    "the default network": Situation("d1", "d2:80", ("d2@bridge", 80)),
    "internal to the outside": Situation("inner", f"{NEIGHBOUR}:80", (NEIGHBOUR, 80), "INTERNAL_NETWORK"),
    "internal to a published port": Situation("inner", f"{HERE}:8080", (HERE, 8080), "INTERNAL_NETWORK"),
    "not listening": Situation("web01", "web02:81", ("web02@app", 81), "NOT_LISTENING"),
    "loopback listener": Situation("web01", "shy:80", ("shy@app", 80), "LISTENING_ON_LOOPBACK_ONLY"),
    "the host": Situation("host", "web02:80", ("web02@app", 80)),
    "the host, nobody listens": Situation("host", "web02:81", ("web02@app", 81), "NOT_LISTENING"),
    "published": Situation("outside", "db:80", (HERE, 8080)),
    "not published": Situation("outside", "web02:80", (HERE, 80), "PORT_NOT_PUBLISHED"),
    "published for the host alone": Situation("outside", "db:81", (HERE, 8081), "PUBLISHED_ON_LOOPBACK_ONLY"),
    "a container to a published port": Situation("web01", f"{HERE}:8080", (HERE, 8080)),
    "outside, by name": Situation("web01", "www.example.org:7000", (NEIGHBOUR, 7000)),
    "a container to the host, nobody listens": Situation("web01", f"{HERE}:9", (HERE, 9), "NOT_LISTENING"),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_answer_and_a_packet_agree(town: Engine, name: str) -> None:
    situation = SITUATIONS[name]

    def resolved(text: str) -> str:
        container, at, network = text.strip("{}").partition("@")
        return town.address(container, network) if at else text

    host, port = situation.at
    head, colon, tail = situation.target.partition(":")
    agree(town, situation.source, resolved(head) + colon + tail, (resolved(host), port), situation.code)


def test_a_stopped_container(town: Engine) -> None:
    address = town.address("gone", "app")
    town.cli("stop", "-t0", "gone")
    try:
        answer = agree(town, "web01", "gone:80", (address, 80), "CONTAINER_NOT_RUNNING")
        assert answer["Cause"]["Fix"] == "sanbashi start gone"  # type: ignore[index]
    finally:
        town.cli("start", "gone")
        wait_for_server(town, "gone")
    agree(town, "web01", "gone:80", (town.address("gone", "app"), 80), "")


def test_names(town: Engine) -> None:
    """A name that is not shared, one that nobody has, an alias; as the container itself is told."""
    _, _, answer = why(town, "web01", "db:80")
    assert [s["Code"] for s in answer["Stages"] if s["Stage"] == "name"] == ["DNS_NAME_NOT_ON_SHARED_NETWORK"]  # type: ignore[attr-defined]
    assert town.cli("exec", "web01", "nslookup", "db", check=False).exit
    assert why(town, "web01", "nosuch:80")[:2] == ("blocked", "DNS_NXDOMAIN")
    assert town.cli("exec", "web01", "nslookup", "nosuch", check=False).exit
    town.cli("network", "connect", "--alias", "store", "app", "db")
    try:
        agree(town, "web01", "store:80", (town.address("db", "app"), 80), "")
    finally:
        town.cli("network", "disconnect", "app", "db")


def test_what_mends_isolation_mends_it(town: Engine) -> None:
    answer = agree(town, "web01", "db:80", (town.address("db", "data"), 80), "NETWORK_ISOLATED")
    command = answer["Cause"]["Fix"]  # type: ignore[index]
    assert command == "sanbashi network connect data web01"
    town.cli(*command.split()[1:], program=sanbashi_cli())
    try:
        agree(town, "web01", "db:80", (town.address("db", "data"), 80), "")
    finally:
        town.cli("network", "disconnect", "data", "web01")


FOREIGN = """table inet others { chain first { type filter hook forward priority -10; policy accept;
    %s; }; }"""


def test_a_chain_of_somebody_else_drops(town: Engine) -> None:
    where = town.machine
    where.run(["nft", "-f", "-"], given=FOREIGN % 'ct state new tcp dport 80 drop comment "no webs"')
    try:
        answer = agree(town, "outside", "db:80", (HERE, 8080), "HOST_FIREWALL_DROP")
        assert "(no webs) of chain first drops" in answer["Cause"]["Sentence"]  # type: ignore[index]
        assert answer["Cause"]["Object"] == "inet others first"  # type: ignore[index]
        agree(town, "web01", "web02:80", (town.address("web02", "app"), 80), "")  # bridged packets do not pass it
        where.run(answer["Cause"]["Fix"])  # type: ignore[index]
        agree(town, "outside", "db:80", (HERE, 8080), "")
    finally:
        where.run(["nft", "delete", "table", "inet", "others"])
    agree(town, "outside", "db:80", (HERE, 8080), "")


def test_the_rules_of_iptables(town: Engine) -> None:
    """The commonest of all firewalls is understood: what is known passes, the rest meets the policy."""
    where = town.machine
    where.run("iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment known -j ACCEPT && iptables -P FORWARD DROP")
    try:
        answer = agree(town, "outside", "db:80", (HERE, 8080), "HOST_FIREWALL_DROP")
        assert answer["Cause"]["Fix"] == "iptables -P FORWARD ACCEPT"  # type: ignore[index]
        where.run(answer["Cause"]["Fix"])  # type: ignore[index]
        agree(town, "outside", "db:80", (HERE, 8080), "")
        where.run("iptables -A FORWARD -m addrtype --src-type BROADCAST -j DROP")
        assert why(town, "outside", "db:80")[:2] == ("unknown", "UNKNOWN_FOREIGN_RULES")
    finally:
        where.run("nft delete table ip filter")


def test_a_rule_that_cannot_be_understood(town: Engine) -> None:
    """Never certainty: the answer is open until a real packet has settled it."""
    where = town.machine
    where.run(["nft", "-f", "-"], given=FOREIGN % "tcp dport 80 limit rate over 100000/second drop")
    try:
        assert why(town, "outside", "db:80")[:2] == ("unknown", "UNKNOWN_FOREIGN_RULES")
        assert why(town, "web01", f"{HERE}:8080")[:2] == ("unknown", "UNKNOWN_FOREIGN_RULES")
        assert why(town, "web01", f"{HERE}:8080", probe=True)[:2] == ("reachable", "")
    finally:
        where.run(["nft", "delete", "table", "inet", "others"])


def test_forwarding_off(town: Engine) -> None:
    where = town.machine
    where.run(["sysctl", "-qw", "net.ipv4.conf.eth0.forwarding=0"])
    try:
        answer = agree(town, "outside", "db:80", (HERE, 8080), "IP_FORWARD_OFF")
        where.run(answer["Cause"]["Fix"])  # type: ignore[index]
        agree(town, "outside", "db:80", (HERE, 8080), "")
    finally:
        where.run(["sysctl", "-qw", "net.ipv4.conf.eth0.forwarding=1"])


def test_a_link_that_is_down(town: Engine) -> None:
    inside = ["nsenter", "--target", pid(town, "web01"), "--net", "ip", "link", "set", "eth0"]
    address = town.address("web02", "app")
    town.machine.run([*inside, "down"])
    try:
        result, code, answer = why(town, "web01", "web02:80")
        assert result == "blocked" and code in ("NO_ROUTE", "LINK_DOWN"), answer
        assert "LINK_DOWN" in [code, *answer["Also"]], answer  # type: ignore[misc]
        assert not packet(town, "web01", address, 80, patience=BRIEF)
    finally:
        town.cli("restart", "-t0", "web01")
    agree(town, "web01", "web02:80", (address, 80), "")


def test_a_probe_that_disagrees(town: Engine) -> None:
    """Rules at the link's very door are not read: only a packet finds them, and that is told."""
    where, address = town.machine, town.address("web02", "app")
    link = host_end(town, "web01")
    rule = f"table netdev door {{ chain first {{ type filter hook ingress device {link} priority 0; tcp dport 80 drop; }}; }}"
    where.run(["nft", "-f", "-"], given=rule)
    try:
        assert why(town, "web01", "web02:80")[:2] == ("reachable", "")
        assert not packet(town, "web01", address, 80, patience=BRIEF)
        assert why(town, "web01", "web02:80", probe=True)[:2] == ("blocked", "PROBE_DISAGREES")
    finally:
        where.run(["nft", "delete", "table", "netdev", "door"])


def test_a_probe_leaves_no_flow_behind(town: Engine) -> None:
    """Answered, refused or met with silence, over each protocol: the host's table is as it was."""
    address = town.address("web01", "app")
    town.machine.run(["conntrack", "-D", "-s", address], check=False)
    for target in (f"{HERE}:8080", f"{HERE}:9", f"{NEIGHBOUR}:7000", f"{NEIGHBOUR}:7001", f"{NEIGHBOUR}:9/udp", NEIGHBOUR):
        why(town, "web01", target, probe=True)
        assert town.machine.run(["conntrack", "-L", "-s", address]).stdout == "", target


def host_end(town: Engine, name: str) -> str:
    """The host's end of a container's first link."""
    index = town.cli("exec", name, "cat", "/sys/class/net/eth0/iflink").stdout.strip()
    row = next(row for row in town.machine.run(["ip", "-o", "link"]).stdout.splitlines() if row.startswith(f"{index}:"))
    return row.split(":")[1].split("@")[0].strip()


def test_rules_that_have_drifted(town: Engine) -> None:
    """The daemon mends what somebody takes, so it is taken again and again till the daemon paces itself: answers and packet are of one moment."""
    where, address = town.machine, town.address("web02", "app")
    listed = where.run(["nft", "list", "set", "bridge", "sanbashi", "owned4"]).stdout
    own = town.address("web01", "app")
    element = next(e.strip() for part in listed.partition("{")[2].replace("elements = {", ",").split(",") if own in (e := part.strip(" \n\t}{")))
    taking = f"while read -rt 0.02 || [ $? -gt 128 ]; do nft delete element bridge sanbashi owned4 '{{ {element} }}' 2>/dev/null; done"
    somebody = where.popen(taking, stdin=subprocess.PIPE)
    try:
        until = time.monotonic() + 60
        moments: list[object] = []
        while moments != ["RULES_DRIFTED", False, "RULES_DRIFTED"]:
            assert time.monotonic() < until, moments
            moments = [why(town, "web01", "web02:80")[1], packet(town, "web01", address, 80, patience=BRIEF), why(town, "web01", "web02:80")[1]]
    finally:
        somebody.communicate(timeout=30)  # it goes on for as long as its input stands
    until = time.monotonic() + 60
    while why(town, "web01", "web02:80")[0] != "reachable":
        assert time.monotonic() < until, "nobody mended it"
        time.sleep(0.1)
    agree(town, "web01", "web02:80", (address, 80), "")


ECHO = """
import select, socket, sys
taking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
taking.bind(("0.0.0.0", 5353))
print("ready", flush=True)
while sys.stdin not in select.select([taking, sys.stdin], [], [])[0]:
    taking.sendto(b"here", taking.recvfrom(100)[1])
"""


def test_datagrams(town: Engine) -> None:
    words = ["nsenter", "--target", pid(town, "web02"), "--net", sys.executable, "-c", ECHO]
    with ready(town.machine.popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)):
        _, _, answer = why(town, "web01", "web02:5353/udp", probe=True)
        assert [(s["Stage"], s["Verdict"]) for s in answer["Stages"]][-3:] == [("listen", "ok"), ("reply", "ok"), ("probe", "ok")], answer  # type: ignore[attr-defined]
        _, _, answer = why(town, "web01", "web02:5354/udp", probe=True)
        assert answer["Cause"]["Code"] == "NOT_LISTENING", answer  # type: ignore[index]
        assert "refused" in answer["Stages"][-1]["Sentence"], answer  # type: ignore[index]


def test_ends_of_other_kinds(town: Engine) -> None:
    """In another's namespace, in the host's, in none; the daemon's own packet, sent with each question, says the same."""
    for name, network, words in (("beside", "container:web01", (*SERVE, "99")), ("open", "host", (*SERVE, "7777")), ("shut", "none", SLEEP)):
        town.cli("run", "-d", "--name", name, "--network", network, *words)
    try:
        for source, port in (("web01", "0063"), ("open", "1E61")):
            until = time.monotonic() + 30
            tables = ["nsenter", "--target", pid(town, source), "--net", "cat", "/proc/net/tcp6", "/proc/net/tcp"]
            while port not in town.machine.run(tables).stdout:
                assert time.monotonic() < until
                time.sleep(0.02)
        assert why(town, "web01", "beside:99", probe=True)[:2] == ("reachable", "")
        assert why(town, "beside", "web02:80", probe=True)[:2] == ("reachable", "")
        assert why(town, "web02", "beside:99", probe=True)[:2] == ("reachable", "")
        assert why(town, "web01", "open:7777", probe=True)[:2] == ("reachable", "")
        assert why(town, "open", "web02:80", probe=True)[:2] == ("reachable", "")
        assert why(town, "shut", "web02:80")[:2] == why(town, "web01", "shut:80")[:2] == ("blocked", "NO_NETWORK")
    finally:
        town.cli("rm", "-f", "beside", "open", "shut")


def test_it_costs_what_it_touches(town: Engine) -> None:
    """As many netlink messages and files with three more containers about as without."""

    def cost() -> dict[str, int]:
        before = town.call("GET", "/sanbashi/counters")[1]
        why(town, "web01", "web02:80")
        after = town.call("GET", "/sanbashi/counters")[1]
        return {name: after[name] - before[name] for name in after}

    few = cost()
    assert few["netlink_messages"] > 0 and few["nft_transactions"] == few["sql_statements"] == 0
    more = [f"more{n}" for n in range(3)]
    for name, network in zip(more, ("app", "data", "quiet"), strict=True):
        town.cli("run", "-d", "--name", name, "--network", network, *SLEEP)
    try:
        assert cost() == few
    finally:
        town.cli("rm", "-f", *more)


def test_the_command_line(town: Engine) -> None:
    """Exit statuses, formats, and bad input in the usual words; no colours where nobody sees them."""
    cli = sanbashi_cli()
    good = town.cli("why", "web01", "web02:80", program=cli, check=False)
    assert (good.exit, good.stdout.splitlines()[0].split("   ")[:2]) == (0, ["web01 -> web02:80/tcp", "REACHABLE"])
    bad = town.cli("why", "-v", "web01", "db:80", program=cli, check=False)
    assert bad.exit == 3 and " fix   sanbashi network connect data web01" in bad.stdout and "NETWORK_ISOLATED" in bad.stdout
    assert "model: app and data are two networks" in bad.stdout and "\x1b" not in bad.stdout
    assert (
        town.cli("why", "--format", "{{.Result}} {{.Cause.Code}}", "web01", "db:80", program=cli, check=False).stdout == "blocked NETWORK_ISOLATED\n"
    )
    assert town.cli("why", "--format", "json", "web01", "web02", program=cli).stdout.startswith(
        '{"From":"web01","To":"web02","Asked":"web02","Protocol"'
    )
    for words, said in (
        (("nobody", "web02:80"), "Error response from daemon: No such container: nobody"),
        (("host", "nobody:80"), "Error response from daemon: No such container: nobody"),
        (("web01", "web02:http"), "Error response from daemon: invalid port: 'http' in 'web02:http'"),
    ):
        refused = town.cli("why", *words, program=cli, check=False)
        assert (refused.exit, refused.stderr.splitlines()[0]) == (1, said)
    assert town.call("GET", "/sanbashi/why?from=web01")[0] == 400
