"""What a kernel may have as modules and may lack: ipvlan in every mode, VLANs, dummies, SCTP. With packets, or skipped with what is missing."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.kernel.chain import Chain, facts
from tests.kernel.world import ANSWERED, NB4, NB6, UP4, KernelAt, Place, RememberingKeeper, World, new_world

from sanbashi.network.picture import Sublink

pytestmark = pytest.mark.root
WIRE = ("192.0.2.0/24", "2001:db8::/64")
ROUTED = ("10.20.0.0/24", "fd20::/64")
TAGGED = ("198.51.100.0/24", "2001:db8:50::/64")
TAG4, TAG6 = "198.51.100.1", "2001:db8:50::1"  # the neighbour, in VLAN 50
LINKS = "ip -br link | awk '{ print $1, $3 }'"  # whether one is up follows a clock of its own
OTHER4 = "203.0.113.1"  # and one more address of it there


@dataclass
class Site:
    """The world and a chain whose networks may stand on its wire."""

    world: World
    chain: Chain
    kernel: KernelAt

    def need(self, *kinds: str) -> None:
        if lacking := self.kernel.place.do(self.kernel.real.lacks, kinds):
            pytest.skip(f"this kernel has no links of kind {', '.join(sorted(lacking))}")

    def run(self, name: str, *networks: str, ports: tuple[str, ...] = ()) -> Place:
        place = self.world.add_place(name, Path(self.chain.run(name, *networks, ports=ports)))
        place.do(self.world.servers.listen, name, (80,))
        return place

    def stop(self, *names: str) -> None:
        for name in names:
            self.world.places.pop(name).end()
            self.chain.stop(name)

    def addresses(self, name: str) -> tuple[str, str]:
        endpoint = self.chain.endpoint(name)
        return str(endpoint.ipv4.ip) if endpoint.ipv4 else "", str(endpoint.ipv6.ip) if endpoint.ipv6 else ""

    def answers(self, *asked: tuple[str, str, str, int], vain: Sequence[tuple[str, str, str, int]] = ()) -> list[str]:
        """What is answered, all asked at once: to what must be, and then to what must not be."""
        right = (lambda words=words: self.world.ask(*words) for words in asked)
        wrong = (lambda words=words: self.world.ask_in_vain(*words) for words in vain)
        return self.world.together(*right, *wrong)

    def is_as_wanted(self) -> bool:
        want = self.chain.everything()
        return self.kernel.observe(None, like=want) == want == self.kernel.observe(want)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with new_world(tmp_path, br_netfilter=False) as world:
        kernel = KernelAt(world.host, tmp_path, RememberingKeeper())
        kernel.prepare()
        before = world.host.sh(LINKS)
        try:
            yield Site(world, Chain(kernel, replace(facts(br_netfilter=False), links_present=frozenset({"up0"}))), kernel)
        finally:
            kernel.remove_everything()
            kernel.close()
        assert world.host.sh(LINKS) == before


@pytest.mark.parametrize("flag", ["bridge", "private", "vepa"])
def test_ipvlan_l2(site: Site, flag: str) -> None:
    """The neighbour sees containers by their addresses, behind the parent's MAC address; they see each other with the flag bridge alone."""
    site.need("ipvlan")
    site.chain.create("lan", *WIRE, driver="ipvlan", options={"parent": "up0", "ipvlan_flag": flag}, gateway="192.0.2.254", first=64)
    site.run("c1", "lan")
    site.run("c2", "lan")
    (one4, one6), (two4, two6) = site.addresses("c1"), site.addresses("c2")
    meet, among = flag == "bridge", (("c1", "tcp", two4, 80), ("c1", "tcp", two6, 80))
    answers = site.answers(
        ("neighbour", "tcp", one4, 80),
        ("neighbour", "udp", one6, 80),
        ("c1", "tcp", NB4, 80),
        ("c1", "udp", NB6, 80),
        *(among if meet else ()),
        vain=[*(() if meet else among), ("c1", "udp", UP4, 7000)],
    )
    assert answers[:4] == [f"c1 {NB4}", f"c1 {NB6}", f"neighbour {one4}", f"neighbour {one6}"]
    for answer, right in zip(answers[4:6], (f"c2 {one4}", f"c2 {one6}"), strict=True):
        assert (answer == right) is meet, answers
    assert not answers[6].startswith("host")
    parent = site.world.host.sh("ip -br link show up0").split()[2]
    assert parent in site.world.neighbour.sh(f"ip neigh show {one4}")
    assert "default via 192.0.2.254" in site.world.places["c1"].sh("ip route")
    assert site.is_as_wanted()
    site.stop("c1", "c2")
    site.chain.remove("lan")


@pytest.mark.parametrize("mode", ["l3", "l3s"])
def test_ipvlan_routed(site: Site, mode: str) -> None:
    """The parent routes: the neighbour has a route by the host, containers have a default route without a gateway, and nobody sends ARP."""
    site.need("ipvlan")
    site.chain.create("routed", *ROUTED, driver="ipvlan", options={"parent": "up0", "ipvlan_mode": mode})
    site.run("c1", "routed")
    site.run("c2", "routed")
    (one4, one6), (two4, two6) = site.addresses("c1"), site.addresses("c2")
    assert site.answers(
        ("neighbour", "tcp", one4, 80),
        ("neighbour", "udp", one4, 80),
        ("neighbour", "tcp", one6, 80),
        ("c1", "tcp", NB4, 80),
        ("c1", "tcp", NB6, 80),
        ("c1", "tcp", two4, 80),
        ("c2", "udp", one6, 80),
    ) == [f"c1 {NB4}", f"c1 {NB4}", f"c1 {NB6}", f"neighbour {one4}", f"neighbour {one6}", f"c2 {one4}", f"c1 {two6}"]
    assert "default dev eth0" in site.world.places["c1"].sh("ip route") and "NOARP" in site.world.places["c1"].sh("ip link show eth0")
    assert site.is_as_wanted()
    site.stop("c1", "c2")
    site.chain.remove("routed")


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_a_vlan_that_the_network_makes(site: Site, driver: str) -> None:
    """parent=up0.50: tagged on the wire, so that the neighbour answers in VLAN 50 and nobody does in another; gone with the last network on it."""
    site.need("vlan", driver)
    site.world.neighbour.sh(
        "ip link add link eth0 name eth0.50 type vlan id 50; ip link set eth0.50 up; "
        f"ip addr add {TAG4}/24 dev eth0.50; ip addr add {OTHER4}/24 dev eth0.50; ip addr add {TAG6}/64 dev eth0.50 nodad"
    )
    for tag, name, subnets, gateway in ((50, "tagged", TAGGED, TAG4), (51, "elsewhere", ("203.0.113.0/24",), OTHER4)):
        network = site.chain.create(name, *subnets, driver=driver, options={"parent": f"up0.{tag}"}, gateway=gateway, first=64)
        assert not network.adopted
    site.run("c1", "tagged")
    site.run("c2", "elsewhere")
    one4, one6 = site.addresses("c1")
    assert site.answers(
        ("neighbour", "tcp", one4, 80),
        ("neighbour", "udp", one6, 80),
        ("c1", "tcp", TAG4, 80),
        ("c1", "udp", TAG6, 80),
    ) == [f"c1 {TAG4}", f"c1 {TAG6}", f"neighbour {one4}", f"neighbour {one6}"]
    assert not site.world.ask_in_vain("c2", "tcp", OTHER4, 80).startswith("neighbour")
    assert '"id":50' in site.world.host.sh("ip -d -j link show up0.50").replace(" ", "")
    assert site.is_as_wanted()
    site.stop("c1", "c2")
    site.chain.remove("tagged")
    assert "up0.50" not in site.world.host.sh("ip -br link") and "up0.51@up0" in site.world.host.sh("ip -br link")
    site.chain.remove("elsewhere")


@pytest.mark.parametrize("driver, made", [("macvlan", "dm-"), ("ipvlan", "di-")])
def test_a_network_without_a_parent_stands_on_a_dummy(site: Site, driver: str, made: str) -> None:
    """Its containers see each other and nothing else."""
    site.need("dummy", driver)
    network = site.chain.create("alone", *ROUTED, driver=driver)
    site.run("c1", "alone")
    site.run("c2", "alone")
    (one4, one6), (two4, two6) = site.addresses("c1"), site.addresses("c2")
    answers = site.answers(("c1", "tcp", two4, 80), ("c2", "udp", one6, 80), vain=[("c1", "tcp", NB4, 80), ("neighbour", "tcp", one4, 80)])
    assert answers[:2] == [f"c2 {one4}", f"c1 {two6}"]
    assert not answers[2].startswith("neighbour") and not answers[3].startswith("c1")
    assert made + network.id[:12] in site.world.host.sh("ip -br link show type dummy")
    assert "default" not in site.world.places["c1"].sh("ip route")
    assert site.is_as_wanted() and any(isinstance(i, Sublink) for i in site.chain.everything())
    site.stop("c1", "c2")
    site.chain.remove("alone")


# -- SCTP


def sctp(address: str = "") -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
    except OSError as error:
        if error.errno not in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT):
            raise
        pytest.skip("this kernel has no SCTP: CONFIG_IP_SCTP")


def serve_sctp(name: str, address: str) -> threading.Thread:
    """Listen on port 80 of the calling thread's namespace; each association is told who serves it and whom that saw."""
    server = sctp(address)
    server.bind((address, 80))
    server.listen(8)
    server.settimeout(60)

    def run() -> None:
        with server:
            while True:
                peer, seen = server.accept()
                with peer:
                    if peer.recv(100) == b"end":
                        return
                    peer.sendall(f"{name} {seen[0]}".encode())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def ask_sctp(address: str, port: int, words: bytes = b"?") -> str:
    with sctp(address) as client:
        client.settimeout(ANSWERED)
        client.connect((address, port))
        client.sendall(words)
        return client.recv(100).decode()


def test_a_published_sctp_port(site: Site) -> None:
    """An association from the neighbour, the host and another container to the port on the host; what is not published stays shut."""
    sctp().close()
    site.chain.create("n", "10.81.1.0/24", "fd81:1::/64")
    site.chain.create("other", "10.81.2.0/24")
    place = site.run("c1", "n", ports=("8000:80/sctp",))
    site.run("o1", "other")
    inner4, inner6 = site.addresses("c1")
    threads = [place.do(serve_sctp, "c1", inner4), place.do(serve_sctp, "c1", inner6)]
    inside = site.world.inside
    try:
        assert inside("neighbour", lambda: ask_sctp(UP4, 8000)) == f"c1 {NB4}"
        assert inside("neighbour", lambda: ask_sctp("2001:db8::1", 8000)) == f"c1 {NB6}"
        assert inside("host", lambda: ask_sctp("127.0.0.1", 8000)).startswith("c1 ")
        assert inside("host", lambda: ask_sctp(UP4, 8000)).startswith("c1 ")
        assert inside("o1", lambda: ask_sctp(UP4, 8000)).startswith("c1 ")
        with pytest.raises(OSError):
            inside("neighbour", lambda: ask_sctp(UP4, 8001))
        with pytest.raises(OSError):
            inside("o1", lambda: ask_sctp(inner4, 80))
    finally:
        for address in (inner4, inner6):
            inside("c1", lambda address=address: ask_sctp(address, 80, b"end"))
        for thread in threads:
            thread.join(10)
    site.stop("c1", "o1")


def test_sctp_from_a_container_to_the_outside(site: Site) -> None:
    """What leaves is masqueraded, as TCP is."""
    sctp().close()
    site.chain.create("n", "10.81.1.0/24")
    site.run("c1", "n")
    thread = site.world.neighbour.do(serve_sctp, "neighbour", NB4)
    assert site.world.inside("c1", lambda: ask_sctp(NB4, 80)) == f"neighbour {UP4}"
    site.world.inside("neighbour", lambda: ask_sctp(NB4, 80, b"end"))
    thread.join(10)
    site.stop("c1")
