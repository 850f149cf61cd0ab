"""The kernel's network read with `ip` and `nft`, not with our own code: what is made, what it costs, what is left alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.contract.kernel.items import container, network, sandbox
from tests.kernel.world import KernelAt, Place, RememberingKeeper

from sanbashi.errors import StepFailed
from sanbashi.host.counts import Counts
from sanbashi.host.foreign import foreign_drops
from sanbashi.network.picture import Bridge, Element, Picture, Veth
from sanbashi.network.plan import Add, Remove, Step, plan

pytestmark = pytest.mark.root
NONE = Picture()


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place(own_mounts=True)
    made.sh("ip link set lo up")
    yield made
    made.end()


@pytest.fixture
def kernel(place: Place, tmp_path: Path) -> Iterator[KernelAt]:
    made = KernelAt(place, tmp_path / "exec", RememberingKeeper())
    made.prepare()
    yield made
    made.remove_everything()
    made.close()


def shown(kernel: KernelAt, command: str, inside: int = 0) -> Any:
    within = f"nsenter --net={kernel.namespace(sandbox(inside))} " if inside else ""
    return json.loads(kernel.place.sh(within + command) or "[]")


def cost(kernel: KernelAt) -> tuple[int, int, int, int]:
    counts = kernel.counts
    return counts.netlink_messages, counts.nft_elements, counts.nft_transactions, counts.files_read


def test_what_is_made_looks_as_it_should(kernel: KernelAt) -> None:
    kernel.apply(plan(NONE, Picture.of([*network(), *container(1)])))
    [bridge] = shown(kernel, "ip -j -d addr show br-000000000001")
    assert bridge["ifalias"] == "sanbashi:000000000001"
    assert (bridge["linkinfo"]["info_data"]["stp_state"], bridge["linkinfo"]["info_data"]["forward_delay"]) == (0, 0)
    own = next(a for a in bridge["addr_info"] if a.get("scope") == "link")
    assert own["nodad"] is True
    assert "tentative" not in own
    [veth] = shown(kernel, "ip -j -d link show veth0000001")
    assert (veth["ifalias"], veth["master"], veth["operstate"]) == ("sanbashi:000000000001:000000000001", "br-000000000001", "UP")
    assert veth["linkinfo"]["info_slave_data"]["state"] == "forwarding"
    lo, eth0 = shown(kernel, "ip -j addr", inside=1)
    assert [a["local"] for a in lo["addr_info"]] == ["127.0.0.1", "::1"]
    assert (eth0["ifname"], eth0["ifindex"], eth0["address"]) == ("eth0", 2, "02:00:00:01:00:01")
    assert [a["local"] for a in eth0["addr_info"] if a["scope"] == "global"] == ["10.81.1.2", "fd81:1::2"]
    [route] = shown(kernel, "ip -j route show default", inside=1)
    assert (route["gateway"], route["dev"], route["protocol"]) == ("10.81.1.1", "eth0", "83")
    assert "udp dport set 40053" in kernel.place.sh(f"nsenter --net={kernel.namespace(sandbox(1))} nft list ruleset")


def test_a_start_costs_the_same_at_any_number(kernel: KernelAt) -> None:
    """And so do a stop and a look at what one holds."""
    kernel.apply(plan(NONE, Picture.of(network())))
    costs = []
    for number in range(1, 61):
        start = plan(NONE, Picture.of(container(number, ports=(8000 + number,))))
        before = cost(kernel)
        kernel.apply(start)
        after = cost(kernel)
        assert kernel.observe(Picture.of(container(number))) == Picture.of(container(number))
        costs.append([tuple(b - a for a, b in zip(one, two, strict=True)) for one, two in ((before, after), (after, cost(kernel)))])
    assert costs[0][0][2] == 1  # one transaction of rules
    assert costs[5] == costs[20] == costs[59]


def test_links_of_others_are_left_alone(kernel: KernelAt) -> None:
    kernel.place.sh("ip link add veth0000001 type veth peer name other; ip link add br-000000000001 type bridge")
    bridge = Bridge("br-000000000001", "sanbashi:000000000001")
    veth = Veth("veth0000001", "sanbashi:000000000001:1", "br-000000000001", sandbox(1), "eth0", "02:00:00:00:00:01")
    for item in (bridge, veth):
        with pytest.raises(StepFailed, match="not ours"):
            kernel.apply([Add(item)])
        kernel.apply([Remove(item)])
    assert kernel.observe(None) == NONE
    assert {link["ifname"] for link in shown(kernel, "ip -j link")} >= {"veth0000001", "br-000000000001"}
    kernel.place.sh("ip link del veth0000001; ip link del br-000000000001")


def test_a_bridge_whose_mtu_the_kernel_refuses_is_known_as_ours(kernel: KernelAt) -> None:
    """So that whoever puts things back sees it and takes it away."""
    bridge = Bridge("br-000000000001", "sanbashi:000000000001", mtu=20)
    with pytest.raises(StepFailed, match="Invalid argument"):
        kernel.apply([Add(bridge)])
    assert kernel.observe(Picture.of([bridge])).items
    kernel.apply([Remove(bridge)])
    assert [link["ifname"] for link in shown(kernel, "ip -j link show type bridge")] == []


def test_a_bridge_keeps_its_mtu_whatever_its_ports_have(kernel: KernelAt) -> None:
    kernel.apply([Add(Bridge("br-000000000001", "sanbashi:000000000001", mtu=1400))])
    kernel.place.sh("ip link add port type veth peer name other; ip link set port mtu 1300 master br-000000000001; ip link del port")
    assert shown(kernel, "ip -j link show br-000000000001")[0]["mtu"] == 1400


def test_an_adopted_bridge_stays(kernel: KernelAt) -> None:
    bridge = Bridge("mine", "sanbashi:000000000001", adopted=True)
    with pytest.raises(StepFailed, match="there is no bridge mine"):
        kernel.apply([Add(bridge)])
    kernel.place.sh("ip link add mine type bridge")
    kernel.apply([Add(bridge)])
    assert kernel.observe(Picture.of([bridge])) == Picture.of([bridge])
    kernel.apply([Remove(bridge)])
    assert [link["ifname"] for link in shown(kernel, "ip -j link show type bridge")] == ["mine"]
    assert "ifalias" not in shown(kernel, "ip -j link show mine")[0]


def test_tampered_tables_are_put_right_and_keep_their_elements(kernel: KernelAt) -> None:
    items = Picture.of([*network(), *container(1, ports=(8080,))])
    kernel.apply(plan(NONE, items))
    assert kernel.prepare() == ()
    kernel.place.sh("nft flush chain inet sanbashi forward; nft delete table bridge sanbashi; sysctl -qw net.ipv4.ip_forward=0")
    assert kernel.prepare() == ("loaded the firewall tables", "turned on net.ipv4.ip_forward")
    kernel.place.sh("nft add rule inet sanbashi forward drop")
    assert kernel.prepare() == ("replaced the firewall tables, which differed from ours",)
    # The bridge table was gone with its elements; those of the other were kept.
    assert items - kernel.observe(None, like=items) == Picture.of(i for i in items if isinstance(i, Element) and i.family == "bridge")


def test_what_a_crash_left_of_a_namespace_is_cleared(kernel: KernelAt) -> None:
    folder = kernel.namespace(sandbox(1)).parent
    (folder / sandbox(7)).symlink_to(sandbox(7)[:12])
    (folder / sandbox(8)[:12]).touch()
    kernel.prepare()
    assert list(folder.iterdir()) == []
    (folder / sandbox(8)[:12]).touch()
    kernel.apply(plan(NONE, Picture.of([*network(), *container(8)])))
    assert kernel.observe(Picture.of(container(8))) == Picture.of(container(8))


def test_other_peoples_tables_that_drop_are_named(place: Place) -> None:
    place.sh(
        "nft 'table inet guard { chain forwarded { type filter hook forward priority 5; policy drop; }; }; "
        "table inet wall { chain last { type filter hook forward priority 6; tcp dport 22 drop; counter reject; }; }; "
        "table inet fine { chain some { type filter hook forward priority 7; tcp dport 22 drop; }; }'"
    )
    place.sh("iptables-nft -P FORWARD DROP; iptables-nft -N DOCKER-USER; iptables-nft -A FORWARD -j DOCKER-USER")
    drops = {drop.chain: drop for drop in place.do(foreign_drops, Counts())}
    assert set(drops) == {"inet guard forwarded", "inet wall last", "ip filter FORWARD"}
    assert drops["ip filter FORWARD"].owner == "Docker"
    assert drops["inet wall last"].because == "its last rule is reject"
    for drop in drops.values():
        place.sh(drop.command)
    assert {d.chain for d in place.do(foreign_drops, Counts())} <= {"ip filter FORWARD"}


def test_many_hands_at_a_time(kernel: KernelAt) -> None:
    """Forty starts and then forty stops by eight threads: as if one after another."""
    net = Picture.of(network())
    kernel.apply(plan(NONE, net))
    boxes = [Picture.of(container(number, ports=(8000 + number,))) for number in range(1, 41)]

    def hands(steps: list[tuple[Step, ...]]) -> None:
        with ThreadPoolExecutor(8) as pool:  # its threads inherit the place's namespaces
            for done in [pool.submit(kernel.real.apply, s) for s in steps]:
                done.result()

    kernel.place.do(hands, [plan(NONE, box) for box in boxes])
    want = Picture.of([*net, *(i for box in boxes for i in box)])
    assert kernel.observe(None, like=want) == want
    kernel.place.do(hands, [plan(box, NONE) for box in boxes])
    assert kernel.observe(None, like=net) == net
