"""macvlan and ipvlan: Docker's sentences, the items of a network and an endpoint, what is shared and what goes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from sanbashi.errors import Failed, Forbidden, Invalid, NotFound, NotSupported, SanbashiError
from sanbashi.network import commands
from sanbashi.network.absent import without_absent
from sanbashi.network.holdings import contradiction
from sanbashi.network.indexes import reindex
from sanbashi.network.model import NetworkFacts, NetworkRequest, NetworkState, SubnetRequest
from sanbashi.network.parents import kinds_to_probe, sharing
from sanbashi.network.picture import Address, Bridge, Namespace, Parent, Route, Sublink
from sanbashi.network.plan import plan
from sanbashi.network.wanted import everything, wanted

from .world import FACTS, WHEN, create, endpoint, fresh, join, number, open_container, run

HERE = replace(FACTS, links_present=frozenset({"eth0"}))


def macvlan(state: NetworkState, name: str, subnet: str, facts: NetworkFacts = HERE, driver: str = "macvlan", gateway: str = "", **options: str):  # type: ignore[no-untyped-def]
    return create(state, name, subnet, facts=facts, gateway=gateway, driver=driver, options=options)


@pytest.mark.parametrize(
    "driver, options, words",
    [
        ("macvlan", {"parent": "nosuch0"}, "invalid subinterface vlan name nosuch0, example formatting is eth0.10"),
        (
            "macvlan",
            {"parent": "eth0", "macvlan_mode": "bogus"},
            "requested macvlan mode 'bogus' is not valid, 'bridge' mode is the macvlan driver default",
        ),
        ("macvlan", {"parent": "lo"}, "loopback interface is not a valid macvlan parent link"),
        ("macvlan", {"parent": "eth0.a"}, "unable to parse a valid vlan id from: a (ex. eth0.10 for vlan 10)"),
        ("macvlan", {"parent": "eth0.1.2"}, "required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received eth0.1.2"),
        ("macvlan", {"parent": "eth9.10"}, "-o parent interface was not found on the host: eth9"),
        ("macvlan", {"parent": "eth0.4095"}, "vlan id must be between 1-4094, received: 4095"),
        ("ipvlan", {"parent": "eth0", "ipvlan_mode": "l4"}, "requested ipvlan mode 'l4' is not valid, 'l2' mode is the ipvlan driver default"),
        ("ipvlan", {"parent": "eth0", "ipvlan_flag": "x"}, "requested ipvlan flag 'x' is not valid, 'bridge' is the ipvlan driver default"),
        ("ipvlan", {"parent": "lo"}, "loopback interface is not a valid ipvlan parent link"),
    ],
)
def test_refusals(driver: str, options: dict[str, str], words: str) -> None:
    with pytest.raises(Failed) as caught:
        create(fresh(), "n", "10.80.0.0/24", facts=HERE, driver=driver, options=options)
    assert caught.value.message == words


def ranged(
    state: NetworkState, name: str, ip_range: str = "", gateway: str = "", driver: str = "macvlan", subnet: str = "10.80.0.0/24", **auxiliary: str
):  # type: ignore[no-untyped-def]
    """A network on eth0 with a range of a subnet."""
    asked = SubnetRequest(
        subnet=ip_network(subnet),
        ip_range=ip_network(ip_range) if ip_range else None,
        gateway=ip_address(gateway) if gateway else None,
        auxiliary={word: ip_address(address) for word, address in auxiliary.items()},
    )
    options = {"parent": "eth0"} if driver != "bridge" else {}
    request = NetworkRequest(name=name, driver=driver, subnets=(asked,), options=options)
    state, network, _ = commands.create_network(state, request, HERE, id=number(name), created=WHEN)
    assert state == reindex(state) and not contradiction(state)
    return state, network


def test_networks_on_one_lan_have_a_range_each_and_no_address_twice() -> None:
    """As Docker lets networks on parents; and the LAN's one router is the gateway of both, where Docker says that its address is in use."""
    state, _ = ranged(fresh(), "a", "10.80.0.64/30", gateway="10.80.0.1", router="10.80.0.2")
    for more in (
        {},
        {"ip_range": "10.80.0.64/30"},
        {"ip_range": "10.80.0.128/25", "driver": "bridge"},
        {"ip_range": "10.80.0.0/26", "subnet": "10.80.0.0/25"},
    ):
        with pytest.raises(Forbidden, match="Pool overlaps with other one on this address space"):
            ranged(state, "b", **more)  # type: ignore[arg-type]
    alone = state
    state, _ = ranged(state, "b", "10.80.0.64/29", gateway="10.80.0.1")
    for name in ("x", "y"):
        state = run(state, name, "a")
    state = join(open_container(state, "z"), "z", "b", ipv4=ip_address("10.80.0.67"))[0]
    for name in ("v", "w", "u"):
        state = run(state, name, "b")
    held = {name: str(endpoint(state, name, network).ipv4.ip) for network, names in (("a", "xy"), ("b", "zvwu")) for name in names}  # type: ignore[union-attr]
    assert held == {
        "x": "10.80.0.64",
        "y": "10.80.0.65",
        "z": "10.80.0.67",
        "v": "10.80.0.66",
        "w": "10.80.0.68",
        "u": "10.80.0.69",
    }
    assert state == reindex(state) and not contradiction(state)
    full = open_container(state, "t")
    with pytest.raises(Failed, match="no available IPv4 addresses"):
        join(full, "t", "a")
    for taken in ("10.80.0.1", "10.80.0.2", "10.80.0.69", "10.80.0.64"):
        for network in ("a", "b"):
            with pytest.raises(Forbidden, match="Address already in use"):
                join(full, "t", network, ipv4=ip_address(taken))
    for words, kept in (
        (r"gateway \(10.80.0.67\)", {"gateway": "10.80.0.67"}),
        (r"secondary ip address \(k:10.80.0.64\)", {"k": "10.80.0.64"}),
    ):
        with pytest.raises(Failed, match=f"^failed to allocate {words}: Address already in use$"):
            ranged(state, "c", "10.80.0.128/25", **kept)
    # Who goes leaves the subnet to the others; with the last it is free.
    left = commands.remove_network(ranged(alone, "b", "10.80.0.128/25")[0], number("a"))
    assert left == reindex(left)
    with pytest.raises(Forbidden):
        ranged(left, "d", driver="bridge")
    ranged(commands.remove_network(left, number("b")), "d", driver="bridge")


def test_one_parent_several_networks() -> None:
    state, first = macvlan(fresh(), "a", "10.80.0.0/24", parent="eth0")
    state, second = macvlan(state, "b", "10.81.0.0/24", parent="eth0")
    with pytest.raises(Failed, match=f"cannot use mode passthru, macvlan network {first.id} is already using parent interface eth0"):
        macvlan(state, "c", "10.82.0.0/24", parent="eth0", macvlan_mode="passthru")
    assert [n.name for n in sharing(state, first)] == ["b"] and first.adopted and second.adopted
    alone, through = macvlan(fresh(), "p", "10.80.0.0/24", parent="eth0", macvlan_mode="passthru")
    with pytest.raises(Failed, match=f"macvlan network {through.id} is already using parent interface eth0 in mode passthru"):
        macvlan(alone, "c", "10.82.0.0/24", parent="eth0")
    level, held = macvlan(fresh(), "l", "10.80.0.0/24", driver="ipvlan", parent="eth0")
    with pytest.raises(Failed, match=f"network di-{held.id[:12]} is already using parent interface eth0"):
        macvlan(level, "c", "10.82.0.0/24", driver="ipvlan", parent="eth0")


def test_what_is_passed_through_is_passed_to_one() -> None:
    state, _ = macvlan(fresh(), "p", "10.80.0.0/24", parent="eth0", macvlan_mode="passthru")
    state = run(state, "web", "p", facts=HERE)
    with pytest.raises(Failed, match=r"^failed to create the macvlan port: invalid argument$") as caught:
        run(state, "other", "p", facts=HERE)
    assert caught.value.hint == "p passes its parent through to web alone"


@pytest.mark.parametrize(
    "driver, options, kind, option",
    [
        ("ipvlan", {"parent": "eth0"}, "ipvlan", "CONFIG_IPVLAN"),
        ("macvlan", {"parent": "eth0.10"}, "vlan", "CONFIG_VLAN_8021Q"),
        ("macvlan", {}, "dummy", "CONFIG_DUMMY"),
    ],
)
def test_a_kernel_that_lacks_something_is_told_by_the_name_of_its_option(driver: str, options: dict[str, str], kind: str, option: str) -> None:
    assert kind in kinds_to_probe(NetworkRequest(name="n", driver=driver, options=options))
    with pytest.raises(NotSupported) as caught:
        create(fresh(), "n", "10.80.0.0/24", facts=replace(HERE, missing_links=frozenset({kind})), driver=driver, options=options)
    assert option in caught.value.message and "modprobe" in caught.value.hint


def test_a_vlan_is_made_once_and_goes_with_the_last_network_on_it() -> None:
    state, first = macvlan(fresh(), "a", "10.80.0.0/24", parent="eth0.10")
    both, second = macvlan(state, "b", "10.81.0.0/24", parent="eth0.10")
    vlan = Parent("eth0.10", "sanbashi:vlan:eth0.10", "eth0", 10)
    assert vlan in wanted(state, HERE, networks=[first.id]).items
    assert wanted(both, HERE, networks=[first.id]).items & wanted(both, HERE, networks=[second.id]).items >= {vlan}
    ids = [first.id, second.id]
    left = commands.remove_network(both, first.id)
    assert not any(getattr(s, "item", None) == vlan for s in plan(wanted(both, HERE, networks=ids), wanted(left, HERE, networks=ids)))
    gone = commands.remove_network(left, second.id)
    assert [str(s) for s in plan(wanted(left, HERE, networks=ids), wanted(gone, HERE, networks=ids))][-1] == f"remove {vlan}"
    with_it = replace(HERE, links_present=frozenset({"eth0", "eth0.10"}))
    state, found = macvlan(fresh(), "a", "10.80.0.0/24", with_it, parent="eth0.10")
    assert found.adopted and vlan not in wanted(state, with_it, networks=[found.id]).items


def test_without_a_parent_a_dummy_and_no_way_out() -> None:
    state, network = macvlan(fresh(), "n", "10.80.0.0/24", gateway="10.80.0.1")
    state = run(state, "c1", "n", facts=HERE)
    assert Parent(f"dm-{network.id[:12]}", f"sanbashi:{network.id[:12]}") in wanted(state, HERE, networks=[network.id]).items
    assert endpoint(state, "c1", "n").gateway4 is None
    assert len(f"dm-{network.id[:12]}") == 15


def test_no_gateway_unless_one_is_named() -> None:
    """As the recording has it: the first container gets the first address, and no default route."""
    state, network = macvlan(fresh(), "n", "10.80.0.0/24", parent="eth0")
    assert network.subnet4 is not None and network.subnet4.gateway is None
    made = endpoint(run(state, "c1", "n", facts=HERE), "c1", "n")
    assert (str(made.ipv4), made.gateway4, made.host_interface) == ("10.80.0.1/24", None, "")
    state, _ = macvlan(fresh(), "n", "10.80.0.0/24", parent="eth0", gateway="10.80.0.1")
    made = endpoint(run(state, "c1", "n", facts=HERE), "c1", "n")
    assert (str(made.ipv4), str(made.gateway4)) == ("10.80.0.2/24", "10.80.0.1")


@pytest.mark.parametrize("mode, by_device", [("l2", False), ("l3", True), ("l3s", True)])
def test_ipvlan_endpoints(mode: str, by_device: bool) -> None:
    state, _network = macvlan(fresh(), "n", "10.80.0.0/24", driver="ipvlan", gateway="10.80.0.1", parent="eth0", ipvlan_mode=mode)
    state = run(state, "c1", "n", facts=HERE)
    sandbox = endpoint(state, "c1", "n").sandbox_id
    items = wanted(state, HERE, sandboxes=[sandbox]).items
    link = next(i for i in items if isinstance(i, Sublink))
    assert (link.kind, link.mode, link.flag, link.mac, link.parent, link.name) == ("ipvlan", mode, "bridge", "", "eth0", "eth0")
    assert link.announce == ((0, 0) if by_device else (3, 1000)), "an interface without ARP takes no frame"
    default = next(i for i in items if isinstance(i, Route))
    assert (default.via is None) is by_device and str(default.destination) == "0.0.0.0/0"
    with pytest.raises(Failed, match="ipvlan interfaces do not support custom mac address assignment"):
        join(open_container(state, "c2"), "c2", "n", mac="02:00:00:00:00:09", facts=HERE)


def test_several_subnets_of_a_family_are_used_in_turn() -> None:
    request = NetworkRequest(
        name="n",
        driver="macvlan",
        subnets=(SubnetRequest(subnet=ip_network("10.90.0.0/30")), SubnetRequest(subnet=ip_network("10.80.0.0/30"), gateway=ip_address("10.80.0.1"))),
        options={"parent": "eth0"},
    )
    state, network, _ = commands.create_network(fresh(), request, HERE, id=number("n"), created=WHEN)
    assert [str(s.subnet) for s in network.subnets] == ["10.90.0.0/30", "10.80.0.0/30"]
    for name in ("c1", "c2", "c3"):
        state = run(state, name, "n", facts=HERE)
    assert [str(endpoint(state, name, "n").ipv4) for name in ("c1", "c2", "c3")] == ["10.90.0.1/30", "10.90.0.2/30", "10.80.0.2/30"]
    assert [str(endpoint(state, name, "n").gateway4) for name in ("c1", "c3")] == ["None", "10.80.0.1"]
    with pytest.raises(Failed, match="no available IPv4 addresses"):
        run(state, "c4", "n", facts=HERE)
    assert str(endpoint(run(commands.close_sandbox(state, endpoint(state, "c2", "n").sandbox_id), "c4", "n"), "c4", "n").ipv4) == "10.90.0.2/30"


# -- configurations


def test_a_configuration_holds_nothing_and_makes_networks() -> None:
    state, config = create(fresh(), "conf", "10.80.0.0/24", facts=HERE, config_only=True, options={"parent": "eth0"}, labels={"a": "b"})
    assert (config.driver, config.config_only) == ("null", True)
    assert len(wanted(state, HERE, networks=[config.id])) == 0
    state, made = create(state, "n", facts=HERE, driver="macvlan", config_from="conf")
    assert (made.config_from, str(made.subnets[0].subnet), made.options, made.labels) == ("conf", "10.80.0.0/24", {"parent": "eth0"}, {"a": "b"})
    with pytest.raises(Forbidden, match='configuration network "conf" is in use'):
        commands.remove_network(state, config.id)
    with pytest.raises(Forbidden, match="cannot create endpoint on configuration-only network"):
        join(open_container(state, "c1"), "c1", "conf")
    state = commands.remove_network(state, made.id)
    assert config.id not in commands.remove_network(state, config.id).networks


@pytest.mark.parametrize(
    "request_, kind, words",
    [
        (NetworkRequest(name="n", config_from="nosuch"), NotFound, 'configuration network "nosuch" does not exist'),
        (NetworkRequest(name="n", config_from="bridge"), NotFound, 'configuration network "bridge" does not exist'),
        (
            NetworkRequest(name="n", config_from="x", config_only=True),
            Forbidden,
            "a configuration network cannot depend on another configuration network",
        ),
        (
            NetworkRequest(name="n", config_from="x", labels={"a": "b"}),
            Forbidden,
            "user-specified configurations are not supported if the network depends on a configuration network",
        ),
        (
            NetworkRequest(name="n", config_from="x", options={"a": "b"}),
            Forbidden,
            "network driver options are not supported if the network depends on a configuration network",
        ),
        (
            NetworkRequest(name="n", config_only=True, internal=True),
            Forbidden,
            "configuration network can only contain network specific fields. "
            "Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
        ),
        (NetworkRequest(name="n", ipam_driver="null"), Invalid, "ipv4 pool is empty"),
        (NetworkRequest(name="n", ipam_driver="other"), NotFound, 'plugin "other" not found'),
    ],
)
def test_what_configurations_and_ipam_drivers_cannot_be(request_: NetworkRequest, kind: type[SanbashiError], words: str) -> None:
    with pytest.raises(SanbashiError) as caught:
        commands.create_network(fresh(), request_, HERE, id=number("n"), created=WHEN)
    assert (type(caught.value), caught.value.message) == (kind, words)


def test_an_unplugged_card_leaves_out_what_stands_on_it_alone() -> None:
    state, _ = macvlan(fresh(), "card", "10.80.0.0/24", parent="eth0")
    state, _ = macvlan(state, "tagged", "10.81.0.0/24", parent="eth0.10")
    state = run(run(state, "c1", "card", facts=HERE), "c2", "tagged", facts=HERE)
    wish = everything(state, HERE)
    assert without_absent(wish, {"eth0"}) == (wish, ())
    left, said = without_absent(wish, {"lo"})
    assert len(said) == 3 and said[0].startswith("VLAN 10 of eth0: eth0.10: eth0 is not there")
    gone = wish - left
    assert {type(i).__name__ for i in gone} <= {"Parent", "Sublink", "Up", "Address", "Sysctl", "Route"}
    assert sum(isinstance(i, Namespace) for i in left) == 2 and Bridge("docker0", f"sanbashi:{number('bridge')[:12]}") in left.items


def test_an_existing_bridge_named_for_the_default_network_gives_its_subnet() -> None:
    facts = replace(HERE, links_present=frozenset({"br7"}), addresses={"br7": (ip_interface("10.7.0.1/24"),)})
    state = fresh(facts, bridge_name="br7")
    network = state.networks[state.network_names["bridge"]]
    assert (network.adopted, str(network.subnets[0].subnet), str(network.subnets[0].gateway)) == (True, "10.7.0.0/24", "10.7.0.1")
    assert not any(isinstance(i, Address) and not i.namespace for i in everything(state, facts))
