"""A host whose bridged packets pass the IP hooks (Kubernetes, another Docker): there clients on ::1 are lent an address for what is published."""

from __future__ import annotations

import sys

import pytest
from tests.harness import Engine, Machine, sanbashi_cli
from tests.kernel.test_drift import until

pytestmark = pytest.mark.root
# A connection whose next line is on its way in the very moment in which the rules are gone, ten times.
TALK = """import socket, subprocess
with socket.create_connection(("::1", 8082), timeout=30) as talk:
    for number in range(10):
        subprocess.run(["nft", "flush ruleset"], check=True)
        talk.sendall(b"%d\\n" % number)
        assert talk.recv(100) == b"%d\\n" % number
"""
FILTERS = "net.bridge.bridge-nf-call-iptables={0} net.bridge.bridge-nf-call-ip6tables={0}"


def filtered(where: Machine, value: int) -> None:
    where.run(f"sysctl -qw {FILTERS.format(value)}")


def web(on: Engine) -> None:
    if not on.machine.path("/proc/sys/net/bridge").exists():
        pytest.skip("br_netfilter is not loaded")
    on.cli("network", "create", "--ipv6", "six", program=sanbashi_cli())
    serve = ("busybox", "sh", "-c", "echo It works! > /var/www/index.html; exec httpd -f -h /var/www")
    on.cli("run", "-d", "--name", "web", "--network", "six", "-p", "8080:80", "-p", "[::1]:8081:80", *serve, program=sanbashi_cli())


def check_ports(where: Machine, when: str) -> None:
    for url in ("http://[::1]:8080/", "http://[::1]:8081/", "http://127.0.0.1:8080/", "http://[2001:db8:51::2]:8080/"):
        said = where.run(["curl", "-sg", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", "--max-time", "30", url], check=False)
        assert "It works!" in said.stdout, f"{when}: {url}: {said}"
    assert "It works!" in where.outside.run(["curl", "-sg", "--max-time", "10", "http://[2001:db8:51::2]:8080/"], check=False).stdout


def test_ports_on_own_address_follow_the_setting_with_the_next_daemon(clean: Engine, where: Machine) -> None:
    web(clean)
    try:
        for value in (0, 1, 0):
            filtered(where, value)
            clean.end()
            clean.start()
            check_ports(where, f"bridge-nf-call {value}")
    finally:
        filtered(where, 0)


def test_ports_on_own_address_follow_the_setting(clean: Engine, where: Machine) -> None:
    """As it is written, without a request; containers keep their links, and so what is connected to them."""
    web(clean)
    link = clean.cli("exec", "web", "cat", "/sys/class/net/eth0/iflink").stdout
    try:
        for value in (1, 0):
            filtered(where, value)
            until(lambda v=value: where.run("cat /sys/class/net/br-*/brif/*/hairpin_mode").stdout == f"{v}\n")  # type: ignore[misc]
            check_ports(where, f"bridge-nf-call {value}")
        assert clean.cli("exec", "web", "cat", "/sys/class/net/eth0/iflink").stdout == link
    finally:
        filtered(where, 0)


def test_a_connection_on_own_address_outlives_flushes(clean: Engine, where: Machine) -> None:
    if not clean.machine.path("/proc/sys/net/bridge").exists():
        pytest.skip("br_netfilter is not loaded")
    if "no guard" in clean.tail(200):
        pytest.skip("a kernel without tables of an owner")
    clean.cli("network", "create", "--ipv6", "six", program=sanbashi_cli())
    clean.cli("run", "-d", "--name", "echo", "--network", "six", "-p", "8082:81", "busybox", "nc", "-ll", "-p", "81", "-e", "cat")
    try:
        filtered(where, 1)
        until(lambda: "8082" in where.run("nft list set inet sanbashi lent6").stdout)
        where.run([sys.executable, "-c", TALK], timeout=120)
    finally:
        filtered(where, 0)
