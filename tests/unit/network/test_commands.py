from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network

import pytest

from sanbashi.errors import Conflict, Failed, Forbidden, Invalid, NotFound, SanbashiError
from sanbashi.network import commands
from sanbashi.network.indexes import reindex, with_network
from sanbashi.network.model import EndpointWish, NetworkRequest

from .world import FACTS, WHEN, create, endpoint, fresh, join, number, open_container, run, sandbox_of

B = "com.docker.network.bridge."
ADVERTISE = "com.docker.network.advertise_addr_"


# -- finding


def test_finding_by_id_name_and_prefix() -> None:
    state, network = create(fresh(), "web")
    for ref in (network.id, "web", network.id[:12], network.id[:4]):
        assert commands.find_network(state, ref) == network
    with pytest.raises(NotFound, match=r"^network nosuch not found$"):
        commands.find_network(state, "nosuch")
    with pytest.raises(NotFound, match=r"^network  not found$"):
        commands.find_network(state, "")


def test_a_name_goes_before_a_prefix_and_a_prefix_may_be_ambiguous() -> None:
    state = fresh()
    for last in ("1", "2"):
        state = with_network(state, replace(create(state, f"n{last}")[1], id="ab" + last * 62))
    with pytest.raises(Invalid, match=r"^network ab is ambiguous \(2 matches found based on ID prefix\)$"):
        commands.find_network(state, "ab")
    state, named = create(state, "ab")
    assert commands.find_network(state, "ab") == named


# -- creating


@pytest.mark.parametrize(
    ("request_", "kind", "words"),
    [
        (NetworkRequest(name=""), Invalid, "invalid name: name is empty"),
        (NetworkRequest(name="  "), Invalid, "invalid name: name is empty"),
        (NetworkRequest(name="n1"), Conflict, "network with name n1 already exists"),
        (NetworkRequest(name="bridge"), Forbidden, "operation is not permitted on predefined bridge network "),
        (NetworkRequest(name="default"), Forbidden, "operation is not permitted on predefined default network "),
        (NetworkRequest(name="n2", driver="nosuch"), NotFound, 'plugin "nosuch" not found'),
        (NetworkRequest(name="n2", driver="host"), Forbidden, 'only one instance of "host" network is allowed'),
        (NetworkRequest(name="n2", driver="null"), Forbidden, 'only one instance of "null" network is allowed'),
        (NetworkRequest(name="n2", scope="swarm"), Forbidden, "cannot create a swarm scoped network when swarm is not active"),
        (NetworkRequest(name="n2", enable_ipv4=False), Invalid, "IPv4 or IPv6 must be enabled"),
        (NetworkRequest(name="n2", ipam_driver="ipamd"), NotFound, 'plugin "ipamd" not found'),
        (
            NetworkRequest(name="n2", options={B + "gateway_mode_ipv4": "bogus"}),
            Invalid,
            "failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: bogus (unknown gateway mode bogus)",
        ),
        (
            NetworkRequest(name="n2", options={B + "enable_ip_masquerade": "bogus"}),
            Invalid,
            'failed to parse com.docker.network.bridge.enable_ip_masquerade value: bogus (strconv.ParseBool: parsing "bogus": invalid syntax)',
        ),
        (
            NetworkRequest(name="n2", options={"com.docker.network.driver.mtu": "abc"}),
            Invalid,
            'failed to parse com.docker.network.driver.mtu value: abc (strconv.Atoi: parsing "abc": invalid syntax)',
        ),
        (NetworkRequest(name="n2", options={"com.docker.network.driver.mtu": "-5"}), Invalid, "invalid MTU number: -5"),
        (NetworkRequest(name="n2", options={"com.docker.network.driver.mtu": "67"}), Invalid, "invalid MTU number: 67"),
        (NetworkRequest(name="n2", options={"com.docker.network.driver.mtu": "65536"}), Invalid, "invalid MTU number: 65536"),
        (
            NetworkRequest(name="n2", options={B + "host_binding_ipv4": "here"}),
            Invalid,
            "failed to parse com.docker.network.bridge.host_binding_ipv4 value: here (nil ip)",
        ),
        (
            NetworkRequest(name="n2", options={"com.docker.network.host_ipv6": "there"}),
            Invalid,
            "failed to parse com.docker.network.host_ipv6 value: there (nil ip)",
        ),
        (
            NetworkRequest(name="n2", options={"com.docker.network.enable_ipv6": "perhaps"}),
            Invalid,
            'driver-opt "com.docker.network.enable_ipv6" is not a valid bool',
        ),
        (
            NetworkRequest(name="n2", config_only=True, options={ADVERTISE + "nmsgs": "four", ADVERTISE + "ms": "99"}),
            Failed,
            'value for option com.docker.network.advertise_addr_nmsgs "four" must be an integer\n'
            "com.docker.network.advertise_addr_ms must be in the range 100 to 2000",
        ),
        (
            NetworkRequest(name="n2", ipam_driver="null", subnets=(commands.SubnetRequest(subnet=ip_network("10.9.0.0/24")),)),
            Invalid,
            "null ipam driver does not handle specific address pool requests",
        ),
        (
            NetworkRequest(name="n2", options={B + "gateway_mode_ipv4": "isolated"}),
            Failed,
            "gateway mode 'isolated' can only be used for an internal network",
        ),
        (  # of a family that is off, too
            NetworkRequest(name="n2", options={B + "gateway_mode_ipv6": "isolated"}),
            Failed,
            "gateway mode 'isolated' can only be used for an internal network",
        ),
        (NetworkRequest(name="n2", ingress=True), Forbidden, "Ingress network can only be global scope network"),
        (
            NetworkRequest(name="n2", options={B + "default_bridge": "true"}),
            Forbidden,
            f"bridge device with non default name br-{number('new')[:12]} must be created manually",
        ),
        (
            NetworkRequest(name="n2", config_only=True, config_from="nosuch"),
            Forbidden,
            "a configuration network cannot depend on another configuration network",
        ),
        (
            NetworkRequest(name="n2", config_from="nosuch", enable_ipv4=False),
            Forbidden,
            "user-specified configurations are not supported if the network depends on a configuration network",
        ),
        (
            NetworkRequest(name="n2", subnets=(commands.SubnetRequest(subnet=ip_network("0.0.0.0/24"), gateway=ip_address("0.0.0.1")),)),
            Failed,
            "failed to allocate gateway (0.0.0.1): requested address is out of range",
        ),
        (
            NetworkRequest(name="n2", subnets=(commands.SubnetRequest(subnet=ip_network("0.0.0.0/24"), ip_range=ip_network("0.0.0.0/26")),)),
            Failed,
            'failed to parse pool request for address space "LocalDefault" pool "" subpool "0.0.0.0/26": invalid address subpool',
        ),
        (
            NetworkRequest(name="n2", subnets=(commands.SubnetRequest(subnet=ip_network("0.0.0.0/24"), auxiliary={"a": ip_address("0.0.0.7")}),)),
            Forbidden,
            "auxiliary address: (a:0.0.0.7) must belong to the master pool: 172.19.0.0/24",
        ),
        (
            NetworkRequest(name="n2", options={B + "name": "mybr0"}),
            Forbidden,
            f"cannot create network {number('new')} (mybr0): conflicts with network {number('n1')} (mybr0): networks have same bridge name",
        ),
    ],
)
def test_refusals(request_: NetworkRequest, kind: type[SanbashiError], words: str) -> None:
    state, _ = create(fresh(), "n1", options={B + "name": "mybr0"})
    with pytest.raises(SanbashiError) as caught:
        commands.create_network(state, request_, FACTS, id=number("new"), created=WHEN)
    assert (type(caught.value), caught.value.message) == (kind, words)


def test_a_scope_is_kept_as_it_was_said() -> None:
    """Without a swarm it means nothing, to Docker either."""
    assert [create(fresh(), "n", scope=said)[1].scope for said in ("", "local", "global")] == ["local", "local", "global"]


def test_no_default_network() -> None:
    state = fresh()
    assert sorted(fresh(bridge_name="none").network_names) == ["host", "none"]
    again = {"ids": {"bridge": number("again")}, "created": WHEN}
    gone = commands.predefined_networks(state, FACTS, bridge_name="none", **again)
    assert sorted(gone.network_names) == ["host", "none"]
    assert sorted(commands.predefined_networks(gone, FACTS, **again).network_names) == ["bridge", "host", "none"]
    used = run(state, "web", "bridge")
    assert commands.predefined_networks(used, FACTS, bridge_name="none", **again) is used


def test_two_subnets_of_a_family() -> None:
    with pytest.raises(Forbidden, match=r"^bridge driver doesn't support multiple subnets$"):
        create(fresh(), "n", "10.1.0.0/24", "10.2.0.0/24")


def test_any_name_will_do_and_the_bridge_has_dockers_name() -> None:
    _, network = create(fresh(), "bad name")
    assert network.bridge == f"br-{network.id[:12]}"


def test_warnings() -> None:
    request = NetworkRequest(name="n", options={"x.y": "1", B + "gateway_mode_ipv6": "routed"}, enable_ipv6=True, subnets=())
    _, _, warnings = commands.create_network(fresh(), request, FACTS, id=number("n"), created=WHEN)
    assert warnings == (
        "option x.y is not known to the bridge driver and has no effect",
        "the gateway modes of IPv4 (nat) and IPv6 (routed) differ: direct access follows the stricter of the two",
    )


def test_a_subnet_of_a_family_that_is_off_is_warned_of() -> None:
    request = NetworkRequest(name="n", subnets=tuple(commands.SubnetRequest(subnet=ip_network(s)) for s in ("10.1.0.0/24", "fd00::/64")))
    _, network, warnings = commands.create_network(fresh(), request, FACTS, id=number("n"), created=WHEN)
    assert [str(s.subnet) for s in network.subnets] == ["10.1.0.0/24"]
    assert warnings == ("subnet fd00::/64 is not used: IPv6 is not enabled on this network",)


def test_options_may_say_what_fields_say_and_defaults_come_from_the_settings() -> None:
    defaults = {"com.docker.network.driver.mtu": "1400", "com.docker.network.enable_ipv6": "true"}
    facts = replace(FACTS, default_options={"bridge": defaults, "macvlan": {"com.docker.network.driver.mtu": "1350"}})
    _, network = create(fresh(), "n", facts=facts, options={"com.docker.network.internal": "true", "com.docker.network.driver.mtu": "1300"})
    assert (network.enable_ipv6, network.internal, network.options["com.docker.network.driver.mtu"]) == (True, True, "1300")
    said = create(fresh(), "n", facts=facts, enable_ipv6=False)[1]
    assert (said.enable_ipv6, dict(said.options)) == (False, {"com.docker.network.driver.mtu": "1400"})  # what a field says is not shown again
    assert create(fresh(), "m", facts=facts, driver="macvlan")[1].options == {"com.docker.network.driver.mtu": "1350"}
    state, _ = create(fresh(), "cfg", facts=facts, config_only=True)
    assert not create(state, "made", facts=facts, config_from="cfg")[1].options  # a configuration stands for itself


@pytest.mark.parametrize(
    ("options", "internal", "gateway"),
    [
        ({}, True, "172.18.0.1"),
        ({B + "gateway_mode_ipv4": "isolated"}, True, "None"),
        ({B + "inhibit_ipv4": "true"}, True, "None"),
        ({B + "inhibit_ipv4": "true"}, False, "172.18.0.1"),
    ],
)
def test_which_networks_have_a_gateway(options: dict[str, str], internal: bool, gateway: str) -> None:
    state, network = create(fresh(), "n", options=options, internal=internal)
    assert str(network.subnets[0].gateway) == gateway
    joined = endpoint(run(state, "c", "n"), "c", "n")
    assert str(joined.ipv4) == ("172.18.0.1/16" if gateway == "None" else "172.18.0.2/16")
    assert str(joined.gateway4) == ("None" if internal else gateway)


# -- removing


def test_removing() -> None:
    state, network = create(fresh(), "mydockernet")
    state = run(run(state, "web02", "mydockernet"), "web01", "mydockernet")
    ids = [number(f"{c} mydockernet")[:12] for c in ("web01", "web02")]
    with pytest.raises(Forbidden) as caught:
        commands.remove_network(state, network.id)
    assert caught.value.message == (
        f'error while removing network: network mydockernet has active endpoints (name:"web01" id:"{ids[0]}", name:"web02" id:"{ids[1]}")'
    )
    for name in ("bridge", "host", "none"):
        with pytest.raises(Forbidden, match=f"^{name} is a pre-defined network and cannot be removed$"):
            commands.remove_network(state, state.network_names[name])
    for container in ("web01", "web02"):
        state = commands.close_sandbox(state, sandbox_of(container))
    assert commands.remove_network(state, network.id) == fresh()


# -- the predefined networks


def test_bridge_host_and_none() -> None:
    state = fresh()
    bridge = commands.find_network(state, "bridge")
    assert (bridge.bridge, [str(s.gateway) for s in bridge.subnets]) == ("docker0", ["172.17.0.1"])
    assert dict(bridge.options) == {
        B + "default_bridge": "true",
        B + "enable_icc": "true",
        B + "enable_ip_masquerade": "true",
        B + "host_binding_ipv4": "0.0.0.0",
        B + "name": "docker0",
        "com.docker.network.driver.mtu": "1500",
    }
    assert {n.name: n.driver for n in state.networks.values()} == {"bridge": "bridge", "host": "host", "none": "null"}
    ids = {name: number("other" + name) for name in ("bridge", "host", "none")}
    assert commands.predefined_networks(state, FACTS, ids=ids, created="later") == state


def test_the_default_bridge_follows_the_settings_while_nobody_is_on_it() -> None:
    state, ids = fresh(), {name: number(name) for name in ("bridge", "host", "none")}
    moved = commands.predefined_networks(
        state, FACTS, ids=ids, created="later", bip=ip_interface("10.9.0.5/24"), fixed_cidr=ip_network("10.9.0.128/25"),
        default_gateways=(ip_address("10.9.0.254"),), bridge_name="sanbashi0",
    )  # fmt: skip
    bridge = commands.find_network(moved, "bridge")
    assert (bridge.id, bridge.created, bridge.bridge) == (number("bridge"), WHEN, "sanbashi0")
    joined = endpoint(run(moved, "c", "bridge"), "c", "bridge")
    assert (str(joined.ipv4), str(joined.gateway4)) == ("10.9.0.128/24", "10.9.0.254")
    assert reindex(moved) == moved
    back = commands.predefined_networks(moved, FACTS, ids=ids, created="later")
    assert str(commands.find_network(back, "bridge").subnets[0].subnet) == "10.9.0.0/24"
    busy = run(state, "c", "bridge")
    assert commands.predefined_networks(busy, FACTS, ids=ids, created="later", bip=ip_interface("10.9.0.5/24")) == busy


def test_the_default_bridge_s_ipv6_address_and_gateway() -> None:
    state = fresh(
        replace(FACTS, ipv6=True), bip6=IPv6Interface("fd00:9::5/64"), fixed_cidr_v6=ip_network("fd00:9::100/120"),
        default_gateways=(ip_address("fd00:9::fe"),),
    )  # fmt: skip
    joined = endpoint(run(state, "c", "bridge"), "c", "bridge")
    assert (str(joined.ipv4), str(joined.ipv6), str(joined.gateway6)) == ("172.17.0.2/16", "fd00:9::100/64", "fd00:9::fe")
    assert [str(s.gateway) for s in commands.find_network(state, "bridge").subnets] == ["172.17.0.1", "fd00:9::5"]


def test_the_default_gateways_are_those_of_subnets_that_nobody_asked_for_too() -> None:
    joined = endpoint(run(fresh(default_gateways=(ip_address("172.17.0.9"),)), "c", "bridge"), "c", "bridge")
    assert (str(joined.ipv4), str(joined.gateway4)) == ("172.17.0.2/16", "172.17.0.9")
    with pytest.raises(Failed, match=r"--default-gateway 10\.0\.0\.9 is no address of"):
        fresh(default_gateways=(ip_address("10.0.0.9"),))
    with pytest.raises(Failed, match="--default-gateway-v6 fd01::9 is no address of fd"):
        fresh(replace(FACTS, ipv6=True), default_gateways=(ip_address("fd01::9"),))


def test_where_another_engine_holds_docker0_or_its_subnet() -> None:
    with pytest.raises(Failed) as caught:
        fresh(replace(FACTS, links_present=frozenset({"docker0"})))
    assert "docker0 exists already" in caught.value.message
    assert "--bridge" in caught.value.hint
    state = fresh(replace(FACTS, avoid=((ip_network("172.17.0.0/16"), "docker0"),)), bridge_name="sanbashi0")
    assert str(commands.find_network(state, "bridge").subnets[0].subnet) == "172.18.0.0/16"
    adopted = fresh(replace(FACTS, links_present=frozenset({"br0"})), bridge_name="br0", bip=ip_interface("10.1.0.1/24"))
    assert commands.find_network(adopted, "bridge").adopted


def test_a_default_bridge_with_ipv6_or_none_at_all() -> None:
    state = fresh(replace(FACTS, ipv6=True), fixed_cidr_v6=ip_network("fd00:1::/64"))
    assert [str(s.gateway) for s in commands.find_network(state, "bridge").subnets] == ["172.17.0.1", "fd00:1::1"]
    assert "bridge" not in fresh(bridge_name="none").network_names


# -- wishes


@pytest.mark.parametrize(
    ("network", "wish", "words"),
    [
        ("bridge", {"ipv4": ip_address("172.17.0.50")}, "user-specified IP address is supported on user-defined networks only"),
        ("bridge", {"aliases": ("a",)}, "network-scoped aliases are only supported for user-defined networks"),
        (
            "none",
            {"aliases": ("a",), "ipv6": ip_address("fd00::1")},
            "* user-specified IP address is supported on user-defined networks only\n"
            "* network-scoped aliases are only supported for user-defined networks",
        ),
        ("n", {"ipv4": ip_address("10.99.0.10")}, "no configured subnet contains IP address 10.99.0.10"),
        ("n", {"ipv6": ip_address("fd00::1")}, "no configured subnet contains IP address fd00::1"),
        ("n", {"link_local": (ip_address("0.0.0.0"),)}, "invalid link-local IP address: 0.0.0.0"),
        ("n", {"ipv4": ip_address("0.0.0.0")}, "invalid IPv4 address: 0.0.0.0"),
        ("n", {"mac": "01:00:00:00:00:01"}, "invalid MAC address: 01:00:00:00:00:01"),
        ("n", {"driver_options": {"com.docker.network.endpoint.ifname": "a/b"}}, "invalid interface name: a/b"),
        (
            "n",
            {"driver_options": {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.eth0.log_martians=1"}},
            "unrecognised network interface sysctl 'net.ipv4.conf.eth0.log_martians=1'; represent 'net.X.Y.ethN.Z=V' as "
            "'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'",
        ),
    ],
)
def test_wishes_that_a_network_cannot_meet(network: str, wish: dict[str, object], words: str) -> None:
    state, _ = create(fresh(), "n", "10.1.0.0/24")
    with pytest.raises(Invalid) as caught:
        commands.check_wish(state, commands.find_network(state, network), EndpointWish(network=network, **wish))  # type: ignore[arg-type]
    assert caught.value.message == f"invalid endpoint settings:\n{words}"


def test_wishes_that_it_can() -> None:
    state, network = create(fresh(), "n", "10.1.0.0/24")
    wish = EndpointWish(
        network="n",
        aliases=("a",),
        ipv4=ip_address("10.1.0.9"),
        mac="02:42:0A:47:00:99",
        # Docker takes any address as one more of the interface; its CLI writes the options of --network in small letters.
        link_local=(ip_address("169.254.3.4"), ip_address("10.44.0.1")),
        driver_options={"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.ifname.hop_limit=5"},
    )
    commands.check_wish(state, network, wish)
    _, joined = join(open_container(state, "c"), "c", "n", mac=wish.mac, link_local=wish.link_local, ip="10.1.0.9")
    assert (joined.mac, joined.ipv4, joined.link_local) == ("02:42:0a:47:00:99", IPv4Interface("10.1.0.9/24"), wish.link_local)


# -- endpoints


def test_names_of_an_endpoint() -> None:
    state, _ = create(fresh(), "cb")
    state = open_container(state, "k1")
    state, joined = join(state, "k1", "cb", aliases=("kk", "kkk", "k1"))
    assert joined.names == ("k1", "kk", "kkk", number("k1")[:12])
    state, plain = join(state, "k1", "bridge")
    assert plain.names == ()
    state = commands.rename_container(state, number("k1"), "k9")
    assert endpoint(state, "k1", "cb").names == ("k9", "kk", "kkk", "k1", number("k1")[:12])
    assert endpoint(state, "k1", "bridge").container_name == "k9"
    assert commands.rename_container(state, "nobody", "x") is state


def test_twice_in_one_network() -> None:
    state, _ = create(fresh(), "cb")
    with pytest.raises(Forbidden, match=r"^endpoint with name k1 already exists in network cb$"):
        join(run(state, "k1", "cb"), "k1", "cb")


def test_an_empty_name_or_prefix_is_none() -> None:
    """As in Docker: ${VAR:-} of a compose file."""
    state, network = create(fresh(), "a", options={"com.docker.network.bridge.name": "", "com.docker.network.container_iface_prefix": ""})
    assert network.bridge == f"br-{network.id[:12]}"
    _, joined = join(open_container(state, "x"), "x", "a")
    assert joined.interface == "eth0"


def test_interfaces_are_the_lowest_unused() -> None:
    state = fresh()
    for name, options in (("a", {}), ("b", {}), ("c", {"com.docker.network.container_iface_prefix": "net"}), ("d", {})):
        state, _ = create(state, name, options=options)
    state = open_container(state, "x")
    named = {}
    for network in ("bridge", "a", "c"):
        state, joined = join(state, "x", network)
        named[network] = joined.interface
    assert named == {"bridge": "eth0", "a": "eth1", "c": "net0"}
    state = commands.leave(state, endpoint(state, "x", "bridge").id)
    state, joined = join(state, "x", "b", driver_options={"com.docker.network.endpoint.ifname": "net7"})
    assert joined.interface == "net7"
    state, joined = join(state, "x", "bridge")
    assert (joined.interface, joined.order) == ("eth0", 4)
    with pytest.raises(Failed, match=r"^interface name net7 is already used in container x$"):
        join(state, "x", "d", driver_options={"com.docker.network.endpoint.ifname": "net7"})


def test_host_and_none_have_endpoints_without_an_interface() -> None:
    _, joined = join(open_container(fresh(), "c", mode="host"), "c", "host")
    assert (joined.interface, joined.mac, joined.ipv4, joined.names) == ("", "", None, ())


def test_closing_and_leaving_what_is_gone_is_success() -> None:
    state = run(fresh(), "c", "bridge")
    gone = commands.close_sandbox(state, sandbox_of("c"))
    assert gone == fresh() == commands.close_sandbox(gone, sandbox_of("c")) == commands.leave(gone, number("c bridge"))
