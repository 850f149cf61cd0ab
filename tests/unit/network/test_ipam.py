from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from sanbashi.errors import Failed, Forbidden, Invalid
from sanbashi.network import commands, ipam
from sanbashi.network.model import NetworkRequest, SubnetRequest
from sanbashi.network.picture import Route
from sanbashi.network.wanted import everything

from .world import FACTS, WHEN, create, endpoint, fresh, join, number, open_container, run, sandbox_of


def subnets(network: object) -> list[str]:
    return [str(s.subnet) for s in network.subnets]  # type: ignore[attr-defined]


def test_the_default_pools_hold_31_networks_lowest_first() -> None:
    state = fresh()
    chosen = [str(n.subnet4.subnet) for n in state.networks.values() if n.subnet4]
    for i in range(30):
        state, network = create(state, f"n{i}")
        chosen += subnets(network)
    assert chosen[:3] == ["172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16"]
    assert chosen[14:17] == ["172.31.0.0/16", "192.168.0.0/20", "192.168.16.0/20"]
    assert chosen[-1] == "192.168.240.0/20"
    with pytest.raises(Invalid, match=r"^all predefined address pools have been fully subnetted$"):
        create(state, "one-more")
    state = commands.remove_network(state, number("n4"))
    assert subnets(create(state, "again")[1]) == ["172.22.0.0/16"]


def test_a_choice_says_what_it_passed_over() -> None:
    facts = replace(
        FACTS,
        avoid=(
            (ip_network("172.16.0.0/14"), "route dev eth0"),
            (ip_network("0.0.0.0/0"), "default route"),
            (ip_network("172.20.0.53/32"), "name server"),
        ),
    )
    choice = ipam.choose_subnet(fresh(FACTS).blocks, 4, facts)
    assert str(choice.subnet) == "172.21.0.0/16"
    assert choice.because == (
        "lowest free of 172.20.0.0/14; passed over 172.18.0.0/16 (172.16.0.0/14: route dev eth0), "
        "172.19.0.0/16 (172.16.0.0/14: route dev eth0), 172.20.0.0/16 (172.20.0.53/32: name server)"
    )


def test_an_asked_for_subnet_is_checked_against_networks_only_and_warned_of() -> None:
    facts = replace(FACTS, avoid=((ip_network("10.0.0.0/8"), "eth0"),))
    request = NetworkRequest(name="n", subnets=(SubnetRequest(subnet=ip_network("10.5.0.0/16")),))
    state, network, warnings = commands.create_network(fresh(), request, facts, id=number("n"), created=WHEN)
    assert subnets(network) == ["10.5.0.0/16"]
    assert commands.subnet_reasons(fresh(), request, facts) == ("10.5.0.0/16: asked for",)
    assert warnings == ("subnet 10.5.0.0/16 overlaps 10.0.0.0/8 (eth0) on this host",)
    for taken in ("10.5.0.0/16", "10.5.128.0/17", "10.0.0.0/8"):
        with pytest.raises(Forbidden, match=r"^invalid pool request: Pool overlaps with other one on this address space$") as caught:
            create(state, "m", taken)
        assert caught.value.hint == "10.5.0.0/16 belongs to network n"


@pytest.mark.parametrize(
    ("asked", "fields", "got"),
    [
        (("0.0.0.0/24",), {}, ["172.18.0.0/24"]),
        (("::/96",), {"enable_ipv6": True}, ["fd9c:f72:1cca::/96", "172.18.0.0/16"]),
        ((), {"enable_ipv6": True}, ["172.18.0.0/16", "fd9c:f72:1cca::/64"]),
        (("fd00:aaaa::/64",), {"enable_ipv6": True}, ["fd00:aaaa::/64", "172.18.0.0/16"]),
        ((), {"enable_ipv6": True, "enable_ipv4": False}, ["fd9c:f72:1cca::/64"]),
        (("10.1.0.0/24", "fd00:1::/80"), {"enable_ipv6": True}, ["10.1.0.0/24", "fd00:1::/80"]),
    ],
)
def test_families_and_sizes(asked: tuple[str, ...], fields: dict[str, bool], got: list[str]) -> None:
    state, network = create(fresh(), "n", *asked, **fields)
    assert subnets(network) == got
    assert [str(s.gateway) for s in network.subnets] == [str(s.subnet.network_address + 1) for s in network.subnets]
    state = run(state, "c", "n")
    held = endpoint(state, "c", "n")
    assert [str(a) for a in (held.ipv4, held.ipv6) if a] == [
        f"{s.subnet.network_address + 2}/{s.subnet.prefixlen}" for s in sorted(network.subnets, key=lambda s: s.version)
    ]


def test_sizes_of_one_pool_fit_into_what_others_left() -> None:
    state, _ = create(fresh(), "small", "0.0.0.0/24")
    state, big = create(state, "big")
    state, small = create(state, "small2", "0.0.0.0/24")
    assert (subnets(big), subnets(small)) == (["172.19.0.0/16"], ["172.18.1.0/24"])


def test_pools_of_the_settings_replace_the_list() -> None:
    facts = replace(FACTS, pools=((ip_network("10.200.0.0/23"), 24), (ip_network("2001:db8::/56"), 64)))
    state = fresh(facts)
    state, network = create(state, "n", enable_ipv6=True, facts=facts)
    assert subnets(network) == ["10.200.1.0/24", "2001:db8::/64"]
    with pytest.raises(Invalid, match="fully subnetted"):
        create(state, "m", facts=facts)


def test_range_gateway_and_auxiliary_addresses_as_recorded() -> None:
    request = NetworkRequest(
        name="s5",
        subnets=(
            SubnetRequest(
                subnet=ip_network("10.57.0.0/24"),
                ip_range=ip_network("10.57.0.128/25"),
                gateway=ip_address("10.57.0.254"),
                auxiliary={"a": ip_address("10.57.0.129")},
            ),
        ),
    )
    state, _, _ = commands.create_network(fresh(), request, FACTS, id=number("s5"), created=WHEN)
    state = run(run(state, "x1", "s5"), "x2", "s5")
    assert [str(endpoint(state, c, "s5").ipv4) for c in ("x1", "x2")] == ["10.57.0.128/24", "10.57.0.130/24"]
    assert str(endpoint(state, "x1", "s5").gateway4) == "10.57.0.254"
    state = run(state, "x3", "s5", ip="10.57.0.10")
    with pytest.raises(Forbidden, match=r"^Address already in use$") as caught:
        run(state, "x5", "s5", ip="10.57.0.10")
    assert caught.value.hint == "10.57.0.10 is held by container x3"
    with pytest.raises(Forbidden, match=r"^Address already in use$"):
        run(state, "x5", "s5", ip="10.57.0.254")
    state = commands.close_sandbox(state, number("sandbox x1"))
    assert str(endpoint(run(state, "x4", "s5"), "x4", "s5").ipv4) == "10.57.0.128/24"


def test_the_containers_gateway_may_be_another_than_the_bridge() -> None:
    request = NetworkRequest(
        name="n", subnets=(SubnetRequest(subnet=ip_network("10.1.0.0/24"), auxiliary={"DefaultGatewayIPv4": ip_address("10.1.0.254")}),)
    )
    state, network, _ = commands.create_network(fresh(), request, FACTS, id=number("n"), created=WHEN)
    assert str(network.subnets[0].gateway) == "10.1.0.1"
    assert str(endpoint(run(state, "c", "n"), "c", "n").gateway4) == "10.1.0.254"


@pytest.mark.parametrize(
    ("subnet", "containers"), [("10.60.0.0/30", 1), ("10.60.0.0/29", 5), ("10.60.0.0/31", 1), ("10.60.0.0/32", 0), ("10.60.0.0/28", 13)]
)
def test_exhaustion(subnet: str, containers: int) -> None:
    state, network = create(fresh(), "tiny", subnet)
    for i in range(containers):
        state = run(state, f"c{i}", "tiny")
    with pytest.raises(Failed) as caught:
        run(state, "last", "tiny")
    assert caught.value.message == f"no available IPv4 addresses on this network's address pools: tiny ({network.id})"


def test_ipv6_of_two_addresses() -> None:
    state, network = create(fresh(), "n", "fd00::/127", enable_ipv4=False, enable_ipv6=True)
    assert str(network.subnets[0].gateway) == "fd00::"
    state = run(state, "c", "n")
    assert str(endpoint(state, "c", "n").ipv6) == "fd00::1/127"
    with pytest.raises(Failed, match="no available IPv6 addresses"):
        run(state, "d", "n")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"ip_range": "10.0.0.0/7"}, "invalid ip-range 10.0.0.0/7: CIDR block is bigger than its parent subnet 10.0.0.0/8"),
        ({"ip_range": "11.0.0.0/9"}, "invalid ip-range 11.0.0.0/9: parent subnet 10.0.0.0/8 doesn't contain ip-range"),
        ({"ip_range": "fd00::/9"}, "invalid ip-range fd00::/9: parent subnet is an IPv4 block"),
        ({"gateway": "11.0.0.1"}, "invalid gateway 11.0.0.1: parent subnet 10.0.0.0/8 doesn't contain this address"),
        ({"gateway": "fd00::1"}, "invalid gateway fd00::1: parent subnet is an IPv4 block"),
        ({"auxiliary": "11.0.0.1"}, "invalid auxiliary address x: parent subnet 10.0.0.0/8 doesn't contain this address"),
        (
            {"gateway": "11.0.0.1", "auxiliary": "12.0.0.1"},
            "* invalid gateway 11.0.0.1: parent subnet 10.0.0.0/8 doesn't contain this address\n"
            "* invalid auxiliary address x: parent subnet 10.0.0.0/8 doesn't contain this address",
        ),
    ],
)
def test_what_is_wrong_with_a_subnet(entry: dict[str, str], words: str) -> None:
    request = SubnetRequest(
        subnet=ip_network("10.0.0.0/8"),
        ip_range=ip_network(entry["ip_range"]) if "ip_range" in entry else None,
        gateway=ip_address(entry["gateway"]) if "gateway" in entry else None,
        auxiliary={"x": ip_address(entry["auxiliary"])} if "auxiliary" in entry else {},
    )
    with pytest.raises(Invalid) as caught:
        ipam.check_subnets([request])
    assert caught.value.message == f"invalid network config:\n{words}"


def test_everything_that_is_wrong_is_said_in_dockers_order() -> None:
    """Host bits are named as they were written, here and in what follows."""
    wrong = SubnetRequest(
        subnet=ip_network("10.0.0.0/8"), subnet_word="10.0.0.1/8", ip_range=ip_network("11.1.0.0/7", strict=False), range_word="11.1.0.0/7",
        gateway=ip_address("12.0.0.1"),
    )  # fmt: skip
    with pytest.raises(Invalid) as caught:
        ipam.check_subnets([wrong, SubnetRequest(subnet=ip_network("fd00::/64"), gateway=ip_address("fd01::1"))], ipv6=False)
    assert caught.value.message == (
        "invalid network config:\n"
        "* invalid subnet 10.0.0.1/8: it should be 10.0.0.0/8\n"
        "* invalid ip-range 11.1.0.0/7: CIDR block is bigger than its parent subnet 10.0.0.1/8\n"
        "* invalid ip-range 11.1.0.0/7: it should be 10.0.0.0/7\n"
        "* invalid gateway 12.0.0.1: parent subnet 10.0.0.1/8 doesn't contain this address"
    )


@pytest.mark.parametrize("subnet", [None, "0.0.0.0/24"])
def test_no_gateway_without_a_subnet_of_its_own(subnet: str | None) -> None:
    request = SubnetRequest(subnet=ip_network(subnet) if subnet else None, gateway=ip_address("10.0.0.1"))
    with pytest.raises(Invalid) as caught:
        ipam.check_subnets([request])
    parent = subnet or "invalid Prefix"
    assert caught.value.message == f"invalid network config:\ninvalid gateway 10.0.0.1: parent subnet {parent} doesn't contain this address"


def test_sizes_that_no_pool_has_and_no_size_at_all() -> None:
    with pytest.raises(Invalid, match=r"^invalid address pool$"):
        create(fresh(), "n", "0.0.0.0/8")
    assert [str(s.subnet) for s in create(fresh(), "n", "0.0.0.0/0")[1].subnets] == ["172.18.0.0/16"]


@pytest.mark.parametrize(
    ("subnet", "words"),
    [("fe80::/80", "'fe80::/80' clashes with the Link-Local prefix 'fe80::/64'"), ("ff00::/64", "multicast subnet 'ff00::/64' is not allowed")],
)
def test_subnets_that_no_bridge_can_have(subnet: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        create(fresh(), "n", subnet, enable_ipv6=True)
    assert caught.value.message == words
    assert str(create(fresh(), "n", "fe80::/64", enable_ipv6=True)[1].subnets[0].subnet) == "fe80::/64"


def test_what_was_asked_for_stands_first_and_ipv4_before_ipv6() -> None:
    _, both = create(fresh(), "n", "fd01::/64", "10.1.0.0/24", enable_ipv6=True)
    assert [s.version for s in both.subnets] == [4, 6]
    _, one = create(fresh(), "n", "fd01::/64", enable_ipv6=True)
    assert [s.version for s in one.subnets] == [6, 4]


def test_a_gateway_that_is_an_auxiliary_address() -> None:
    request = SubnetRequest(subnet=ip_network("10.0.0.0/8"), gateway=ip_address("10.0.0.9"), auxiliary={"x": ip_address("10.0.0.9")})
    with pytest.raises(Failed, match=r"^failed to allocate secondary ip address \(x:10.0.0.9\): Address already in use$"):
        ipam.make_subnet(ip_network("10.0.0.0/8"), request, gateway=True)


def test_an_address_of_no_subnet() -> None:
    state, _ = create(fresh(), "n", "10.1.0.0/24")
    with pytest.raises(Invalid, match=r"^invalid address 10.9.0.1: It does not belong to any of this network's subnets$"):
        join(open_container(state, "c"), "c", "n", ip="10.9.0.1")


def test_nobody_is_given_the_address_that_the_networks_own_routes_lead_through() -> None:
    """Unless he asks for it; and whoever has it has no such route himself."""
    options = {"io.sanbashi.routes": "10.9.0.0/16 via 10.0.0.2,10.8.0.0/16 via 10.0.0.3"}
    state, _ = create(fresh(), "app", "10.0.0.0/29", options=options)
    state = run(state, "web", "app")
    state, _ = join(open_container(state, "router"), "router", "app", ipv4=ip_address("10.0.0.2"))

    def routes(name: str) -> set[str]:
        return {
            str(i.destination)
            for i in everything(state, FACTS)
            if isinstance(i, Route) and i.namespace == sandbox_of(name) and i.destination.prefixlen == 16
        }

    assert str(endpoint(state, "web", "app").ipv4) == "10.0.0.4/29" and routes("web") == {"10.8.0.0/16", "10.9.0.0/16"}
    assert routes("router") == {"10.8.0.0/16"}
    for name in ("c5", "c6"):
        state = run(state, name, "app")
    with pytest.raises(Failed, match="no available IPv4 addresses on this network's address pools: app"):
        run(state, "c7", "app")


@pytest.mark.parametrize(
    ("subnet", "end"), [("10.1.0.0/24", "10.1.0.0"), ("10.1.0.0/24", "10.1.0.255"), ("10.1.0.0/30", "10.1.0.3"), ("fd01::/64", "fd01::")]
)
def test_the_ends_of_a_subnet_are_nobodys(subnet: str, end: str) -> None:
    block, address = ip_network(subnet), ip_address(end)
    with pytest.raises(Failed, match=rf"^failed to allocate gateway \({end}\): Address already in use$"):
        ipam.make_subnet(block, SubnetRequest(subnet=block, gateway=address), gateway=True)
    with pytest.raises(Failed, match=rf"^failed to allocate secondary ip address \(x:{end}\): Address already in use$"):
        ipam.make_subnet(block, SubnetRequest(subnet=block, auxiliary={"x": address}), gateway=False)
    state, _ = create(fresh(), "n", subnet, enable_ipv6=True)
    with pytest.raises(Forbidden, match=r"^Address already in use$") as caught:
        join(open_container(state, "c"), "c", "n", ip=end)
    assert caught.value.hint.endswith(str(block) if end != str(block.network_address) else f"{block} itself")


def test_a_link_between_two_has_no_ends() -> None:
    state, network = create(fresh(), "n", "10.1.0.0/31")
    assert str(network.subnets[0].gateway) == "10.1.0.0"
    assert str(endpoint(run(state, "c", "n", ip="10.1.0.1"), "c", "n").ipv4) == "10.1.0.1/31"


def test_two_auxiliary_addresses_are_two() -> None:
    request = SubnetRequest(subnet=ip_network("10.0.0.0/8"), auxiliary={"x": ip_address("10.0.0.9"), "y": ip_address("10.0.0.9")})
    with pytest.raises(Failed, match=r"^failed to allocate secondary ip address \(y:10.0.0.9\): Address already in use$") as caught:
        ipam.make_subnet(ip_network("10.0.0.0/8"), request, gateway=True)
    assert caught.value.hint == "it is the auxiliary address x"
