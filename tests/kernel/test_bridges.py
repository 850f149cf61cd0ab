"""What options of a bridge network do, with packets: announcements, direct routing, inbound only, adopted bridges, routes, moving gateways."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_interface
from pathlib import Path

import pytest
from tests.kernel.chain import Chain, facts
from tests.kernel.town import OUT
from tests.kernel.world import NB4, NB6, NOTHING, UP4, UP4B, UP6, KernelAt, RememberingKeeper, World, eventually, new_world

pytestmark = pytest.mark.root
MESSAGES = "com.docker.network.advertise_addr_nmsgs"
BRIDGE = "com.docker.network.bridge."


@dataclass
class Site:
    """The world and the chain that builds it."""

    world: World
    chain: Chain


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with new_world(tmp_path, br_netfilter=False) as world:
        kernel = KernelAt(world.host, tmp_path, RememberingKeeper())
        kernel.prepare()
        try:
            yield Site(world, Chain(kernel, facts(br_netfilter=False)))
        finally:
            kernel.remove_everything()
            kernel.close()


def run(site: Site, name: str, *networks: str, ports: tuple[str, ...] = ()) -> str:
    """A container with a server on 80 and 81; its IPv4 address on the first network."""
    place = site.world.add_place(name, Path(site.chain.run(name, *networks, ports=ports)))
    place.do(site.world.servers.listen, name, (80, 81))
    interface = site.chain.endpoint(name, networks[0]).ipv4
    assert interface is not None
    return str(interface.ip)


def stop(site: Site, name: str) -> None:
    site.world.places.pop(name).end()
    site.chain.stop(name)


@pytest.mark.parametrize("messages, learns", [("3", True), ("0", False)])
def test_neighbours_learn_who_has_an_address_now(site: Site, messages: str, learns: bool) -> None:
    """An address is given again at once, to another MAC: who talked to the last holder goes on with the new one, unless announcing is off."""
    site.chain.create("n", "10.81.1.0/24", "fd81:1::/64", options={MESSAGES: messages})
    run(site, "c1", "n")
    for version, address in ((4, run(site, "old", "n")), (6, "fd81:1::3")):
        assert site.world.ask("c1", "udp", address, 80).startswith("old"), version
    known = site.world.places["c1"].sh("ip neigh")
    stop(site, "old")
    again = run(site, "new", "n")
    assert again in known
    old_mac = known.split(again)[1].split("lladdr ")[1].split()[0]

    def told() -> bool:
        now = site.world.places["c1"].sh("ip neigh")
        return old_mac not in now

    if learns:
        eventually(told)
        assert site.world.ask("c1", "udp", again, 80).startswith("new")
        assert site.world.ask("c1", "udp", "fd81:1::3", 80).startswith("new")
    else:
        assert not told() and site.world.ask_in_vain("c1", "udp", again, 80) == NOTHING


def test_direct_routing_opens_what_is_published_and_no_more(site: Site) -> None:
    site.chain.create("n", "10.81.1.0/24")
    site.chain.create("other", "10.81.2.0/24")
    first = run(site, "c1", "n", ports=("8080:80",))
    run(site, "o1", "other")
    assert site.world.ask_in_vain("neighbour", "tcp", first, 80) in OUT and site.world.ask("neighbour", "tcp", UP4, 8080) == f"c1 {NB4}"
    site.chain.facts = replace(site.chain.facts, direct_routing=True)
    second = run(site, "c2", "n", ports=("8081:80",))
    assert site.world.ask("neighbour", "tcp", second, 80) == f"c2 {NB4}"
    assert site.world.ask_in_vain("neighbour", "tcp", second, 81) in OUT and site.world.ask("c1", "tcp", second, 81).startswith("c2")


def test_an_internal_network_that_takes_connections_from_outside(site: Site) -> None:
    """The published port answers with the client's address seen; nothing the container begins gets out."""
    site.chain.create("n", "10.81.1.0/24", "fd81:1::/64", internal=True, options={"io.sanbashi.inbound": "true"})
    site.chain.create("other", "10.81.2.0/24")
    inner = run(site, "c1", "n", ports=("8080:80", "8080:80/udp"))
    run(site, "o1", "other")
    for protocol in ("tcp", "udp"):
        assert site.world.ask("neighbour", protocol, UP4, 8080) == f"c1 {NB4}"
        assert site.world.ask("neighbour", protocol, UP6, 8080) == f"c1 {NB6}"
        assert site.world.ask("o1", protocol, UP4, 8080).startswith("c1")
        assert site.world.ask("host", protocol, "127.0.0.1", 8080).startswith("c1")
        assert site.world.ask_in_vain("c1", protocol, NB4, 80) in OUT
        assert site.world.ask_in_vain("c1", protocol, NB6, 80) in OUT
        assert site.world.ask_in_vain("neighbour", protocol, inner, 81) in OUT
    assert site.world.ask("o1", "tcp", NB4, 80) == f"neighbour {UP4}"


def test_an_adopted_bridge_is_used_and_left_as_it_was(site: Site) -> None:
    """Its other addresses, its state and the address that the network would have set stay."""
    host = site.world.host
    host.sh("ip link add br7 type bridge; ip link set br7 up; ip addr add 10.81.1.1/24 dev br7; ip addr add 10.99.0.1/24 dev br7")
    host.sh("ip addr add fd81:99::1/64 dev br7 nodad")
    before = host.sh("ip -br addr show br7")
    held = tuple(map(ip_interface, ("10.81.1.1/24", "10.99.0.1/24", "fd81:99::1/64")))
    site.chain.facts = replace(site.chain.facts, links_present=frozenset({"br7"}), addresses={"br7": held})
    site.chain.create("n", "10.81.1.0/24", options={BRIDGE + "name": "br7"})
    address = run(site, "c1", "n", ports=("8080:80",))
    assert site.world.ask("neighbour", "tcp", UP4, 8080) == f"c1 {NB4}" and address == "10.81.1.2"
    want = site.chain.everything()
    assert site.chain.kernel.observe(want) == want
    stop(site, "c1")
    site.chain.remove("n")
    after = host.sh("ip -br addr show br7")
    assert after.split()[0] == "br7" and sorted(after.split()[2:]) == sorted(before.split()[2:])
    assert "UP" in host.sh("ip link show br7").split("<")[1].split(">")[0].split(",")
    host.sh("ip link delete br7")


def test_routes_of_a_networks_own_and_no_default_route(site: Site) -> None:
    site.chain.create("n", "10.81.1.0/24", options={"io.sanbashi.routes": "198.51.100.0/24 via 10.81.1.1", "io.sanbashi.no_default_route": "true"})
    site.world.neighbour.sh("ip addr add 198.51.100.7/32 dev lo")
    site.world.host.sh(f"ip route add 198.51.100.0/24 via {NB4}")
    run(site, "c1", "n")
    assert site.world.ask("c1", "tcp", "198.51.100.7", 80) == f"neighbour {UP4}"
    assert site.world.ask("c1", "udp", NB4, 80) == "Network is unreachable"
    assert "default" not in site.world.places["c1"].sh("ip route")


def test_a_source_address_of_its_own_inhibited_addresses_and_trusted_interfaces(site: Site) -> None:
    site.chain.create("fixed", "10.81.1.0/24", options={"com.docker.network.host_ipv4": UP4B})
    site.chain.create("bare", "10.81.2.0/24", options={BRIDGE + "inhibit_ipv4": "true"})
    site.chain.create(
        "trusting", "10.81.3.0/24", options={BRIDGE + "trusted_host_interfaces": "up0", "com.docker.network.container_iface_prefix": "net"}
    )
    run(site, "f1", "fixed")
    run(site, "b1", "bare")
    trusted = run(site, "t1", "trusting", ports=("8080:80",))
    assert site.world.ask("f1", "tcp", NB4, 80) == f"neighbour {UP4B}"
    bare = site.chain.state.networks[site.chain.state.network_names["bare"]].bridge
    assert "10.81.2." not in site.world.host.sh(f"ip -br addr show {bare}")
    assert site.world.ask("neighbour", "tcp", trusted, 80) == f"t1 {NB4}"
    assert "net0" in site.world.places["t1"].sh("ip -br link")


def test_ports_and_the_default_route_move_with_the_gateway(site: Site) -> None:
    """To a network of higher rank when it is joined, back when it is left, and away from an internal one."""
    site.chain.create("inside", "10.81.1.0/24", internal=True)
    site.chain.create("b", "10.81.2.0/24")
    site.chain.create("a", "10.81.3.0/24")
    run(site, "c1", "inside", ports=("8080:80", "8080:80/udp"))

    def way() -> str:
        return site.world.places["c1"].sh("ip route show default").split(" dev")[0]

    assert way() == "" and site.world.ask_in_vain("neighbour", "tcp", UP4, 8080) in OUT
    for network, gateway in (("b", "10.81.2.1"), ("a", "10.81.3.1")):
        site.chain.connect(network, "c1")
        assert way() == f"default via {gateway}"
        for protocol in ("tcp", "udp"):
            assert site.world.ask("neighbour", protocol, UP4, 8080) == f"c1 {NB4}"
        assert site.world.ask("host", "tcp", "127.0.0.1", 8080) == f"c1 {gateway}"
    site.chain.disconnect("a", "c1")
    assert way() == "default via 10.81.2.1" and site.world.ask("host", "udp", "127.0.0.1", 8080) == "c1 10.81.2.1"
    assert site.world.ask("neighbour", "udp", UP4, 8080) == f"c1 {NB4}"


def test_a_new_container_answers_its_first_question(site: Site) -> None:
    """What was told to be up does send: the first packets of ten pairs, none of which may be lost; a lost one comes again after a minute."""
    site.chain.create("n", "10.81.1.0/24", options={MESSAGES: "0"})
    run(site, "asker", "n")
    site.world.places["asker"].sh("sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=60000")
    for number in range(10):
        address = run(site, f"c{number}", "n")
        assert site.world.ask("asker", "udp", address, 80).startswith(f"c{number}")
