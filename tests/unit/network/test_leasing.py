"""Networks whose addresses are leased: what is refused and why, who a container is to a server, what an endpoint has with and without a lease."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, ip_network

import pytest

from sanbashi.errors import Failed, Forbidden, Invalid
from sanbashi.network import commands, leasing
from sanbashi.network.indexes import reindex
from sanbashi.network.lease import Lease
from sanbashi.network.model import Endpoint, EndpointWish, NetworkRequest, NetworkState, SubnetRequest
from sanbashi.network.picture import Address, Leasing, Mtu, Picture, Route
from sanbashi.network.plan import Add, plan
from sanbashi.network.updating import NetworkChange, update_network
from sanbashi.network.wanted import wanted

from .world import FACTS, WHEN, create, fresh, join, number, open_container, sandbox_of

B = "com.docker.network.bridge."
HOST = replace(FACTS, links_present=frozenset({"eth0", "br7"}))
MACVLAN = NetworkRequest(name="lan", driver="macvlan", ipam_driver="dhcp", options={"parent": "eth0"})
BRIDGE = NetworkRequest(name="lan", driver="bridge", ipam_driver="dhcp", options={B + "name": "br7"})


@pytest.mark.parametrize(
    "request_, words",
    [
        (replace(MACVLAN, driver="ipvlan"), "the ipvlan driver cannot be used with the dhcp IPAM driver: its containers share one MAC address"),
        (replace(MACVLAN, subnets=(SubnetRequest(subnet=ip_network("10.7.0.0/24")),)), "takes no subnet, range or gateway"),
        (replace(MACVLAN, enable_ipv6=True), "gives IPv4 addresses alone"),
        (replace(MACVLAN, enable_ipv6=True, enable_ipv4=False), "gives IPv4 addresses alone"),
        (replace(MACVLAN, internal=True), "cannot be internal"),
        (replace(MACVLAN, options={}), "needs a parent"),
        (replace(BRIDGE, options={}), "needs an existing bridge"),
        (replace(BRIDGE, options={B + "name": "br8"}), "there is no bridge br8 on this host"),
        (replace(BRIDGE, ipam_options={"timeout": "0"}), "invalid timeout of the dhcp IPAM driver: 0"),
        (replace(BRIDGE, ipam_options={"timeout": "ten"}), "invalid timeout of the dhcp IPAM driver: ten"),
        (replace(BRIDGE, ipam_options={"tmeout": "10"}), "the dhcp IPAM driver has no option tmeout"),
        (replace(BRIDGE, options={**BRIDGE.options, B + "enable_icc": "false"}), "bridge.enable_icc has no meaning with the dhcp IPAM driver"),
        (replace(BRIDGE, options={**BRIDGE.options, B + "gateway_mode_ipv4": "routed"}), "gateway_mode_ipv4 has no meaning"),
        (replace(MACVLAN, options={**MACVLAN.options, "io.sanbashi.routes": "10.9.0.0/16 via 10.7.0.9"}), "io.sanbashi.routes has no meaning"),
    ],
)
def test_what_is_refused(request_: NetworkRequest, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        commands.create_network(fresh(), request_, HOST, id=number("lan"), created=WHEN)


@pytest.mark.parametrize("request_, uplink", [(MACVLAN, "eth0"), (BRIDGE, "br7")])
def test_a_network_that_holds_no_subnet(request_: NetworkRequest, uplink: str) -> None:
    state, network, warnings = commands.create_network(fresh(), request_, HOST, id=number("lan"), created=WHEN)
    assert (network.subnets, network.adopted, warnings) == ((), True, ())
    assert (leasing.uplink(network), leasing.patience(network)) == (uplink, 15)
    assert commands.subnet_reasons(fresh(), request_, HOST) == ()
    assert leasing.patience(replace(network, ipam_options={"timeout": "60"})) == 60
    assert state == reindex(state)


def test_an_option_without_meaning_cannot_come_later() -> None:
    state, network, _ = commands.create_network(fresh(), BRIDGE, HOST, id=number("lan"), created=WHEN)
    with pytest.raises(Invalid, match="has no meaning"):
        update_network(state, network.id, NetworkChange(options={B + "enable_ip_masquerade": "false"}), HOST)


def test_who_a_container_is_lasts() -> None:
    """Of the container and the network alone: neither the start, nor the host, nor the name is in it."""
    one, other = leasing.identity("c1", "n1"), leasing.identity("c1", "n2")
    assert one == leasing.identity("c1", "n1") != other and one[10:] == other[10:]  # one DUID, an IAID a network: RFC 4361
    assert one.startswith("ff") and one[10:14] == "0004" and len(one) == 2 * (1 + 4 + 2 + 16)
    assert leasing.identity("c2", "n1") not in (one, other)
    mac = leasing.lasting_mac("c1", "n1")
    assert mac == leasing.lasting_mac("c1", "n1") != leasing.lasting_mac("c1", "n2") and int(mac[:2], 16) & 3 == 2


# -- endpoints


def joined(**wish: object) -> tuple[NetworkState, Endpoint]:
    state, _ = create(fresh(), "lan", facts=HOST, driver="macvlan", ipam_driver="dhcp", options={"parent": "eth0"})
    return join(open_container(state, "web"), "web", "lan", facts=HOST, **wish)  # type: ignore[arg-type]


def lease(address: str = "10.7.0.50/24", **more: object) -> Lease:
    return Lease(address=IPv4Interface(address), server=IPv4Address("10.7.0.1"), **more)  # type: ignore[arg-type]


def items(state: NetworkState) -> Picture:
    return wanted(state, HOST, sandboxes=[sandbox_of("web")])


def test_an_endpoint_waits_without_an_address() -> None:
    state, endpoint = joined()
    assert (endpoint.ipv4, endpoint.asked4, endpoint.insists, endpoint.mac) == (
        None, None, False, leasing.lasting_mac(endpoint.container_id, endpoint.network_id),
    )  # fmt: skip
    assert [e.id for e in leasing.leaseless(state, sandbox_of("web"))] == [endpoint.id]
    (item,) = (i for i in items(state) if isinstance(i, Leasing))
    assert (item.endpoint, item.link, item.hostname, item.ask) == (endpoint.id, "eth0", number("web")[:12], None)
    assert not [i for i in items(state) if isinstance(i, Address | Route)]
    assert list(plan(Picture(), items(state)))[-1] == Add(item)  # last to come
    assert plan(items(state), Picture())[0].item == item  # type: ignore[union-attr]  # and first to go


def test_an_address_that_is_asked_for() -> None:
    state, endpoint = joined(ip="10.7.0.9")
    assert (endpoint.ipv4, endpoint.asked4, endpoint.insists) == (None, IPv4Address("10.7.0.9"), True)
    state = leasing.with_lease(state, endpoint.id, lease("10.7.0.9/24"))
    with pytest.raises(Forbidden, match="Address already in use"):
        join(open_container(state, "other"), "other", "lan", facts=HOST, ip="10.7.0.9")
    network = state.networks[endpoint.network_id]
    commands.check_wish(state, network, EndpointWish(network="lan", ipv4=IPv4Address("192.0.2.1")))
    with pytest.raises(Invalid, match="no configured subnet contains IP address fd00::1"):
        commands.check_wish(state, network, EndpointWish(network="lan", ipv6=IPv6Address("fd00::1")))


def test_what_a_lease_brings_and_takes() -> None:
    state, endpoint = joined()
    before = items(state)
    routes = ((IPv4Network("10.9.0.0/24"), IPv4Address("10.7.0.9")), (IPv4Network("10.7.0.0/24"), None))
    with_it = leasing.with_lease(state, endpoint.id, lease(router=IPv4Address("10.8.0.1"), mtu=1400, routes=routes))
    assert with_it == reindex(with_it) and not list(leasing.leaseless(with_it, sandbox_of("web")))
    made = items(with_it)
    assert Mtu(endpoint.sandbox_id, "eth0", 1400) in made.items
    # The gateway lies outside the mask, as in some clouds: it gets a route of its own, made first. The kernel has the connected one by itself.
    steps = [s.item for s in plan(before, made) if isinstance(s, Add) and isinstance(s.item, Route)]
    assert [(str(r.destination), str(r.via)) for r in steps] == [("10.8.0.1/32", "None"), ("0.0.0.0/0", "10.8.0.1"), ("10.9.0.0/24", "10.7.0.9")]
    assert items(leasing.without_lease(with_it, endpoint.id)) == before
    # A renewal alone changes nothing that is in the kernel.
    renewed = leasing.with_lease(with_it, endpoint.id, replace(with_it.endpoints[endpoint.id].lease, begun=99.0))  # type: ignore[type-var]
    assert plan(made, items(renewed)) == ()


def test_an_address_that_another_has_is_not_taken() -> None:
    state, endpoint = joined()
    state = leasing.with_lease(state, endpoint.id, lease())
    state, other = join(open_container(state, "other"), "other", "lan", facts=HOST)
    with pytest.raises(Failed, match=r"gave 10\.7\.0\.50 to other, and container web has it"):
        leasing.with_lease(state, other.id, lease())


def test_the_network_s_own_words_go_before_the_lease() -> None:
    state, endpoint = joined()
    state = leasing.with_lease(state, endpoint.id, lease(dns=(IPv4Address("10.7.0.1"),), mtu=1400))
    assert leasing.leased_servers(state, [state.endpoints[endpoint.id]]) == ("10.7.0.1",)
    network = state.networks[endpoint.network_id]
    own = {**network.options, "io.sanbashi.dns": "192.0.2.53", "com.docker.network.driver.mtu": "1300"}
    state = replace(state, networks=state.networks.set(network.id, replace(network, options=own)))
    assert leasing.leased_servers(state, [state.endpoints[endpoint.id]]) == ()
    assert not [i for i in items(state) if isinstance(i, Mtu)]
