"""Published ports that change: the words, and what they make of HostConfig."""

from __future__ import annotations

import pytest

from sanbashi.containers.model import Config, Container, HostConfig, HostPort
from sanbashi.containers.publication import change_ports, parse_publication
from sanbashi.errors import Invalid, NotFound


@pytest.mark.parametrize(
    ("word", "port", "address", "host"),
    [
        ("80", "80/tcp", "", ""),
        ("8080:80", "80/tcp", "", "8080"),
        ("8080-8090:80/udp", "80/udp", "", "8080-8090"),
        ("127.0.0.1:8080:80/TCP", "80/tcp", "127.0.0.1", "8080"),
        ("127.0.0.1::80", "80/tcp", "127.0.0.1", ""),
        ("[::1]:8080:80", "80/tcp", "::1", "8080"),
    ],
)
def test_words(word: str, port: str, address: str, host: str) -> None:
    assert parse_publication(word) == ((port, HostPort(host_ip=address, host_port=host)),)


def test_ranges_go_side_by_side() -> None:
    assert [(p, b.host_port) for p, b in parse_publication("9000-9002:80-82")] == [("80/tcp", "9000"), ("81/tcp", "9001"), ("82/tcp", "9002")]
    assert [p for p, _ in parse_publication("80-81/udp")] == ["80/udp", "81/udp"]


@pytest.mark.parametrize("word", ["", "web", "0:0", "70000", "80/icmp", "8080:", "1-2:80-85", "-5:80", "1.2.3.4:8080", "90-80"])
def test_refusals(word: str) -> None:
    with pytest.raises(Invalid, match="invalid port specification"):
        parse_publication(word)


def container(*, every: bool = False, **bindings: tuple[HostPort, ...]) -> Container:
    ports = {f"{port[1:]}/tcp": found for port, found in bindings.items()}
    host = HostConfig(port_bindings=ports, publish_all_ports=every)
    return Container(id="c", name="web", created="", config=Config(exposed_ports={"80/tcp": {}, "81/tcp": {}}), host_config=host, image_id="")


def test_publishing_adds_and_exposes() -> None:
    after = change_ports(container(p80=(HostPort(host_port="8080"),)), ["8090:80", "53/udp"], [], {})
    assert after.host_config.port_bindings == {"80/tcp": (HostPort(host_port="8080"), HostPort(host_port="8090")), "53/udp": (HostPort(),)}
    assert set(after.config.exposed_ports or ()) == {"80/tcp", "81/tcp", "53/udp"}


def test_unpublishing_takes_what_is_meant() -> None:
    web = container(p80=(HostPort(host_port="8080"), HostPort(host_ip="127.0.0.1", host_port="8081")), p81=(HostPort(),))
    local = HostPort(host_ip="127.0.0.1", host_port="8081")
    assert change_ports(web, [], ["8080:80"], {}).host_config.port_bindings == {"80/tcp": (local,), "81/tcp": (HostPort(),)}
    assert change_ports(web, [], ["80"], {}).host_config.port_bindings == {"81/tcp": (HostPort(),)}
    by_number = change_ports(web, [], ["32768:81"], {"81/tcp": [("0.0.0.0", 32768)]})
    assert set(by_number.host_config.port_bindings or ()) == {"80/tcp"}
    for word in ("9999:80", "82", "127.0.0.1:8080:80"):
        with pytest.raises(NotFound, match="is not published"):
            change_ports(web, [], [word], {})


def test_one_of_all_that_were_published_with_capital_p() -> None:
    after = change_ports(container(every=True), [], ["80"], {}).host_config
    assert (after.publish_all_ports, after.port_bindings) == (False, {"81/tcp": (HostPort(),)})
