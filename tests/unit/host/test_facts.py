"""What follows from facts about the host."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface, ip_network

from sanbashi.host.facts import HostFacts, HostLink, port_list

FACTS = HostFacts(
    hostname="host",
    kernel="6.1.0",
    architecture="x86_64",
    system="Debian GNU/Linux 12 (bookworm)",
    processors=2,
    memory=1 << 30,
    machine_id="0123456789abcdef0123456789abcdef",
    boot_id="boot",
    links=(
        HostLink("eth0", "", "", (ip_interface("192.0.2.1/24"),)),
        HostLink("docker0", "bridge", "", (ip_interface("172.17.0.1/16"),)),
        HostLink("br-0123456789ab", "bridge", "sanbashi:0123456789ab", (ip_interface("172.18.0.1/16"),)),
    ),
    routes=((ip_network("192.0.2.0/24"), "eth0"), (ip_network("10.8.0.0/16"), "eth0"), (ip_network("172.18.0.0/16"), "br-0123456789ab")),
    on_link=((ip_network("192.0.2.0/24"), "eth0"),),
    resolv_conf="# by hand\nnameserver 198.51.100.53\nnameserver fe80::1%eth0\nnameserver nonsense\noptions ndots:2\n",
    ephemeral=(32768, 60999),
    reserved_ports=frozenset(),
    ipv6=True,
    forwarding4=True,
    forwarding6=True,
    br_netfilter=False,
    br_netfilter6=False,
    sctp=False,
    cgroup=2,
    cgroup_hybrid=False,
    seccomp=True,
    apparmor=False,
    engines=(("dockerd", 99),),
)


def test_a_chosen_subnet_avoids_routes_addresses_and_name_servers_but_not_ours() -> None:
    held = dict(FACTS.avoid)
    assert held[ip_network("10.8.0.0/16")] == "a route by eth0"
    assert held[ip_network("198.51.100.53/32")] == "the name server 198.51.100.53"
    assert ip_network("172.17.0.0/16") in held
    assert ip_network("172.18.0.0/16") not in held


def test_a_bridge_of_somebody_else_is_one_sentence() -> None:
    sentence = FACTS.held_bridge("docker0")
    assert "docker0 with 172.17.0.1/16 belongs to somebody else (Docker runs here as process 99)" in sentence
    assert "--bridge" in sentence
    assert "--bip" in sentence
    assert FACTS.held_bridge("br-0123456789ab") == ""
    assert FACTS.held_bridge("docker1") == ""
    assert "docker0" in FACTS.links_present
    assert "br-0123456789ab" not in FACTS.links_present


def test_the_ula_follows_from_the_machine() -> None:
    assert FACTS.ula.prefixlen == 48
    assert FACTS.ula.subnet_of(ip_network("fd00::/8"))
    assert FACTS.ula == replace(FACTS, hostname="other").ula
    assert FACTS.ula != replace(FACTS, machine_id="another").ula


def test_port_lists() -> None:
    assert list(port_list("80,8000-8002")) == [80, 8000, 8001, 8002]
    assert list(port_list("")) == []
