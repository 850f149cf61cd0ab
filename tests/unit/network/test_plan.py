from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

from tests.fakes import FakeKernel

from sanbashi.network.picture import (
    Address,
    Bridge,
    Element,
    Forwarder,
    HeldPort,
    Item,
    Namespace,
    Neighbour,
    Picture,
    Resolver,
    Route,
    Sublink,
    Sysctl,
    Up,
    Veth,
)
from sanbashi.network.plan import ForgetFrom, plan

BRIDGE = Bridge("br", "sanbashi:n")
VETH = Veth("v", "sanbashi:n:e", "br", "box", "eth0", "02:00:00:00:00:01")
WORLD: tuple[Item, ...] = (
    Namespace("box"),
    BRIDGE,
    VETH,
    Sysctl("", "net/ipv4/conf/br/route_localnet", "1"),
    Sysctl("box", "net/ipv6/conf/eth0/disable_ipv6", "1"),
    Address("", "br", ip_interface("10.0.0.1/24")),
    Address("box", "eth0", ip_interface("10.0.0.2/24")),
    Up("", "br"),
    Up("box", "eth0", endpoint=True),
    Up("", "v", endpoint=True),
    Route("box", ip_network("0.0.0.0/0"), "eth0", via=ip_address("10.0.0.1")),
    Neighbour("", "br", ip_address("10.0.0.2"), "02:00:00:00:00:01"),
    HeldPort("udp", ip_address("0.0.0.0"), 53),
    Element("inet", "published4_any", ("udp", "53"), ("10.0.0.2", "53")),
    Resolver("box", ("n",)),
)
ALL = Picture.of(WORLD)


def change(old: Item, new: Item) -> Picture:
    return Picture.of(new if item == old else item for item in WORLD)


def lines(have: Picture, want: Picture) -> list[str]:
    """The plan as lines; it must also lead a kernel from one picture to the other."""
    kernel = FakeKernel()
    kernel.apply(plan(Picture(), have))
    steps = plan(have, want)
    kernel.apply(steps)
    assert kernel.picture == want
    return [str(step) for step in steps]


def test_equal_pictures_need_nothing() -> None:
    assert plan(ALL, Picture.of(reversed(WORLD))) == ()


def test_what_can_change_in_place_is_not_taken_away() -> None:
    for old, new in (
        (BRIDGE, replace(BRIDGE, mtu=1400)),
        (VETH, replace(VETH, hairpin=True)),
        (VETH, replace(VETH, mtu=1400)),
        (WORLD[3], replace(WORLD[3], value="0")),
        (WORLD[11], replace(WORLD[11], mac="02:00:00:00:00:09")),
        (WORLD[14], Resolver("box", ("n", "m"))),
    ):
        assert lines(ALL, change(old, new)) == [f"add {new}"]


def test_a_pair_that_must_be_made_anew_gets_everything_back() -> None:
    got = lines(ALL, change(VETH, replace(VETH, mac="02:00:00:00:00:08")))
    assert got == [
        "add veth v on br to eth0 in box",
        "add sysctl net/ipv6/conf/eth0/disable_ipv6=1 in box",
        "add address 10.0.0.2/24 on eth0 in box",
        "add eth0 up in box",
        "add route 0.0.0.0/0 via 10.0.0.1 dev eth0 in box",
        "add v up",
    ]


def test_a_link_of_other_make_is_replaced_and_what_hung_on_it_comes_again() -> None:
    have = change(VETH, replace(VETH, mac="02:00:00:00:00:07"))
    assert [str(s) for s in plan(have, ALL)][:2] == ["add veth v on br to eth0 in box", "add sysctl net/ipv6/conf/eth0/disable_ipv6=1 in box"]


def test_what_an_address_began_is_forgotten_where_it_goes_and_the_host_tracks_it() -> None:
    def left(have: Picture, want: Picture) -> list[str]:
        return [str(step) for step in plan(have, want) if isinstance(step, ForgetFrom)]

    assert left(ALL, Picture()) == ["forget flows from 10.0.0.2"]
    assert left(ALL, change(WORLD[6], Address("box", "eth0", ip_interface("10.0.0.3/24")))) == ["forget flows from 10.0.0.2"]
    assert left(change(VETH, replace(VETH, mac="02:00:00:00:00:07")), ALL) == []  # the link is made anew, the address stays
    assert left(change(WORLD[6], Address("box", "eth0", ip_interface("fd00::2/64"))), Picture()) == ["forget flows from fd00::2"]
    apart = Sublink("macvlan", "eth0", "box", "eth0", "sanbashi:n:e", "bridge")
    assert left(Picture.of(apart if item == VETH else item for item in WORLD), Picture()) == []


def test_an_element_of_other_data_goes_and_comes_in_one_stretch_and_its_flows_are_forgotten() -> None:
    old = WORLD[13]
    assert lines(ALL, change(old, Element("inet", "published4_any", ("udp", "53"), ("10.0.0.9", "53")))) == [
        "remove inet published4_any { udp . 53 : 10.0.0.2 . 53 }",
        "add inet published4_any { udp . 53 : 10.0.0.9 . 53 }",
        "forget flows to 53/udp translated to 10.0.0.2",
        "forget flows to 53/udp not translated",
    ]


def test_a_port_on_every_address_makes_way_for_one_on_a_single_address() -> None:
    assert lines(ALL, change(WORLD[12], HeldPort("udp", ip_address("127.0.0.1"), 53))) == [
        "remove held port 0.0.0.0:53/udp",
        "add held port 127.0.0.1:53/udp",
    ]
    six, four = Forwarder("udp", ip_address("::"), 53, ip_address("10.0.0.2"), 53), WORLD[12]
    assert lines(ALL, change(four, six)) == ["add forwarder [::]:53/udp to 10.0.0.2:53", "remove held port 0.0.0.0:53/udp"]


def test_an_address_is_added_before_the_old_one_goes() -> None:
    new = Address("", "br", ip_interface("10.0.0.254/24"))
    assert lines(ALL, change(WORLD[5], new)) == ["add address 10.0.0.254/24 on br", "remove address 10.0.0.1/24 on br"]


def test_a_default_route_makes_way_for_another() -> None:
    new = replace(WORLD[10], via=ip_address("10.0.0.3"))
    assert lines(ALL, change(WORLD[10], new)) == [
        "remove route 0.0.0.0/0 via 10.0.0.1 dev eth0 in box",
        "add route 0.0.0.0/0 via 10.0.0.3 dev eth0 in box",
    ]


def test_everything_goes_in_the_reverse_order() -> None:
    assert lines(ALL, Picture()) == [
        "remove resolver in box",
        "remove v up",
        "remove inet published4_any { udp . 53 : 10.0.0.2 . 53 }",
        "forget flows to 53/udp translated to 10.0.0.2",
        "forget flows from 10.0.0.2",
        "remove held port 0.0.0.0:53/udp",
        "remove veth v on br to eth0 in box",
        "remove bridge br",
        "remove namespace box",
    ]


def test_an_adopted_bridge_stays_and_what_we_put_on_it_goes() -> None:
    ours: tuple[Item, ...] = (Bridge("br", "sanbashi:n", adopted=True), WORLD[5], WORLD[7])
    assert lines(Picture.of(ours), Picture()) == ["remove br up", "remove address 10.0.0.1/24 on br", "remove bridge br"]


def test_what_was_taken_from_the_kernel_comes_back() -> None:
    without_link = Picture.of(i for i in WORLD if not isinstance(i, Veth) and getattr(i, "link", "") not in ("v", "eth0"))
    assert [str(s) for s in plan(without_link, ALL)] == [
        "add veth v on br to eth0 in box",
        "add address 10.0.0.2/24 on eth0 in box",
        "add eth0 up in box",
        "add route 0.0.0.0/0 via 10.0.0.1 dev eth0 in box",
        "add v up",
    ]
