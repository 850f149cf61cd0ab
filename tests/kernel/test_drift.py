"""Others at our rules while everything is in use: flushes and deletions mended, links put back, and what that costs those who talk."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.harness import Engine

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
IMAGES = ("ubuntu:latest",)

HOST, HOST6, NEIGHBOUR = "198.51.100.2", "2001:db8:51::2", "198.51.100.1"
LOAD = Path(__file__).with_name("load.py")
ECHO = "nc -ll -p 81 -e cat & exec nc -ll -p 80 -e cat"
SEND = f"while :; do echo WORD > /dev/udp/{NEIGHBOUR}/9000; sleep 0.01; done 2>/dev/null"


def until(true: Callable[[], object], within: float = 30.0, what: str = "it") -> float:
    """Wait for something that must become true; how long it took."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() < begun + within, f"{what} did not become true in time"
        time.sleep(0.01)
    return time.monotonic() - begun


@contextmanager
def load(engine: Engine, direct: str) -> Iterator[dict[str, Any]]:
    """The neighbour's load for as long as the block lasts; then what it saw."""
    words = [sys.executable, str(LOAD), HOST, "8080", direct, "81", "9000"]
    process = engine.machine.outside.popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    seen: dict[str, Any] = {}
    try:
        assert process.stdout.readline() == "begun\n"
        yield seen
    finally:
        process.stdin.close()
        said = process.stdout.read()
        process.stdout.close()
        process.wait(30)
    seen.update(json.loads(said))


def closed_windows(fresh: list[tuple[float, bool]]) -> list[float]:
    """For how long fresh connections failed, each time they did: from the first that failed to the next that was answered."""
    windows, since = [], None
    for begun, answered in fresh:
        if not answered and since is None:
            since = begun
        elif answered and since is not None:
            windows.append(begun - since)
            since = None
    assert since is None, "it never opened again"
    return windows


STRANGERS = (
    *["flush ruleset"] * 10,
    *["delete table inet sanbashi"] * 3,
    "delete table bridge sanbashi",
    "flush chain inet sanbashi forward",
    "flush set inet sanbashi bridges",
    "flush map inet sanbashi published4_any",
    "flush chain inet sanbashi prerouting",
    "flush map inet sanbashi entering",
    *["flush map inet sanbashi leaving"] * 4,
    "flush ruleset; add table inet others; add chain inet others input { type filter hook input priority 0; policy accept; }",
)


def test_flushes_under_load(clean: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    engine = clean
    engine.cli("network", "create", "--internal", "inner")
    engine.cli("run", "-d", "--name", "echo", "-p", "8080:80", "busybox", "sh", "-c", ECHO)
    engine.cli("run", "-d", "--name", "outward", "ubuntu", "bash", "-c", SEND.replace("WORD", "outward"))
    engine.cli("run", "-d", "--name", "inward", "--network", "inner", "ubuntu", "bash", "-c", SEND.replace("WORD", "inward"))
    # An internal network has no way out of its own; one by the gateway's address is what the rules must stop.
    inner = json.loads(engine.cli("network", "inspect", "inner").stdout)[0]["IPAM"]["Config"][0]["Gateway"]
    namespace = json.loads(engine.cli("inspect", "inward").stdout)[0]["NetworkSettings"]["SandboxKey"]
    engine.shell(f"nsenter --net={namespace} ip route add default via {inner}")
    direct = engine.address("echo")
    engine.machine.outside.run(["ip", "route", "replace", "172.16.0.0/12", "via", HOST])

    def repairs() -> int:
        return int(engine.call("GET", "/sanbashi/firewall")[1]["Repairs"])

    with load(engine, direct) as seen:
        time.sleep(0.5)
        for stranger in STRANGERS:
            known = repairs()
            engine.machine.run(["nft", stranger])
            until(lambda: repairs() > known, what=f"a repair after {stranger}")  # noqa: B023, asked before the next one comes
            time.sleep(0.4)
    engine.shell("nft delete table inet others")
    after = engine.call("GET", "/sanbashi/firewall")[1]
    windows = closed_windows(seen["fresh"])
    longest, failed = max(windows, default=0.0), sum(not answered for _, answered in seen["fresh"])
    with capsys.disabled():
        print(
            f"\n{len(STRANGERS)} strangers at the rules: {seen['stream']['echoed']} lines echoed by one stream, "
            f"{len(seen['fresh'])} fresh connections, {failed} of them refused; closed {len(windows)} times, the longest {longest * 1000:.0f} ms; "
            f"{seen['through']} of {seen['knocks']} knocks at an unpublished port let through"
        )
    assert seen["stream"]["error"] == "" and seen["stream"]["echoed"] > 5 * len(STRANGERS)
    assert longest < 1.0
    assert seen["through"] == 0 and seen["knocks"] > 5 * len(STRANGERS)
    # Nothing left an internal network, and nothing bore the address that it has only inside.
    assert {word for word in seen["datagrams"] if not word.startswith("outward")} == set()
    assert set(seen["datagrams"]) == {f"outward from {HOST}"}
    assert after["Tables"]["inet sanbashi"]["published4_any"] == 1


def test_gaps_between_fresh_connections_are_as_meant() -> None:
    """The measure itself: two closed times, told by their edges."""
    assert closed_windows([(0.0, True), (0.1, False), (0.2, False), (0.3, True), (0.4, False), (0.5, True)]) == pytest.approx([0.2, 0.1])
    assert [b - a for a, b in pairwise((0.0, 0.01))] == [0.01]


def test_links_and_forwarding_are_put_back(clean: Engine) -> None:
    engine = clean
    engine.cli("network", "create", "app")
    engine.cli("run", "-d", "--name", "echo", "--network", "app", "-p", "8080:80", "-p", "127.0.0.1:8081:80", "busybox", "sh", "-c", ECHO)
    bridge = "br-" + json.loads(engine.cli("network", "inspect", "app").stdout)[0]["Id"][:12]
    _, inspected = engine.call("GET", "/containers/echo/json")
    veth = inspected["NetworkSettings"]["Networks"]["app"]["HostInterface"]
    assert inspected["NetworkSettings"]["Networks"]["app"]["HostInterfaceIndex"] > 0

    def answers() -> bool:
        ask = f"exec 3<>/dev/tcp/{HOST}/8080; echo hello >&3; head -1 <&3"
        return engine.machine.outside.run(["timeout", "0.5", "bash", "-c", ask], check=False).stdout == "hello\n"

    until(answers)
    for stranger in (
        f"ip link set {bridge} down",
        f"ip link set {veth} down",
        f"ip link set {veth} nomaster",
        f"ip addr flush dev {bridge}",
        f"ip link delete {bridge}",
        f"ip link delete {veth}",
        f"ip route flush dev {bridge}",
        f"ip link set {bridge} name other0",
        f"ip link set {bridge} down; ip link set {bridge} name other0; ip link set other0 up || true",  # it may have its name again
        f"ip link set {veth} name other1",
        f"ip link set {veth} down; ip link set {veth} name other1",
        "sysctl -qw net.ipv4.ip_forward=0",
        f"sysctl -qw net.ipv4.conf.{bridge}.forwarding=0",
        "nft flush ruleset; ip link delete docker0",
    ):
        engine.shell(stranger)
        time.sleep(0.1)
        assert until(answers, what=stranger) < 2.0, stranger
        until(lambda: engine.shell(f"ip link show {bridge} && ip link show {veth}", check=False).exit == 0, what=f"the names after {stranger}")
    # Of a bridge that has been made anew meanwhile, and of the default network's; then of the host's own, which is named and left as it is.
    for stranger in (f"sysctl -qw net.ipv4.conf.{bridge}.route_localnet=0", "sysctl -qw net.ipv4.conf.docker0.route_localnet=0"):
        engine.shell(stranger)
        setting = stranger.rpartition(" ")[2].removesuffix("=0")
        until(lambda s=setting: engine.shell(f"sysctl -n {s}").stdout == "1\n", what=stranger)  # type: ignore[misc]
    assert engine.shell("exec 3<>/dev/tcp/127.0.0.1/8081; echo hello >&3; timeout 5 head -1 <&3").stdout == "hello\n"
    engine.shell("sysctl -qw net.ipv4.conf.eth0.forwarding=0")
    assert not answers()
    [warning] = engine.call("GET", "/info")[1]["Warnings"]
    assert warning.startswith("IPv4 forwarding of eth0 is off: ")
    engine.shell(warning.rpartition(": ")[2])
    assert answers() and not engine.call("GET", "/info")[1]["Warnings"]
    causes = [r["Cause"] for r in engine.call("GET", "/sanbashi/firewall")[1]["LatestRepairs"]]
    assert "somebody turned forwarding off" in causes and f"somebody changed {veth}" in causes
    assert f"somebody renamed {veth}" in causes and f"somebody renamed {bridge}" in causes
    engine.kill()
    engine.shell(f"ip route flush dev {bridge}; ip -6 route flush dev {bridge}")
    engine.start()
    until(answers, what="the route that went while nobody looked")
    # Our own coming and going is nobody's drift. What was mended at the start may not be all counted yet.
    counts = [-1]

    def counted() -> bool:
        counts.append(engine.call("GET", "/sanbashi/firewall")[1]["Repairs"])
        time.sleep(0.5)
        return counts[-1] == counts[-2]

    until(counted)
    count = counts[-1]
    engine.cli("restart", "-t0", "echo")
    engine.cli("network", "create", "other")
    engine.cli("network", "rm", "other")
    until(answers)
    time.sleep(0.3)
    latest = engine.call("GET", "/sanbashi/firewall")[1]
    assert latest["Repairs"] == count, latest["LatestRepairs"]


def test_a_permanent_neighbour_is_put_back(clean: Engine) -> None:
    """Deleted, or made an ordinary one; what goes with a container is our own doing, and others' neighbours are theirs."""
    where = clean.machine
    clean.cli("network", "create", "--ipv6", "--subnet", "10.98.0.0/24", "--subnet", "fd98::/64", "near")
    for name in ("box", "other"):
        clean.cli("run", "-d", "--name", name, "--network", "near", "busybox", "sleep", "1000")
    bridge = "br-" + clean.cli("network", "inspect", "-f", "{{.Id}}", "near").stdout[:12]
    shown = json.loads(clean.cli("inspect", "-f", "{{json .NetworkSettings.Networks.near}}", "box").stdout)
    four, six, mac = shown["IPAddress"], shown["GlobalIPv6Address"], shown["MacAddress"]

    def stands(address: str) -> bool:
        listed = json.loads(where.run(f"ip -j neigh show {address} dev {bridge}").stdout)
        return [(entry["lladdr"], entry["state"]) for entry in listed] == [(mac, ["PERMANENT"])]

    def repairs() -> int:
        return int(clean.call("GET", "/sanbashi/firewall")[1]["Repairs"])

    before = repairs()
    for address in (four, six):
        assert stands(address)
        where.run(f"ip neigh del {address} dev {bridge}")
        until(lambda a=address: stands(a), what="the neighbour that was deleted")  # type: ignore[misc]
        where.run(f"ip neigh change {address} lladdr 02:00:00:00:00:07 dev {bridge} nud reachable")
        until(lambda a=address: stands(a), what="the neighbour that was made another")  # type: ignore[misc]
    count = repairs()
    assert before < count <= before + 8
    where.run(f"ip neigh add 10.98.0.99 lladdr 02:00:00:00:00:07 dev {bridge} && ip neigh del 10.98.0.99 dev {bridge}")
    clean.cli("restart", "-t0", "other")
    clean.cli("network", "disconnect", "near", "other")
    clean.cli("network", "connect", "near", "other")
    clean.cli("rm", "-f", "other")
    where.run(f"ip neigh del {four} dev {bridge}")  # heard after all that
    until(lambda: stands(four), what="the neighbour")
    after = clean.call("GET", "/sanbashi/firewall")[1]
    assert count < after["Repairs"] <= count + 2, after["LatestRepairs"]


def test_a_network_made_where_new_links_do_not_forward(clean: Engine) -> None:
    """What the kernel gives new links counts for all but bridges of ours."""
    setting = "net.ipv4.conf.default.forwarding"
    clean.shell(f"sysctl -qw {setting}=0")
    try:
        clean.cli("network", "create", "app")
    finally:
        clean.shell(f"sysctl -qw {setting}=1")
    clean.cli("run", "-d", "--name", "echo", "--network", "app", "-p", "8080:80", "busybox", "sh", "-c", ECHO)
    ask = f"exec 3<>/dev/tcp/{HOST}/8080; echo hello >&3; head -1 <&3"
    until(lambda: clean.machine.outside.run(["timeout", "2", "bash", "-c", ask], check=False).stdout == "hello\n")
