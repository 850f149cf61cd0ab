"""Beside other firewalls: published ports that pass the host's input policy, our one rule in a chain that drops; and changes while containers run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.harness import Engine, Machine, engine, machine, ready, registry, sanbashi_cli
from tests.kernel.test_drift import ECHO, HOST, HOST6, until

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

POLICY = """
table inet host {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iif lo accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
    }
}
"""
# As firewalld 1.3 loads its table: at a reload the old one goes and the new one comes in one transaction.
FIREWALLD = """nft -f - <<'END'
table inet firewalld
delete table inet firewalld
table inet firewalld {
    chain filter_PREROUTING { type filter hook prerouting priority filter + 10; policy accept;
        icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
    }
    chain filter_INPUT { type filter hook input priority filter + 10; policy accept;
        ct state { established, related } accept
        ct status dnat accept
        iifname "lo" accept
        ct state invalid drop
        tcp dport 22 accept
        reject with icmpx admin-prohibited
    }
    chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
        ct state { established, related } accept
        iifname "lo" accept
        ct state invalid drop
        ip6 daddr { ::/96, 2002::/24 } reject with icmpv6 addr-unreachable
        jump filter_FORWARD_POLICIES
        reject with icmpx admin-prohibited
    }
    chain filter_FORWARD_POLICIES { iifname "eth0" jump filter_FWD_public; }
    chain filter_FWD_public { return; }
}
END
"""
# What administrators and their programs do to a ruleset, and the chains that drop afterwards and have our rule.
RELOADS = (
    (FIREWALLD, ["inet firewalld filter_FORWARD", "ip filter FORWARD"]),
    (FIREWALLD, ["inet firewalld filter_FORWARD", "ip filter FORWARD"]),
    ("iptables -F; iptables -X; iptables -t nat -F; iptables -t mangle -F", ["inet firewalld filter_FORWARD", "ip filter FORWARD"]),
    ("nft delete table inet firewalld", ["ip filter FORWARD"]),
    ("iptables-restore <<< $'*filter\\n:INPUT ACCEPT\\n:FORWARD DROP\\n:OUTPUT ACCEPT\\nCOMMIT'", ["ip filter FORWARD"]),
    ("iptables-legacy -F; iptables-legacy -t nat -F; iptables-legacy -P FORWARD ACCEPT", ["ip filter FORWARD"]),
    ("nft flush ruleset; iptables -P FORWARD DROP", ["ip filter FORWARD"]),
)
UDP = (
    "import socket,sys; s=socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.4)\n"
    "s.connect((sys.argv[1], int(sys.argv[2]))); s.send(b'?')\n"
    "try: print(s.recv(100))\nexcept OSError as e: print(type(e).__name__)"
)
ANSWERER = (
    "import socket,threading,sys; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 53)); print('ready', flush=True)\n"
    "def serve():\n while True: s.sendto(b'answer', s.recvfrom(100)[1])\n"
    "threading.Thread(target=serve, daemon=True).start(); sys.stdin.read()"
)


def asked(where: Machine, address: str, port: int, patience: float = 15.0) -> bool:
    """Whether a fresh connection of the neighbour is answered."""
    ask = f"exec 3<>/dev/tcp/{address}/{port}; echo hello >&3; head -1 <&3"
    return where.outside.run(["timeout", str(patience), "bash", "-c", ask], check=False).stdout == "hello\n"


def sent_again(where: Machine) -> int:
    """How many times the neighbour has sent a SYN that was not answered once more."""
    names, values = (line.split() for line in where.outside.run(["cat", "/proc/net/netstat"]).stdout.splitlines()[:2])
    return int(values[names.index("TCPSynRetrans")])


def asked_by_datagram(where: Machine, address: str, port: int) -> bool:
    return "answer" in where.outside.run([sys.executable, "-c", UDP, address, str(port)]).stdout


def test_published_ports_pass_the_hosts_own_input_policy(clean: Engine) -> None:
    """Only where the network says so, over both families, for TCP and UDP; a policy that changes is met anew."""
    where = clean.machine
    for name, port, option in (("gated", 8080, "true"), ("plain", 8081, "false")):
        clean.cli("network", "create", "--ipv6", "-o", f"io.sanbashi.host_input={option}", name)
        clean.cli("run", "-d", "--name", f"on-{name}", "--network", name, "-p", f"{port}:80", "busybox", "sh", "-c", ECHO)
    for address, port in ((HOST, 8080), (HOST6, 8080), (HOST, 8081)):
        until(lambda a=address, p=port: asked(where, a, p), what=f"{address} {port}")  # type: ignore[misc]
    where.run(["nft", "-f", "-"], given=POLICY)
    try:
        # The clients that had passed meet the policy that has come since; the host itself and other networks are not asked.
        until(lambda: not asked(where, HOST, 8080, 1.5), what="the policy")
        assert not asked(where, HOST6, 8080, 1.5)
        assert asked(where, HOST, 8081), "a network that does not say so is reached all the same"
        assert clean.shell(f"exec 3<>/dev/tcp/{HOST}/8080; echo hello >&3; head -1 <&3").stdout == "hello\n"
        where.run(["nft", "add rule inet host input tcp dport 8080 accept"])
        until(lambda: asked(where, HOST, 8080), what="what the policy lets pass")
        assert asked(where, HOST6, 8080)
        before = sent_again(where)
        assert asked(where, HOST, 8080) and sent_again(where) == before, "a client that has passed is not asked again, with its second SYN"
    finally:
        where.run(["nft", "delete table inet host"])


def test_a_datagram_passes_the_policy_too(clean: Engine) -> None:
    """The first is lost: it is the one that the policy judges."""
    where = clean.machine
    clean.cli("network", "create", "-o", "io.sanbashi.host_input=true", "gated")
    clean.cli("run", "-d", "--name", "speaker", "--network", "gated", "-p", "8053:53/udp", "busybox", "sleep", "100")
    namespace = clean.call("GET", "/containers/speaker/json")[1]["NetworkSettings"]["SandboxKey"]
    words = ["nsenter", f"--net={namespace}", sys.executable, "-c", ANSWERER]
    with ready(where.popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)):
        until(lambda: asked_by_datagram(where, HOST, 8053), what="a datagram that is answered")
        where.run(["nft", "-f", "-"], given=POLICY)
        try:
            until(lambda: not any(asked_by_datagram(where, HOST, 8053) for _ in range(4)), what="the policy")
            where.run(["nft", "add rule inet host input udp dport 8053 accept"])
            time.sleep(0.7)
            until(lambda: asked_by_datagram(where, HOST, 8053), what="an answered datagram")
        finally:
            where.run(["nft", "delete table inet host"])


def accepts(where: Machine) -> list[str]:
    listed = json.loads(where.run(["nft", "-j", "list", "ruleset"]).stdout)["nftables"]
    rules = [o["rule"] for o in listed if "rule" in o and o["rule"].get("comment") == "sanbashi"]
    return [f"{r['family']} {r['table']} {r['chain']}" for r in rules]


@pytest.fixture
def alone() -> Iterator[tuple[Machine, str]]:
    """A machine without an engine yet, and its registry."""
    with machine() as where, registry(where) as url:
        yield where, url


def test_one_rule_in_a_chain_that_drops(alone: tuple[Machine, str]) -> None:
    """Opt-in: put there, kept over a reload, gone with the daemon; without it the chain is named and nothing is touched."""
    where, images = alone
    where.run("iptables -P FORWARD DROP")
    try:
        with engine(where, name="forbidden", options=[f"--registry-mirror={images}", "--bridge=san0"]) as plain:
            plain.pull("busybox:latest")
            plain.cli("run", "-d", "--name", "echo", "-p", "8080:80", "busybox", "sh", "-c", ECHO)
            assert not asked(where, HOST, 8080, 1.0) and accepts(where) == []
            assert "iptables -P FORWARD ACCEPT" in plain.cli("info").text
        with engine(where, name="accepting", options=[f"--registry-mirror={images}", "--bridge=san0", "--foreign-accept"]) as made:
            made.pull("busybox:latest")
            made.cli("run", "-d", "--name", "echo", "-p", "8080:80", "busybox", "sh", "-c", ECHO)
            assert accepts(where) == ["ip filter FORWARD"]
            until(lambda: asked(where, HOST, 8080))
            # Only what is of our networks: a packet from the neighbour to somewhere else is dropped as before.
            assert "-m comment --comment sanbashi -j ACCEPT" in where.run("iptables -S FORWARD").stdout
            where.run("iptables -F FORWARD; ip6tables -P FORWARD DROP")
            until(lambda: sorted(accepts(where)) == ["ip filter FORWARD", "ip6 filter FORWARD"], what="the rule after a reload")
            assert asked(where, HOST, 8080)
            where.run("nft flush ruleset; iptables -P FORWARD DROP")
            until(lambda: accepts(where) == ["ip filter FORWARD"], what="the rule after a flush")
            assert asked(where, HOST, 8080)
            with streaming(where, 8080) as seen:
                for stranger, chains in RELOADS:
                    where.run(stranger)
                    until(lambda c=chains: sorted(accepts(where)) == c, what=stranger)  # type: ignore[misc]
                    assert asked(where, HOST, 8080), stranger
            assert seen["stream"]["error"] == "" and seen["stream"]["echoed"] > 3 * len(RELOADS)
            assert seen["through"] == 0
            [drop] = made.call("GET", "/sanbashi/firewall")[1]["Foreign"]
            assert drop["Chain"] == "ip filter FORWARD" and drop["Accepted"]
            assert not made.call("GET", "/info")[1]["Warnings"]
        assert accepts(where) == []
    finally:
        where.run("nft delete table ip filter; nft delete table ip6 filter", check=False)


def test_dockers_own_chain_is_named_by_why(alone: tuple[Machine, str]) -> None:
    """Beside a dockerd that has turned forwarding on: its policy drops what is ours, and the command that is named mends it."""
    where, images = alone
    where.run(["sysctl", "-qw", "net.ipv4.ip_forward=0"])
    with engine(where, "docker"), engine(where, options=[f"--registry-mirror={images}", "--bridge=san0"]) as made:
        made.pull("busybox:latest")
        made.cli("run", "-d", "--name", "echo", "-p", "8080:80", "busybox", "sh", "-c", ECHO)
        for source, target in (("echo", "198.51.100.1:9000"), ("outside", "echo:80")):
            answer = made.call("GET", f"/sanbashi/why?from={source}&to={target}")[1]
            cause = answer["Cause"]
            assert [cause[k] for k in ("Code", "Owner", "Object")] == ["HOST_FIREWALL_DROP", "Docker", "ip filter FORWARD"], answer
            assert cause["Fix"] == "iptables -I DOCKER-USER -j ACCEPT"
        assert not asked(where, HOST, 8080, 1.0)
        where.run(cause["Fix"])
        until(lambda: asked(where, HOST, 8080), what="what Docker lets pass")
        answer = made.call("GET", "/sanbashi/why?from=outside&to=echo:80")[1]
        assert answer["Result"] == "reachable", answer


def test_who_drops_at_the_start_is_named_once(alone: tuple[Machine, str]) -> None:
    """With the command for the networks there are; nothing is said before these are known."""
    where, _ = alone
    where.run(FIREWALLD)
    try:
        with engine(where, options=["--bridge=san0"]) as made:
            [line] = [line for line in made.log.read_text().splitlines() if "drops forwarded packets" in line]
            assert "chain inet firewalld filter_FORWARD (firewalld)" in line and "--add-interface=san0 " in line
            assert line.partition("chain ")[2] in made.cli("info").text
    finally:
        where.run("nft delete table inet firewalld")


@contextmanager
def streaming(where: Machine, port: int) -> Iterator[dict[str, Any]]:
    """One stream of the neighbour through a published port; then what became of it."""
    words = [sys.executable, str(Path(__file__).with_name("load.py")), HOST, str(port), HOST, "9", "9001"]
    process = where.outside.popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    seen: dict[str, Any] = {}
    try:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        yield seen
    finally:
        said, _ = process.communicate(timeout=30)
    seen.update(json.loads(said))


def test_ports_come_and_go_while_the_container_talks(clean: Engine) -> None:
    where = clean.machine
    clean.cli("network", "create", "app")
    clean.cli("run", "-d", "--name", "echo", "--network", "app", "-p", "8080:80", "-p", "81", "busybox", "sh", "-c", ECHO)
    chosen = clean.cli("port", "echo", "81").stdout.split()[0].rpartition(":")[2]
    with streaming(where, 8080) as seen:
        assert not asked(where, HOST, 8090, 0.5)
        clean.cli("port", "publish", "echo", "8090:80", "127.0.0.1:8091:80/tcp", program=sanbashi_cli())
        assert asked(where, HOST, 8090) and not asked(where, HOST, 8091, 0.5)
        assert clean.cli("port", "unpublish", "echo", "9999:80", program=sanbashi_cli(), check=False).exit == 1
        taken = clean.cli("port", "publish", "echo", "8090:81", program=sanbashi_cli(), check=False)
        assert taken.exit == 1 and "Bind for 0.0.0.0:8090 failed: port is already allocated" in taken.stderr
        elsewhere = clean.cli("port", "publish", "echo", "192.0.2.77:8092:80", program=sanbashi_cli(), check=False)
        endpoint = clean.call("GET", "/containers/echo/json")[1]["NetworkSettings"]["Networks"]["app"]["EndpointID"]
        words = f"driver failed programming external connectivity on endpoint echo ({endpoint}): failed to bind host port 192.0.2.77:8092/tcp"
        assert elsewhere.exit == 1 and words in elsewhere.stderr
        assert clean.call("POST", "/sanbashi/containers/echo/ports", {"Publish": [], "Publishh": ["1:1"]})[0] == 400
        assert clean.call("POST", "/sanbashi/networks/app/update", {"Mtu": 1400})[0] == 400
        clean.cli("network", "update", "--mtu", "1400", "--label", "kind=live", "--icc", "false", "app", program=sanbashi_cli())
        assert "mtu 1400" in clean.cli("exec", "echo", "ip", "link", "show", "eth0").stdout
        clean.cli("network", "update", "--mtu", "1500", "--label-rm", "kind", "--icc", "true", "app", program=sanbashi_cli())
        assert "mtu 1500" in clean.cli("exec", "echo", "ip", "link", "show", "eth0").stdout
        clean.cli("port", "unpublish", "echo", "8090:80", program=sanbashi_cli())
        assert not asked(where, HOST, 8090, 0.5)
        time.sleep(0.5)
    assert seen["stream"]["error"] == "" and seen["stream"]["echoed"] > 50
    # What was changed is kept, and so are the addresses and the port that was chosen.
    address = clean.address("echo", "app")
    clean.cli("run", "-d", "--name", "second", "--network", "app", "busybox", "sleep", "60")
    later = clean.address("second", "app")
    clean.cli("stop", "-t0", "echo", "second")
    stopped = clean.call("GET", "/networks/app")[1]["SanbashiStopped"]
    assert {s["Name"]: s["LastIPv4Address"] for s in stopped.values()} == {"echo": address, "second": later}
    clean.cli("start", "second", "echo")
    assert (clean.address("echo", "app"), clean.address("second", "app")) == (address, later)
    ports = clean.call("GET", "/containers/echo/json")[1]["NetworkSettings"]["Ports"]
    assert {p["HostPort"] for p in ports["80/tcp"]} == {"8080", "8091"} and {p["HostPort"] for p in ports["81/tcp"]} == {chosen}


def test_a_networks_rules_change_live(clean: Engine) -> None:
    """icc off and on again; what cannot change is refused and changes nothing. The other options: test_live."""
    clean.cli("network", "create", "app")
    clean.cli("run", "-d", "--name", "echo", "--network", "app", "busybox", "sh", "-c", ECHO)
    clean.cli("run", "-d", "--name", "client", "--network", "app", "busybox", "sleep", "100")
    address = clean.address("echo", "app")

    def reached(patience: int) -> bool:
        return clean.cli("exec", "client", "sh", "-c", f"echo hello | timeout {patience} nc {address} 80", check=False).stdout == "hello\n"

    until(lambda: reached(1))
    clean.cli("network", "update", "--icc", "false", "app", program=sanbashi_cli())
    assert not reached(1)
    clean.cli("network", "update", "--icc", "true", "app", program=sanbashi_cli())
    assert reached(20)
    before = clean.call("GET", "/networks/app")[1]
    for words in (["-o", "com.docker.network.bridge.name=x"], ["--gateway-mode-ipv4", "isolated"], ["--mtu", "many"], ["--dns", "nowhere"]):
        assert clean.cli("network", "update", *words, "app", program=sanbashi_cli(), check=False).exit == 1
    assert clean.call("GET", "/networks/app")[1] == before
    assert clean.cli("network", "update", "--icc", "false", "bridge", program=sanbashi_cli(), check=False).exit == 1


def test_a_chosen_bridge_is_adopted_and_left_as_it_was(alone: tuple[Machine, str]) -> None:
    where, images = alone
    where.run("ip link add mine type bridge; ip addr add 10.77.0.1/24 dev mine; ip link set mine up")
    try:
        with engine(where, name="adopting", options=[f"--registry-mirror={images}", "--bridge=mine"]) as made:
            made.pull("busybox:latest")
            made.cli("run", "-d", "--name", "echo", "-p", "8080:80", "busybox", "sh", "-c", ECHO)
            assert made.address("echo") == "10.77.0.2"
            until(lambda: asked(where, HOST, 8080))
        left = json.loads(where.run(["ip", "-j", "addr", "show", "mine"]).stdout)[0]
        assert "UP" in left["flags"] and [a["local"] for a in left["addr_info"] if a["family"] == "inet"] == ["10.77.0.1"]
        assert "ifalias" not in left
    finally:
        where.run("ip link delete mine", check=False)
    where.run("ip link add docker0 type bridge")
    try:
        with pytest.raises(RuntimeError, match="belongs to somebody else"):
            Engine(where, name="refused").start()
    finally:
        where.run("ip link delete docker0")


def test_a_killed_daemons_guard_is_taken_over(alone: tuple[Machine, str]) -> None:
    """It persists without an owner; the next daemon makes it its own, and takes it along when it ends."""
    where, _ = alone
    made = Engine(where).start()
    made.kill()
    tables = where.run("nft list tables").stdout
    assert ("inet sanbashi_guard" in tables) == ("no guard" not in made.tail())
    made.start()
    if "no guard" not in made.tail(200):
        assert where.run("nft delete table inet sanbashi_guard", check=False).exit == 1
    assert json.loads(where.run(["nft", "-j", "list", "tables"]).stdout)["nftables"]
    made.end()
    assert where.run("nft list tables").stdout == ""
