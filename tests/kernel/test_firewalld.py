"""Beside the real firewalld: what it keeps out is named with the command that mends it, its reloads cost no flow, and our one rule outlives them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.firewalld import Firewalld, archives, firewalld
from tests.harness import Engine, Machine, engine, machine, registry
from tests.kernel.test_drift import ECHO, HOST, NEIGHBOUR, closed_windows, until
from tests.kernel.test_neighbourly import accepts, asked, streaming

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
RELOADING = "firewalld_policy_drop"
CHAIN = "inet firewalld filter_FORWARD"
SLEEP = ("busybox", "sleep", "1000")


@pytest.fixture(scope="module")
def beside() -> Iterator[tuple[Machine, str, Firewalld]]:
    """A machine with a registry and a firewalld that can be run."""
    if not archives():
        pytest.skip("firewalld cannot be fetched from the distribution's mirror")
    with machine() as where, registry(where) as url, firewalld(where) as other:
        yield where, url, other


def gets_out(made: Engine, container: str) -> bool:
    """Whether a new connection of a container reaches a neighbour's listener."""
    listen = made.machine.outside.popen(["timeout", "5", "busybox", "nc", "-l", "-p", "9000", "-e", "echo", "hello"])
    try:
        until(lambda: ":9000 " in made.machine.outside.run("ss -Hltn").stdout)
        return "hello" in made.cli("exec", container, "sh", "-c", f"timeout 1 nc {NEIGHBOUR} 9000 </dev/null", check=False).stdout
    finally:
        made.machine.outside.run(f"exec 3<>/dev/tcp/{NEIGHBOUR}/9000; cat <&3", check=False)
        listen.wait(30)


def warnings(made: Engine) -> list[str]:
    return [w for w in made.call("GET", "/info")[1]["Warnings"] or [] if "firewalld" in w]


def started(made: Engine) -> str:
    """A container on the default network with a published port, one on a network of the user's, one on a routed network; the address of the last."""
    made.pull("busybox:latest")
    made.cli("network", "create", "app")
    made.cli("network", "create", "-o", "com.docker.network.bridge.gateway_mode_ipv4=routed", "open")
    made.cli("run", "-d", "--name", "echo", "-p", "8080:80", "busybox", "sh", "-c", ECHO)
    made.cli("run", "-d", "--name", "second", "--network", "app", *SLEEP)
    made.cli("run", "-d", "--name", "third", "--network", "open", "-p", "80", "busybox", "sh", "-c", ECHO)
    made.machine.outside.run(["ip", "route", "replace", "172.16.0.0/12", "via", HOST])
    return made.address("third", "open")


def test_what_firewalld_keeps_out_is_named_and_mended_by_the_command_that_is_named(beside: tuple[Machine, str, Firewalld]) -> None:
    where, images, other = beside
    with engine(where, name="plain", options=[f"--registry-mirror={images}"]) as made:
        third = started(made)
        assert gets_out(made, "echo") and gets_out(made, "second") and asked(where, third, 80) and not warnings(made)
        ours = where.run("nft list table inet sanbashi; nft list table bridge sanbashi").stdout
        repairs = made.call("GET", "/sanbashi/firewall")[1]["Repairs"]
        with streaming(where, 8080) as seen:
            with other.running():
                until(lambda: warnings(made), what="the warning")
                assert asked(where, HOST, 8080) and not gets_out(made, "echo") and not gets_out(made, "second")
                assert not asked(where, third, 80, 1.0)
                [drop] = made.call("GET", "/sanbashi/firewall")[1]["Foreign"]
                assert (drop["Chain"], drop["Owner"], drop["Because"]) == (CHAIN, "firewalld", "its last rule is reject")
                assert warnings(made) == [
                    f"chain {CHAIN} (firewalld) drops forwarded packets: its last rule is reject; to let containers be reached run: {drop['Command']}"
                ]
                assert drop["Command"] in made.cli("info").text
                other.shell(drop["Command"])
                assert gets_out(made, "echo") and gets_out(made, "second") and asked(where, third, 80)
                until(lambda: not warnings(made), what="that nothing is dropped any more")
                for words in ("--reload", "--complete-reload"):
                    other.tell(words)
                    assert asked(where, HOST, 8080) and asked(where, third, 80) and gets_out(made, "echo") and gets_out(made, "second")
                assert not warnings(made)
            assert "firewalld" not in where.run("nft list tables").stdout
            assert asked(where, HOST, 8080) and gets_out(made, "second")
        assert seen["stream"]["error"] == "" and seen["stream"]["echoed"] > 100
        assert made.call("GET", "/sanbashi/firewall")[1]["Repairs"] == repairs
        assert where.run("nft list table inet sanbashi; nft list table bridge sanbashi").stdout == ours
        assert accepts(where) == []
        assert RELOADING not in made.tail(1000), "what stands while firewalld reloads is nothing to be mended"


def test_our_one_rule_outlives_what_firewalld_does(beside: tuple[Machine, str, Firewalld], capsys: pytest.CaptureFixture[str]) -> None:
    """Opt-in: put there when firewalld starts and after each reload, gone with the daemon; a packet of nobody's is rejected as before."""
    where, images, other = beside
    with other.running():
        with engine(where, name="accepting", options=[f"--registry-mirror={images}", "--foreign-accept"]) as made:
            third = started(made)
            assert accepts(where) == [CHAIN]
            with streaming(where, 8080) as seen:
                for words in ("--reload", "--complete-reload"):
                    other.tell(words)
                    until(lambda: accepts(where) == [CHAIN], what=f"the rule after {words}")
                    assert asked(where, HOST, 8080) and asked(where, third, 80) and gets_out(made, "echo") and gets_out(made, "second")
            failed, windows = sum(not answered for _, answered in seen["fresh"]), closed_windows(seen["fresh"])
            with capsys.disabled():
                print(
                    f"\n2 reloads of firewalld: {failed} of {len(seen['fresh'])} fresh connections refused, {max(windows, default=0):.2f} s at most"
                )
            assert seen["stream"]["error"] == "" and seen["stream"]["echoed"] > 100
            assert not warnings(made)
        assert "firewalld" in where.run("nft list tables").stdout and accepts(where) == []


def test_a_zone_says_who_reaches_a_gated_port(beside: tuple[Machine, str, Firewalld]) -> None:
    """Where published ports pass the host's own input policy, firewalld's --add-port and --remove-port mean what they say, at once."""
    where, images, other = beside
    with other.running(), engine(where, name="gated", options=[f"--registry-mirror={images}", "--host-input"]) as made:
        started(made)
        assert not asked(where, HOST, 8080, 1.5)
        other.tell("--add-port=8080/tcp")
        until(lambda: asked(where, HOST, 8080), what="what the zone lets pass")
        other.tell("--remove-port=8080/tcp")
        until(lambda: not asked(where, HOST, 8080, 1.5), what="what the zone keeps out")
