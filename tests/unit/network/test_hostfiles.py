"""The files' bytes, against the recordings."""

import json
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from sanbashi.network import commands
from sanbashi.network.hostfiles import HEADER, hosts_of, parse_resolv_conf, resolv_conf_of
from sanbashi.network.model import NetworkState

from .world import create, fresh, join, number, open_container, run, sandbox_of

RECORDINGS = Path(__file__).parents[2] / "conformance"
HOST = "nameserver 192.0.2.53\n"


def recorded(command: str) -> str:
    """What a command printed."""
    for name in ("tutorial.jsonl", "network.jsonl"):
        for line in (RECORDINGS / name).read_text().splitlines():
            record = json.loads(line)
            if record["command"] == command:
                return str(record["stdout"])
    raise LookupError(command)


def files(state: NetworkState, container: str, host: str = HOST) -> str:
    sandbox = state.sandboxes[sandbox_of(container)]
    return resolv_conf_of(state, sandbox, host) + hosts_of(state, sandbox)


def as_recorded(text: str, hostname: str) -> str:
    """A recording with the container's name replaced by ours, and the addresses of ours."""
    *rest, last = text.splitlines(keepends=True)
    return "".join(rest) + last.split("\t")[0] + f"\t{hostname}\n"


def test_the_default_bridge_as_recorded() -> None:
    want = as_recorded(recorded("docker run --rm ubuntu cat /etc/resolv.conf /etc/hosts"), number("c")[:12])
    state = run(run(run(fresh(), "a", "bridge"), "b", "bridge"), "c", "bridge")
    assert files(state, "c") == want


def test_a_network_with_names_as_recorded() -> None:
    want = as_recorded(recorded("docker run --rm --net mydockernet ubuntu cat /etc/resolv.conf /etc/hosts"), number("c")[:12])
    state, _ = create(fresh(), "mydockernet", "172.20.0.0/16")
    state = run(run(run(state, "a", "mydockernet"), "b", "mydockernet"), "c", "mydockernet")
    assert files(state, "c") == want


@pytest.mark.parametrize(
    ("hostname", "domainname", "names"),
    [("h1", "", "h1"), ("h1", "ex.org", "h1.ex.org h1"), ("h1.ex.org", "", "h1.ex.org h1"), ("h1.ex", "org", "h1.ex.org h1")],
)
def test_a_full_name_may_be_given_as_the_hostname(hostname: str, domainname: str, names: str) -> None:
    state = run(fresh(), "c", "bridge")
    sandbox = replace(state.sandboxes[sandbox_of("c")], hostname=hostname, domainname=domainname)
    assert hosts_of(state, sandbox).splitlines()[-1] == f"172.17.0.2\t{names}"


def test_none_as_recorded() -> None:
    state, _ = join(open_container(fresh(), "c", mode="none"), "c", "none")
    assert files(state, "c") == recorded("docker run --rm --net none ubuntu cat /etc/resolv.conf /etc/hosts")


@pytest.mark.parametrize("net", ["dn", "bridge"])
def test_servers_of_the_users_as_recorded(net: str) -> None:
    flags = "--dns 1.2.3.4 --dns-search corp.example --dns-option timeout:1"
    command = f"docker run --rm {'--net dn ' if net == 'dn' else ''}{flags} busybox cat /etc/resolv.conf"
    state, _ = create(fresh(), "dn")
    state = open_container(state, "c", dns=("1.2.3.4",), dns_search=("corp.example",), dns_options=("timeout:1",))
    state, _ = join(state, "c", net)
    assert resolv_conf_of(state, state.sandboxes[sandbox_of("c")], HOST) == recorded(command)


def test_extra_hosts_and_a_domain_as_recorded() -> None:
    flags = "--add-host foo:1.2.3.4 --add-host bar:host-gateway --hostname hn --domainname dom.example"
    command = f"docker run --rm {flags} busybox sh -c 'cat /etc/hosts; hostname; cat /etc/hostname'"
    state = open_container(fresh(), "c", domainname="dom.example", extra_hosts=(("foo", "1.2.3.4"), ("bar", "172.17.0.1")))
    sandbox = state.sandboxes[sandbox_of("c")]
    state = commands.open_sandbox(state, replace(sandbox, hostname="hn"))
    state, _ = join(state, "c", "bridge")
    text = hosts_of(state, state.sandboxes[sandbox_of("c")])
    assert text + "hn\n" + "hn\n" == recorded(command)


def test_links_on_the_default_bridge_as_recorded() -> None:
    state = run(fresh(), "db", "bridge")
    state, _ = join(open_container(state, "c", host_links=(("database", number("db")),)), "c", "bridge")
    want = (
        recorded("docker run --rm --link db:database busybox cat /etc/hosts")
        .replace("982947b0c62d", "dbhost")
        .replace("f4107e1f9fe3", number("c")[:12])
    )
    assert hosts_of(state, state.sandboxes[sandbox_of("c")], named={number("db"): ("dbhost", "db")}) == want
    same = hosts_of(state, state.sandboxes[sandbox_of("c")], named={number("db"): ("dbhost", "database")})
    assert "172.17.0.2\tdatabase dbhost\n" in same
    gone = commands.close_sandbox(state, sandbox_of("db"))
    assert "database" not in hosts_of(gone, gone.sandboxes[sandbox_of("c")])


def test_two_families_and_a_container_without_ipv6() -> None:
    state, _ = create(fresh(), "n", enable_ipv6=True)
    state = run(state, "c", "n")
    sandbox = state.sandboxes[sandbox_of("c")]
    assert hosts_of(state, sandbox).endswith(f"172.18.0.2\t{sandbox.hostname}\nfd9c:f72:1cca::2\t{sandbox.hostname}\n")
    assert hosts_of(state, sandbox, ipv6=False).startswith("127.0.0.1\tlocalhost\n172.18.0.2\t")


def test_servers_that_cannot_be_reached_from_a_namespace() -> None:
    state = run(fresh(), "c", "bridge")
    sandbox = state.sandboxes[sandbox_of("c")]
    host = "# ours\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver nonsense\nsearch a b\ndomain c\n"
    host += "options edns0\noptions trust-ad\nsortlist 1.2.3.4\n"
    assert resolv_conf_of(state, sandbox, host) == (
        HEADER + "nameserver 8.8.8.8\nnameserver 8.8.4.4\nsearch c\noptions edns0 trust-ad\nsortlist 1.2.3.4\n\n"
        "# Based on host file: '/etc/resolv.conf' (legacy)\n# Used default nameservers.\n"
        "# Invalid nameservers: [nameserver nonsense]\n# Overrides: []\n"
    )
    state, _ = create(state, "n")
    state, _ = join(state, "c", "n")
    assert resolv_conf_of(state, sandbox, "search .\noptions ndots:5\n", source="/run/systemd/resolve/resolv.conf") == (
        HEADER + "nameserver 127.0.0.11\nsearch .\noptions ndots:5\n\n"
        "# Based on host file: '/run/systemd/resolve/resolv.conf' (internal resolver)\n# NO EXTERNAL NAMESERVERS DEFINED\n"
        "# Overrides: []\n# Option ndots from: host\n"
    )


def test_ndots_of_the_users() -> None:
    state, _ = create(fresh(), "n")
    state, _ = join(open_container(state, "c", dns_options=("ndots:2",), dns_search=(".",)), "c", "n")
    text = resolv_conf_of(state, state.sandboxes[sandbox_of("c")], HOST + "search example.com\n")
    assert "search" not in text.split("# Based on")[0]
    assert text.endswith("# ExtServers: [host(192.0.2.53)]\n# Overrides: [search options]\n# Option ndots from: override\n")
    assert parse_resolv_conf("options ndots:5").has_ndots


def test_the_note_names_a_networks_own_servers() -> None:
    state, _ = create(fresh(), "n", options={"io.sanbashi.dns": "192.0.2.9,2001:db8::9"})
    state = run(state, "c", "n")
    assert "\n# ExtServers: [192.0.2.9 2001:db8::9]\n# Overrides: []\n" in files(state, "c")
    state = run(state, "d", "n")
    sandbox = replace(state.sandboxes[sandbox_of("d")], dns=("192.0.2.7",))
    assert "\n# ExtServers: [192.0.2.7]\n# Overrides: [nameservers]\n" in resolv_conf_of(
        replace(state, sandboxes=state.sandboxes.set(sandbox.id, sandbox)), sandbox, HOST
    )


def test_a_sandbox_whose_ipv6_was_taken_away_has_no_address_of_it() -> None:
    """Nor an interface with the sysctl that takes it from that one alone."""
    state, _ = create(fresh(), "both", enable_ipv6=True)
    off = {"com.docker.network.endpoint.sysctls": "net.ipv6.conf.ifname.disable_ipv6=1"}
    for name, fields, wish in (("c", {"ipv6": False}, {}), ("d", {}, {"driver_options": off}), ("e", {}, {})):
        state = open_container(state, name, **fields)
        state, endpoint = join(state, name, "both", link_local=(ip_address("fe80::7"), ip_address("169.254.0.7")), **wish)
        assert endpoint.ipv4 is not None
        assert [(endpoint.ipv6 is not None), [a.version for a in endpoint.link_local]] == ([True, [6, 4]] if name == "e" else [False, [4]])
