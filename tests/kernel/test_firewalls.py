"""Beside the real firewalld and ufw: what they keep out is named, with what mends it; their reloads cost no flow; our one rule outlives them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.firewalls import Firewall, Firewalld, Ufw, archives, unpacked
from tests.harness import Engine, Machine, engine, machine, registry
from tests.kernel.test_drift import ECHO, HOST, NEIGHBOUR, closed_windows, until
from tests.kernel.test_neighbourly import accepts, asked, streaming

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
RELOADING = "firewalld_policy_drop"
SLEEP = ("busybox", "sleep", "1000")
OURS = "nft list table inet sanbashi; nft list table bridge sanbashi"


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Machine, str]]:
    """A machine with a registry and the two firewalls' files."""
    if not archives():
        pytest.skip("firewalld and ufw cannot be fetched from the distribution's mirror")
    with machine() as where, registry(where) as url, unpacked(where):
        yield where, url


@pytest.fixture(params=[Firewalld, Ufw])
def other(request: pytest.FixtureRequest, place: tuple[Machine, str]) -> Firewall:
    made: Firewall = request.param(place[0])
    return made


def gets_out(made: Engine, container: str) -> bool:
    """Whether a new connection of a container reaches a neighbour's listener."""
    listen = made.machine.outside.popen(["timeout", "90", "busybox", "nc", "-l", "-p", "9000", "-e", "echo", "hello"])
    try:
        until(lambda: ":9000 " in made.machine.outside.run("ss -Hltn").stdout)
        return "hello" in made.cli("exec", container, "sh", "-c", f"timeout 1 nc {NEIGHBOUR} 9000 </dev/null", check=False).stdout
    finally:
        made.machine.outside.run(f"exec 3<>/dev/tcp/{NEIGHBOUR}/9000; cat <&3", check=False)
        listen.wait(100)


def warnings(made: Engine) -> list[str]:
    return [w for w in made.call("GET", "/info")[1]["Warnings"] or [] if "drops forwarded packets" in w]


def blamed(made: Engine, source: str, target: str) -> tuple[str, str, str]:
    """Whom `why` names for what does not arrive: owner, chain, and its sentence."""
    answer = made.call("GET", f"/sanbashi/why?from={source}&to={target}")[1]
    assert (answer["Result"], answer["Cause"]["Code"]) == ("blocked", "HOST_FIREWALL_DROP"), answer
    return answer["Cause"]["Owner"], answer["Cause"]["Object"], answer["Cause"]["Sentence"]


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


def test_what_is_kept_out_is_named_and_mended_by_the_command_that_is_named(place: tuple[Machine, str], other: Firewall) -> None:
    where, images = place
    with engine(where, name="plain", options=[f"--registry-mirror={images}"]) as made:
        third = started(made)

        def reached() -> list[bool]:
            return [asked(where, HOST, 8080, 1.0), asked(where, third, 80, 1.0), gets_out(made, "echo"), gets_out(made, "second")]

        def come_to(*expected: bool) -> None:
            """The machine may be busy: what is reached is asked for until it is as it should be."""
            until(lambda: reached() == list(expected), 120.0, f"{expected}")

        come_to(True, True, True, True)
        ours, repairs = where.run(OURS).stdout, made.call("GET", "/sanbashi/firewall")[1]["Repairs"]
        assert not warnings(made)
        with streaming(where, 8080) as seen:
            with other.running():
                until(lambda: len(warnings(made)) == len(other.chains), what="the warnings")
                come_to(other.passes_published, False, False, False)
                drops = made.call("GET", "/sanbashi/firewall")[1]["Foreign"]
                owner = type(other).__name__.lower()
                assert [(d["Chain"], d["Owner"], d["Because"]) for d in drops] == [(chain, owner, other.because) for chain in other.chains]
                command = drops[0]["Command"]
                assert warnings(made) == [
                    f"chain {chain} ({owner}) drops forwarded packets: {other.because}; to let containers be reached run: {command}"
                    for chain in other.chains
                ]
                assert command in made.cli("info").text
                causes = [blamed(made, "echo", f"{NEIGHBOUR}:9000"), *([] if other.passes_published else [blamed(made, "outside", "echo:80")])]
                assert {(owner, chain) for owner, chain, _ in causes} == {(owner, other.chains[0])}
                assert all(verdict.startswith(f"chain {other.chains[0]} ({owner}) drops the packets: ") for _, _, verdict in causes)
                other.shell(command)
                come_to(True, True, True, True)
                until(lambda: not warnings(made), what="that nothing is dropped any more")
                for line in other.reloads:
                    other.shell(line)
                    come_to(True, True, True, True)
                assert not warnings(made)
                made.cli("network", "create", "-o", "com.docker.network.bridge.name=mine0", "named")
                # A zone knows interfaces by their names, a policy does not ask for them.
                told = warnings(made)
                assert len(told) == other.passes_published and all("--add-interface=mine0 " in line for line in told)
                made.cli("network", "rm", "named")
                assert not warnings(made)
            come_to(True, True, True, True)
        assert seen["stream"]["error"] == "" and seen["stream"]["echoed"] > 100
        assert made.call("GET", "/sanbashi/firewall")[1]["Repairs"] == repairs
        assert where.run(OURS).stdout == ours and accepts(where) == []
        assert RELOADING not in made.tail(1000), "what stands while firewalld reloads is nothing to be mended"


def test_our_one_rule_outlives_reloads(place: tuple[Machine, str], other: Firewall, capsys: pytest.CaptureFixture[str]) -> None:
    """Opt-in: put there at the start and after each reload, gone with the daemon, and the firewall's own rules as they were."""
    where, images = place
    with other.running():
        before = where.run("nft -s list ruleset").stdout
        with engine(where, name="accepting", options=[f"--registry-mirror={images}", "--foreign-accept"]) as made:
            third = started(made)
            assert accepts(where) == list(other.chains)
            with streaming(where, 8080) as seen:
                for line in other.reloads:
                    other.shell(line)
                    until(lambda: accepts(where) == list(other.chains), what=f"the rule after {line}")
                    assert asked(where, HOST, 8080) and asked(where, third, 80)
                    until(lambda: gets_out(made, "echo") and gets_out(made, "second"), 120.0, "the way out")
            failed, windows = sum(not answered for _, answered in seen["fresh"]), closed_windows(seen["fresh"])
            with capsys.disabled():
                print(f"\n{other.reloads}: {failed} of {len(seen['fresh'])} fresh connections refused, {max(windows, default=0):.2f} s at most")
            assert seen["stream"]["error"] == "" and seen["stream"]["echoed"] > 100
            assert not warnings(made)
        assert where.run("nft -s list ruleset").stdout == before


def test_it_says_who_reaches_a_gated_port(place: tuple[Machine, str], other: Firewall) -> None:
    """Where published ports pass the host's own input policy, what opens and closes a port of the host means what it says, at once."""
    where, images = place
    with other.running(), engine(where, name="gated", options=[f"--registry-mirror={images}", "--host-input", "--foreign-accept"]) as made:
        started(made)
        assert not asked(where, HOST, 8080, 1.5)
        other.shell(other.opens[0])
        until(lambda: asked(where, HOST, 8080), what="what is let in")
        other.shell(other.opens[1])
        until(lambda: not asked(where, HOST, 8080, 1.5), what="what is kept out")
