"""Who reaches whom, proven with packets: published ports, what leaves, what is refused; over IPv4 and IPv6, with and without br_netfilter."""

from __future__ import annotations

import pytest
from tests.kernel.town import Question, Town, refused
from tests.kernel.world import NB4, NB6, UP4, UP4B, UP6

pytestmark = pytest.mark.root
W1, M1 = "10.81.1.1", "fd81:1::1"  # the bridge of web


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_published_port_from_everywhere(town: Town, protocol: str) -> None:
    """The neighbour and other networks are seen as they are; who would be answered past us, as the bridge."""
    netfilter = town.world.br_netfilter
    assert (
        town.mistakes(
            Question("neighbour", protocol, UP4, 8080, f"w1 {NB4}"),
            Question("neighbour", protocol, UP6, 8080, f"w1 {NB6}"),
            Question("host", protocol, "127.0.0.1", 8080, f"w1 {W1}"),
            Question("host", protocol, "127.9.9.9", 8080, f"w1 {W1}"),
            Question("host", protocol, UP4, 8080, f"w1 {UP4}"),
            Question("host", protocol, UP6, 8080, f"w1 {UP6}"),
            Question("host", protocol, W1, 8080, f"w1 {W1}"),
            Question("d1", protocol, UP4, 8080, f"w1 {town.four('d1')}"),
            Question("d1", protocol, UP6, 8080, f"w1 {town.six('d1')}"),
            Question("w2", protocol, UP4, 8080, f"w1 {town.four('w2') if netfilter else W1}"),
            Question("w2", protocol, UP6, 8080, f"w1 {town.six('w2') if netfilter else M1}"),
            Question("w1", protocol, UP4, 8080, f"w1 {W1}"),
            Question("w1", protocol, UP6, 8080, f"w1 {M1}"),
        )
        == []
    )


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_the_hosts_own_loopback_over_ipv6(town: Town, protocol: str) -> None:
    """In the kernel, with br_netfilter too: it drops an answer that is translated back to ::1 on the bridge, so its client is lent another."""
    right = f"w1 {M1}"
    assert town.mistakes(Question("host", protocol, "::1", 8080, right), Question("host", "tcp", "::1", 8084, right)) == []


def test_a_refusal_is_told_on_loopback(town: Town) -> None:
    """An ICMP error quotes what was sent, as its sender knows it."""
    assert town.mistakes(*(Question("host", "udp", address, 8087, "refused") for address in ("127.0.0.1", "::1"))) == []


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_ipv6_to_an_ipv4_only_container(town: Town, protocol: str) -> None:
    """The keeper's forwarder, which the container sees as its bridge."""
    assert (
        town.mistakes(
            Question("host", protocol, "::1", 8086, "f1 10.81.8.1"),
            Question("neighbour", protocol, UP6, 8086, "f1 10.81.8.1"),
            Question("neighbour", protocol, UP4, 8086, f"f1 {NB4}"),
            Question("d1", protocol, UP6, 8086, "f1 10.81.8.1"),
        )
        == []
    )


def test_published_on_one_address(town: Town) -> None:
    assert (
        town.mistakes(
            refused(("neighbour", "tcp", UP4, 8081), "neighbour", "tcp", UP4B, 8081, f"w1 {NB4}"),
            refused(("neighbour", "tcp", UP4, 8083), "neighbour", "tcp", UP6, 8083, f"w1 {NB6}"),
            refused(("neighbour", "tcp", UP6, 8084), "neighbour", "tcp", UP6, 8083, f"w1 {NB6}"),
        )
        == []
    )


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_published_on_loopback_is_for_the_host_alone(town: Town, protocol: str) -> None:
    control = ("host", protocol, "127.0.0.1", 8082, f"w1 {W1}")
    assert (
        town.mistakes(
            refused(("neighbour", protocol, UP4, 8082), *control),
            refused(("host", protocol, UP4, 8082), *control),
            refused(("d1", protocol, UP4, 8082), *control),
            refused(("d1", protocol, "10.81.2.1", 8082), *control),
        )
        == []
    )


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_what_is_not_published_is_not_reached(town: Town, protocol: str) -> None:
    """Directly at the container's address, from outside; the neighbour has a route there. Nor at a port of the host that nobody published."""
    assert (
        town.mistakes(
            refused(("neighbour", protocol, town.four("w1"), 80), "neighbour", protocol, UP4, 8080, f"w1 {NB4}"),
            refused(("neighbour", protocol, town.six("w1"), 80), "neighbour", protocol, UP6, 8080, f"w1 {NB6}"),
            refused(("neighbour", protocol, UP4, 8079), "neighbour", protocol, UP4, 8080, f"w1 {NB4}"),
            refused(("neighbour", protocol, town.four("w2"), 80), "w1", protocol, town.four("w2"), 80, f"w2 {town.four('w1')}"),
            refused(("neighbour", protocol, town.six("w2"), 80), "w1", protocol, town.six("w2"), 80, f"w2 {town.six('w1')}"),
        )
        == []
    )


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_what_leaves_bears_the_hosts_address(town: Town, protocol: str) -> None:
    assert (
        town.mistakes(
            Question("w2", protocol, NB4, 80, f"neighbour {UP4}"),
            Question("w2", protocol, NB6, 80, f"neighbour {UP6}"),
            Question("n1", protocol, NB4, 80, f"neighbour {UP4}"),
            Question("x1", protocol, NB4, 80, f"neighbour {UP4B}"),
            Question("o1", protocol, NB4, 80, f"neighbour {town.four('o1')}"),
            Question("o1", protocol, NB6, 80, f"neighbour {town.six('o1')}"),
            Question("r1", protocol, NB4, 80, f"neighbour {town.four('r1')}"),
            Question("w2", protocol, town.four("w1"), 80, f"w1 {town.four('w2')}"),
            Question("w2", protocol, town.six("w1"), 80, f"w1 {town.six('w2')}"),
            Question("host", protocol, town.four("w1"), 80, f"w1 {W1}"),
        )
        == []
    )


def test_networks_do_not_reach_one_another(town: Town) -> None:
    cases = []
    for who, whom, friend in (("w2", "d1", "m1"), ("d1", "w2", "w1"), ("w2", "i1", "i2"), ("d1", "n1", "host"), ("w2", "s1", "s2")):
        for address in (town.four(whom), town.six(whom)):
            network = {"m1": "data", "w1": "web"}.get(friend, "")
            if friend == "host":
                seen = "10.81.5.1" if "." in address else "fd81:5::1"
            else:
                seen = town.four(friend, network) if "." in address else town.six(friend, network)
            cases.append(refused((who, "tcp", address, 80), friend, "tcp", address, 80, f"{whom} {seen}"))
    assert town.mistakes(*cases) == []


def test_networks_that_let_in(town: Town) -> None:
    """A routed network's opened port, and everything of an unprotected one, from the neighbour and from other networks."""
    assert (
        town.mistakes(
            Question("neighbour", "tcp", town.four("r1"), 80, f"r1 {NB4}"),
            Question("neighbour", "tcp", town.six("r1"), 80, f"r1 {NB6}"),
            refused(("neighbour", "udp", town.four("r1"), 80), "neighbour", "tcp", town.four("r1"), 80, f"r1 {NB4}"),
            Question("neighbour", "tcp", town.four("u1"), 80, f"u1 {NB4}"),
            Question("neighbour", "udp", town.six("u1"), 80, f"u1 {NB6}"),
            Question("w2", "tcp", town.four("r1"), 80, f"r1 {town.four('w2')}"),
            Question("d1", "tcp", town.four("u1"), 80, f"u1 {town.four('d1')}"),
        )
        == []
    )


def test_an_internal_network_keeps_to_itself(town: Town) -> None:
    """Its gateway's address answers, nothing beyond it does."""
    four, six = town.four("i2"), town.six("i2")
    own = ("i1", "tcp", four, 80, f"i2 {town.four('i1')}")
    assert (
        town.mistakes(
            Question("i1", "tcp", six, 80, f"i2 {town.six('i1')}"),
            Question("i1", "tcp", "10.81.3.1", 7000, f"host {town.four('i1')}"),
            refused(("i1", "tcp", NB4, 80), "w2", "tcp", NB4, 80, f"neighbour {UP4}"),
            refused(("i1", "tcp", NB6, 80), "w2", "tcp", NB6, 80, f"neighbour {UP6}"),
            refused(("i1", "tcp", UP4, 8080), "d1", "tcp", UP4, 8080, f"w1 {town.four('d1')}"),
            refused(("i1", "tcp", UP4, 7000), "w2", "tcp", UP4, 7000, f"host {town.four('w2')}"),
            refused(("neighbour", "tcp", four, 80), *own),
            refused(("s1", "tcp", "10.81.4.1", 7000), "s1", "tcp", town.four("s2"), 80, f"s2 {town.four('s1')}"),
        )
        == []
    )


def test_a_container_on_the_clients_network_too(town: Town) -> None:
    """Its answer would have a shorter way home, past the translation. m1 is published through data, the first of its networks by name."""
    assert (
        town.mistakes(
            Question("w2", "tcp", UP4, 8090, "m1 10.81.2.1"),
            Question("d1", "tcp", UP4, 8090, f"m1 {town.four('d1') if town.world.br_netfilter else '10.81.2.1'}"),
            Question("neighbour", "tcp", UP4, 8090, f"m1 {NB4}"),
            Question("w2", "tcp", town.four("m1", "web"), 80, f"m1 {town.four('w2')}"),
            Question("d1", "tcp", town.four("m1", "data"), 80, f"m1 {town.four('d1')}"),
        )
        == []
    )


def test_without_icc_only_links_and_published_ports(town: Town) -> None:
    netfilter = town.world.br_netfilter
    linked = ("n1", "tcp", town.four("n2"), 80, f"n2 {town.four('n1')}")
    outside = ("neighbour", "tcp", UP4, 8085, f"n3 {NB4}")
    assert (
        town.mistakes(
            Question("n1", "tcp", town.six("n2"), 80, f"n2 {town.six('n1')}"),
            refused(("n2", "tcp", town.four("n1"), 80), *linked),
            refused(("n1", "udp", town.four("n2"), 80), *linked),
            refused(("n1", "tcp", town.four("n3"), 80), *outside),
            refused(("n1", "tcp", town.six("n3"), 80), *outside),
            Question("n1", "tcp", UP4, 8085, f"n3 {town.four('n1') if netfilter else '10.81.5.1'}"),
            Question("n1", "tcp", UP6, 8085, f"n3 {town.six('n1') if netfilter else 'fd81:5::1'}"),
        )
        == []
    )


def test_a_network_whose_policy_was_taken_away_is_closed(town: Town) -> None:
    """The last rules of chain forward; with those gone as well everything is open, so the test can fail."""
    host, bridge = town.world.places["host"], town.chain.state.networks[town.chain.endpoint("u1").network_id].bridge
    asked = [Question("neighbour", "tcp", a, 80, f"u1 {n}") for a, n in ((town.four("u1"), NB4), (town.six("u1"), NB6))]
    closed = [Question(q.who, q.protocol, q.address, q.port, "no answer") for q in asked]
    assert town.mistakes(*asked) == []
    host.sh(f"nft delete element inet sanbashi entering '{{ \"{bridge}\" }}'")
    try:
        assert town.mistakes(*closed) == []
        listed = host.sh("nft -a list chain inet sanbashi forward")
        last = ("whose policy somebody took away", "the sets went while this packet was judged")
        for handle in [line.rpartition(" ")[2] for line in listed.splitlines() if any(words in line for words in last)]:
            host.sh(f"nft delete rule inet sanbashi forward handle {handle}")
        assert town.mistakes(*asked) == []
        host.sh("nft 'add rule inet sanbashi forward oifname @bridges drop comment \"a network whose policy somebody took away\"'")
        assert town.mistakes(*closed) == []
        host.sh("nft 'add rule inet sanbashi forward iifname @outward accept'")
        words = "the sets went while this packet was judged"
        host.sh(f"nft 'add rule inet sanbashi forward meta mark and 0x08000000 != 0 drop comment \"{words}\"'")
        assert town.mistakes(*closed) == []
    finally:
        host.sh(f"nft add element inet sanbashi entering '{{ \"{bridge}\" : accept }}'")
    assert town.mistakes(*asked) == []


COUNTING = """table inet counting {
    chain first { type filter hook forward priority filter - 20; policy accept; meta mark set meta mark or 0x1; }
    chain judged { type filter hook forward priority filter + 10; policy accept; meta mark and 0x0c000000 == 0x0c000000 counter; }
    chain behind { type filter hook forward priority filter + 40; policy accept; meta mark and 0x0c000000 != 0 counter; meta mark == 0x1 counter; }
    chain judged_in { type filter hook input priority filter + 10; policy accept; meta mark and 0x04000000 != 0 counter; }
    chain behind_in { type filter hook input priority filter + 40; policy accept; meta mark and 0x0c000000 != 0 counter; }
}"""


def test_our_marks_are_on_packets_only_while_they_are_judged(town: Town) -> None:
    """Between filter - 5 and filter + 30; an administrator's own bits are left alone."""
    host = town.world.places["host"]
    host.sh(f"nft -f - <<'END'\n{COUNTING}\nEND")
    try:
        gateway = str(town.chain.endpoint("w2").gateway4)
        assert (
            town.mistakes(Question("neighbour", "tcp", UP4, 8080, f"w1 {NB4}"), Question("w2", "tcp", gateway, 7000, f"host {town.four('w2')}")) == []
        )

        def counted(chain: str) -> list[int]:
            words = host.sh(f"nft list chain inet counting {chain}").split()
            return [int(words[place + 2]) for place, word in enumerate(words) if word == "counter"]

        assert counted("judged")[0] > 0 and counted("judged_in")[0] > 0
        marked, own = counted("behind")
        assert (marked, counted("behind_in")) == (0, [0]) and own > 0
    finally:
        host.sh("nft delete table inet counting")
