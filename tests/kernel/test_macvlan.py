"""Interfaces on the host's own link: every mode with packets, what the kernel holds, and nothing left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.kernel.chain import Chain, facts
from tests.kernel.world import NB4, NB6, UP4, KernelAt, RememberingKeeper, World, eventually, new_world

from sanbashi.network.picture import Sublink
from sanbashi.network.plan import plan

pytestmark = pytest.mark.root
LINKS = "ip -br link | awk '{ print $1, $3 }'"  # whether one is up follows a clock of its own
SUBNETS = ("192.0.2.0/24", "2001:db8::/64")


@dataclass
class Site:
    """The world and a chain that makes macvlan networks on its wire."""

    world: World
    chain: Chain
    kernel: KernelAt

    def run(self, name: str, *networks: str) -> None:
        place = self.world.add_place(name, Path(self.chain.run(name, *networks)))
        place.do(self.world.servers.listen, name, (80,))

    def stop(self, name: str) -> None:
        self.world.places.pop(name).end()
        self.chain.stop(name)

    def address(self, name: str) -> tuple[str, str]:
        endpoint = self.chain.endpoint(name)
        assert endpoint.ipv4 is not None and endpoint.ipv6 is not None
        return str(endpoint.ipv4.ip), str(endpoint.ipv6.ip)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with new_world(tmp_path, br_netfilter=False) as world:
        kernel = KernelAt(world.host, tmp_path, RememberingKeeper())
        kernel.prepare()
        there = replace(
            facts(br_netfilter=False), links_present=frozenset({"up0"}), missing_links=kernel.place.do(kernel.real.lacks, ["macvlan", "vlan"])
        )
        try:
            yield Site(world, Chain(kernel, there), kernel)
        finally:
            kernel.remove_everything()
            kernel.close()
        assert "macvlan" not in world.host.sh("ip -d link show")


def on_the_wire(site: Site, mode: str) -> None:
    network = site.chain.create("lan", *SUBNETS, driver="macvlan", options={"parent": "up0", "macvlan_mode": mode}, gateway="192.0.2.254", first=64)
    assert network.adopted and network.bridge == ""


@pytest.mark.parametrize("mode", ["bridge", "private", "vepa"])
def test_a_container_is_a_machine_on_the_wire(site: Site, mode: str) -> None:
    """The neighbour sees it by its own address; containers see each other in mode bridge alone; the host not at all."""
    on_the_wire(site, mode)
    site.run("c1", "lan")
    site.run("c2", "lan")
    (one4, one6), (two4, two6) = site.address("c1"), site.address("c2")
    ask, vain, meet = site.world.ask, site.world.ask_in_vain, mode == "bridge"
    among = ask if meet else vain
    answers = site.world.together(
        lambda: ask("neighbour", "tcp", one4, 80),
        lambda: ask("neighbour", "udp", one6, 80),
        lambda: ask("c1", "tcp", NB4, 80),
        lambda: ask("c1", "udp", NB6, 80),
        lambda: among("c1", "tcp", two4, 80),
        lambda: among("c1", "tcp", two6, 80),
        lambda: vain("c1", "udp", UP4, 7000),
    )
    assert answers[:4] == [f"c1 {NB4}", f"c1 {NB6}", f"neighbour {one4}", f"neighbour {one6}"]
    for answer, right in zip(answers[4:6], (f"c2 {one4}", f"c2 {one6}"), strict=True):
        assert (answer == right) is meet
    assert not answers[6].startswith("host")
    link = site.world.places["c1"].sh("ip -d -j link show eth0")
    assert f'"mode":"{mode}"' in link and site.chain.endpoint("c1").mac in link
    assert "default via 192.0.2.254" in site.world.places["c1"].sh("ip route")
    want = site.chain.everything()
    assert site.kernel.observe(None, like=want) == want
    assert site.kernel.observe(want) == want
    for name in ("c1", "c2"):
        site.stop(name)
    site.chain.remove("lan")
    assert "up0" in site.world.host.sh("ip -br link show up up0")


def test_passthru_takes_the_parent_for_itself(site: Site) -> None:
    """One container, with the parent's MAC address; a second is refused, and after the first has stopped there is room again."""
    on_the_wire(site, "passthru")
    site.run("c1", "lan")
    parent = site.world.host.sh("ip -br link show up0").split()[2]
    assert parent in site.world.places["c1"].sh("ip -br link show eth0")
    want = site.chain.everything()
    assert site.kernel.observe(None, like=want) == want
    with pytest.raises(Exception, match="failed to create the macvlan port: invalid argument"):
        site.chain.run("c2", "lan")
    site.stop("c1")
    have = site.kernel.observe(None, like=site.chain.everything())
    assert not any(isinstance(i, Sublink) for i in have)


def test_the_same_mac_at_once_after_a_stop(site: Site) -> None:
    """Nothing of the last interface is left when the next one comes up with its address."""
    on_the_wire(site, "bridge")
    for _ in range(5):
        site.chain.run("c1", "lan")
        site.chain.stop("c1")


def test_a_changed_link_is_seen_and_mended(site: Site) -> None:
    """Somebody deletes the interface, or gives it another mode: observed, and the plan brings it back."""
    on_the_wire(site, "bridge")
    site.run("c1", "lan")
    want = site.chain.everything()
    for harm in ("ip link delete eth0", "ip link set eth0 type macvlan mode private"):
        site.world.places["c1"].sh(harm)
        have = site.kernel.observe(None, like=want)
        assert have != want
        site.kernel.apply(plan(have, want))
        assert site.kernel.observe(None, like=want) == want
    eventually(lambda: site.world.ask("neighbour", "tcp", site.address("c1")[0], 80) == f"c1 {NB4}")
    site.stop("c1")


def test_what_this_kernel_lacks_is_found_without_making_anything(site: Site) -> None:
    before = site.world.host.sh(LINKS)
    lacking = site.kernel.place.do(site.kernel.real.lacks, ["macvlan", "veth", "bridge", "nosuchkind"])
    assert lacking == {"nosuchkind"}
    site.kernel.place.do(site.kernel.real.lacks, ["vlan", "dummy", "ipvlan"])
    assert site.world.host.sh(LINKS) == before
