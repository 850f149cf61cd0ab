"""What is said of published ports that come to nothing."""

from __future__ import annotations

import pytest

from sanbashi.containers.model import HostPort
from sanbashi.network.model import Network
from sanbashi.network.ports import parse_bindings
from sanbashi.network.unpublished import discarded

BINDING = "com.docker.network.bridge.host_binding_ipv4"
BOTH = Network(id="b", name="both", driver="bridge", created="", enable_ipv6=True)
FOUR = Network(id="4", name="four", driver="bridge", created="")
SIX = Network(id="6", name="six", driver="bridge", created="", enable_ipv4=False, enable_ipv6=True)
BOUND = Network(id="h", name="bound", driver="bridge", created="", enable_ipv4=False, enable_ipv6=True, options={BINDING: "127.0.0.1"})
INSIDE = Network(id="i", name="inside", driver="bridge", created="", internal=True)
INBOUND = Network(id="o", name="inbound", driver="bridge", created="", internal=True, options={"io.sanbashi.inbound": "true"})
LAN = Network(id="m", name="lan", driver="macvlan", created="")
NONE = Network(id="n", name="none", driver="null", created="")


def said(*networks: Network, host_ip: str = "", host_port: str = "8080") -> list[str]:
    return list(discarded(networks, parse_bindings({"80/tcp": [HostPort(host_ip=host_ip, host_port=host_port)]})))


@pytest.mark.parametrize("host_ip", ["127.0.0.1", "0.0.0.0", "198.51.100.2"])
def test_an_ipv4_address_where_there_is_no_ipv4(host_ip: str) -> None:
    assert said(SIX, host_ip=host_ip) == [f"Published port {host_ip}:8080->80/tcp is discarded: there is no IPv4 on six"]
    assert said(FOUR, host_ip=host_ip) == said(BOTH, host_ip=host_ip) == said(SIX, FOUR, host_ip=host_ip) == []


@pytest.mark.parametrize("host_ip", ["", "::1", "::"])
def test_ipv6_and_any_address_are_served_everywhere(host_ip: str) -> None:
    assert [said(network, host_ip=host_ip) for network in (FOUR, SIX, BOTH, INBOUND)] == [[], [], [], []]


def test_ports_that_follow_each_other_are_named_as_a_range() -> None:
    words = {f"{80 + n}/tcp": [HostPort(host_ip="127.0.0.1", host_port=str(8000 + n))] for n in range(3)}
    assert list(discarded([SIX], parse_bindings(words))) == ["Published port 127.0.0.1:8000-8002->80-82/tcp is discarded: there is no IPv4 on six"]


def test_a_networks_own_host_address_counts() -> None:
    assert said(BOUND, host_port="8000-8003") == ["Published port 8000-8003->80/tcp is discarded: there is no IPv4 on bound"]
    assert said(BOUND, host_ip="::1") == []


def test_networks_that_publish_nothing() -> None:
    assert said(INSIDE) == ["Published ports are discarded: network inside is internal"]
    assert said(NONE) == ["Published ports are discarded: the network mode is none"]
    assert said(INSIDE, LAN) == [
        "Published ports are discarded: network inside is internal, containers on lan (macvlan) are reached at their own addresses"
    ]
    assert said(INSIDE, FOUR) == list(discarded([INSIDE], ())) == list(discarded([], parse_bindings({"80": None}))) == []
