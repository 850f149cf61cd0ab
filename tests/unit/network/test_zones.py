from dataclasses import replace
from ipaddress import ip_address

import pytest

from sanbashi.errors import Invalid
from sanbashi.network import commands, zones
from sanbashi.network.links import resolve_links
from sanbashi.network.model import NetworkState, PortSpec
from sanbashi.network.picture import THE_HOST, Element, HostResolver, Names, Resolver, Zone
from sanbashi.network.wanted import everything, wanted

from .world import FACTS, create, fresh, join, number, open_container, run, sandbox_of


def resolver(state: NetworkState, container: str) -> Resolver | None:
    return zones.resolver(state, state.sandboxes[sandbox_of(container)])


def test_only_named_networks_have_zones_names_and_a_resolver() -> None:
    state, network = create(run(fresh(), "plain", "bridge"), "n", enable_ipv6=True)
    state = run(state, "c", "n", aliases=("www",))
    found = everything(state, FACTS)
    assert {i for i in found if isinstance(i, Zone)} == {Zone(network.id, "n")}
    four, six = ip_address("172.18.0.2"), ip_address("fd9c:f72:1cca::2")
    assert {i for i in found if isinstance(i, Names) and i.endpoint != THE_HOST} == {
        Names(network.id, number("c n"), ("c", "www", number("c")[:12]), (four, six))
    }
    assert [i for i in found if isinstance(i, Resolver)] == [Resolver(sandbox_of("c"), (network.id,), port=40053)]


def test_networks_are_looked_through_in_the_order_of_gateways() -> None:
    state, a = create(fresh(), "a")
    state, b = create(state, "b")
    state = open_container(state, "c", dns=("9.9.9.9",), dns_options=("ndots:1",), dns_search=("x.example", "."))
    for name, priority in (("bridge", 0), ("a", 0), ("b", 3)):
        state, _ = join(state, "c", name, gateway_priority=priority)
    assert resolver(state, "c") == Resolver(
        sandbox_of("c"), (b.id, a.id), upstreams=("9.9.9.9",), follow_host=False, ndots_set=True, search=("x.example",), port=40053
    )


def test_from_an_internal_network_nothing_is_asked_through_the_host() -> None:
    state, _ = create(fresh(), "i", internal=True)
    state = run(state, "c", "i")
    found = resolver(state, "c")
    assert found and not found.forward
    state, _ = join(state, "c", "bridge")
    found = resolver(state, "c")
    assert found and found.forward


def test_links_are_names_of_one_sandbox_and_follow_their_target() -> None:
    state, network = create(fresh(), "n")
    state = run(state, "d1", "n")
    state, _ = join(open_container(state, "c"), "c", "n", links=(("other", number("d1")), ("absent", number("nobody"))))
    found = resolver(state, "c")
    assert found and found.links == (("other", network.id, (ip_address("172.18.0.2"),)),)
    assert state.linked[number("d1")] == (number("c n"),)
    state = commands.close_sandbox(state, sandbox_of("d1"))
    found = resolver(state, "c")
    assert found and found.links == ()


@pytest.mark.parametrize("network", ["bridge", "n"])
def test_links_open_ports_only_where_containers_may_not_talk(network: str) -> None:
    for icc in (True, False):
        facts = replace(FACTS, icc=icc)
        options = {"com.docker.network.bridge.enable_icc": str(icc).lower()}
        state, _ = create(fresh(facts), "n", options=options)
        state, _ = join(open_container(state, "db", PortSpec(81, "udp"), exposed=((80, "tcp"),)), "db", network)
        links = (("db", number("db")),)
        state, _ = join(
            open_container(state, "c", host_links=links if network == "bridge" else ()), "c", network, links=links if network == "n" else ()
        )
        found = wanted(state, facts, sandboxes=[sandbox_of("c")])
        base = "172.17.0" if network == "bridge" else "172.18.0"
        opened = {(e.family, *e.fields) for e in found if isinstance(e, Element) and e.set == "links4"}
        pairs = {(f"{base}.3", f"{base}.2", "tcp", "80"), (f"{base}.3", f"{base}.2", "udp", "81")}
        assert opened == (set() if icc else {(family, *pair) for family in ("inet", "bridge") for pair in pairs})


def test_words_of_links() -> None:
    known = {"db": "1", "web": "2"}
    assert resolve_links(("db", "web:www", "/db:/client/alias"), known.__getitem__) == (("db", "1"), ("www", "2"), ("alias", "1"))
    for word, message in (("", "empty string specified for links"), ("a:b:c", "bad format for links: a:b:c")):
        with pytest.raises(Invalid, match=message):
            resolve_links((word,), known.__getitem__)


def test_the_host_is_known_by_name_where_it_has_an_address() -> None:
    state, network = create(fresh(), "app", "10.0.0.0/24")
    named = [i for i in wanted(state, FACTS, networks=[network.id]) if isinstance(i, Names)]
    assert [(n.names, [str(a) for a in n.addresses]) for n in named] == [(("host.docker.internal", "host.sanbashi.internal"), ["10.0.0.1"])]
    told = replace(FACTS, host_gateways=(ip_address("192.0.2.7"),))
    assert [str(a) for n in wanted(state, told, networks=[network.id]) if isinstance(n, Names) for a in n.addresses] == ["192.0.2.7"]
    modes = dict.fromkeys(("com.docker.network.bridge.gateway_mode_ipv4",), "isolated")
    state, isolated = create(fresh(), "iso", "10.0.0.0/24", internal=True, options=modes)
    assert not any(isinstance(i, Names) for i in wanted(state, FACTS, networks=[isolated.id]))


def test_the_host_sees_the_default_network_too_where_it_asks_for_names() -> None:
    facts = replace(FACTS, host_resolver=(ip_address("127.0.0.83"), 53))
    state, _ = create(run(fresh(), "plain", "bridge"), "n")
    state = run(state, "c", "n")
    more = {i for i in everything(state, facts) if i not in everything(state, FACTS).items}
    assert more == {
        HostResolver(ip_address("127.0.0.83"), 53),
        Zone(number("bridge"), "bridge"),
        Names(number("bridge"), number("plain bridge"), ("plain", number("plain")[:12]), (ip_address("172.17.0.2"),)),
    }
    alone = wanted(state, facts, sandboxes=[sandbox_of("plain")])
    assert not [i for i in alone if isinstance(i, HostResolver)], "it belongs to no container"
    assert resolver(state, "plain") is None, "containers on the default network still have no names for each other"
