"""What of networks shows only with a daemon and clients together: wishes that outlive networks, events, ports that are not translated."""

from __future__ import annotations

import json

import pytest
from tests.harness import Engine, engine, machine, registry, sanbashi_cli

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
SLEEP = ("busybox", "sleep", "1000")


@pytest.fixture(params=["docker", "sanbashi"])
def program(request: pytest.FixtureRequest) -> str:
    return "docker" if request.param == "docker" else sanbashi_cli()


def networks_of(engine: Engine, container: str) -> dict[str, dict[str, object]]:
    return engine.call("GET", f"/containers/{container}/json")[1]["NetworkSettings"]["Networks"]


def test_a_wish_for_a_network_that_is_gone_can_be_taken_back(clean: Engine) -> None:
    clean.cli("network", "create", "gone")
    clean.cli("run", "-d", "--name", "web", "--network", "gone", *SLEEP)
    clean.cli("stop", "-t0", "web")
    clean.cli("network", "rm", "gone")
    refused = clean.cli("start", "web", check=False)
    assert refused.stderr.splitlines()[0] == "Error response from daemon: failed to set up container networking: network gone not found"
    assert list(networks_of(clean, "web")) == ["gone"]  # a failed start leaves the wishes as they were
    clean.cli("network", "disconnect", "gone", "web")
    again = clean.cli("network", "disconnect", "gone", "web", check=False)
    identity = clean.call("GET", "/containers/web/json")[1]["Id"]
    assert again.stderr.splitlines()[0] == f"Error response from daemon: container {identity} is not connected to the network gone"
    clean.cli("network", "connect", "bridge", "web")
    clean.cli("start", "web")
    assert list(networks_of(clean, "web")) == ["bridge"]


@pytest.mark.parametrize("way", ["flags", "connect"])
def test_interfaces_are_in_the_order_of_the_request(clean: Engine, program: str, way: str) -> None:
    """Not in that of the names or the subnets; and so again after a stop, with the same addresses."""
    for network in ("alpha", "middle", "zeta"):
        clean.cli("network", "create", network)
    if way == "flags":
        clean.cli("create", "--name", "web", "--network", "zeta", "--network", "alpha", "--network", "middle", *SLEEP, program=program)
    else:
        clean.cli("create", "--name", "web", "--network", "zeta", *SLEEP, program=program)
        for network in ("alpha", "middle"):
            clean.cli("network", "connect", network, "web", program=program)

    def interfaces() -> list[tuple[str, str]]:
        rows = [line.split() for line in clean.cli("exec", "web", "ip", "-o", "-4", "addr").stdout.splitlines()]
        return sorted((row[1], row[3].partition("/")[0]) for row in rows if row[1] != "lo")

    clean.cli("start", "web")
    found = networks_of(clean, "web")
    assert interfaces() == [(f"eth{n}", found[name]["IPAddress"]) for n, name in enumerate(("zeta", "alpha", "middle"))]
    before = interfaces()
    clean.cli("stop", "-t0", "web")
    clean.cli("start", "web")
    assert interfaces() == before


def test_a_failed_start_leaves_the_wishes_as_they_were(clean: Engine) -> None:
    """moby 51758: a port that is taken at the start. All stays wished, nothing of the attempt is left, the next start has all."""
    clean.cli("network", "create", "--subnet", "10.77.0.0/24", "one")
    clean.cli("network", "create", "two")
    clean.cli("run", "-d", "--name", "holder", "-p", "8080:80", *SLEEP)
    clean.cli("create", "--name", "web", "--network", "one", "--ip", "10.77.0.9", "--network-alias", "bee", "-p", "8080:80", *SLEEP)
    clean.cli("network", "connect", "--alias", "cee", "two", "web")
    before, standing = networks_of(clean, "web"), clean.machine.traces()
    refused = clean.cli("start", "web", check=False)
    assert refused.exit == 1 and "Bind for 0.0.0.0:8080 failed: port is already allocated" in refused.stderr
    assert networks_of(clean, "web") == before and list(before) == ["one", "two"]
    assert not clean.machine.stays(standing)
    clean.cli("rm", "-f", "holder")
    clean.cli("start", "web")
    after = networks_of(clean, "web")
    assert after["one"]["IPAddress"] == "10.77.0.9" and (after["one"]["Aliases"], after["two"]["Aliases"]) == (["bee"], ["cee"])
    assert clean.cli("port", "web").stdout.startswith("80/tcp -> 0.0.0.0:8080")


def test_who_joins_again_gets_the_lowest_address_and_who_stops_keeps_theirs(clean: Engine) -> None:
    clean.cli("network", "create", "--subnet", "10.77.0.0/24", "net")
    clean.cli("run", "-d", "--name", "first", "--network", "net", *SLEEP)
    clean.cli("run", "-d", "--name", "web", "--network", "net", *SLEEP)
    clean.cli("rm", "-f", "first")
    clean.cli("stop", "-t0", "web")
    clean.cli("start", "web")
    assert networks_of(clean, "web")["net"]["IPAddress"] == "10.77.0.3"
    clean.cli("stop", "-t0", "web")
    clean.cli("network", "disconnect", "net", "web")
    clean.cli("network", "connect", "net", "web")
    clean.cli("start", "web")
    assert networks_of(clean, "web")["net"]["IPAddress"] == "10.77.0.2"


def test_events_of_networks_are_those_of_running_containers(clean: Engine) -> None:
    _, before = clean.call("GET", "/info")
    for words in (
        "network create one",
        "network create --config-only kept",
        "create --name web --network one busybox sleep 1000",
        "network connect bridge web",
        "network disconnect bridge web",
        "start web",
        "network connect bridge web",
        "stop -t0 web",
        "network disconnect bridge web",
        "rm web",
        "network rm one kept",
    ):
        clean.cli(*words.split())
    filters = json.dumps({"type": ["network"]}).replace('"', "%22").replace(" ", "")
    since, until = before["SystemTime"], clean.call("GET", "/info")[1]["SystemTime"]
    _, text = clean.call("GET", f"/events?since={since}&until={until}&filters={filters}")
    events = [json.loads(line) for line in text.splitlines()]
    assert [(e["Action"], e["Actor"]["Attributes"]["name"]) for e in events] == [
        ("create", "one"), ("create", "kept"), ("connect", "one"), ("connect", "bridge"),
        ("disconnect", "one"), ("disconnect", "bridge"), ("destroy", "one"),
    ]  # fmt: skip


def test_ports_of_a_routed_network_have_none_on_the_host(clean: Engine, program: str) -> None:
    routed = [word for family in ("ipv4", "ipv6") for word in ("-o", f"com.docker.network.bridge.gateway_mode_{family}=routed")]
    clean.cli("network", "create", "--ipv6", *routed, "routed")
    clean.cli("run", "-d", "--name", "web", "--network", "routed", "-p", "80", "-p", "8081:81", "--expose", "90", *SLEEP)
    assert clean.cli("port", "web", program=program).stdout.splitlines() == [
        "80/tcp -> 0.0.0.0:", "80/tcp -> [::]:", "81/tcp -> 0.0.0.0:", "81/tcp -> [::]:",
    ]  # fmt: skip
    assert clean.cli("ps", "--format", "{{.Ports}}", program=program).stdout == "90/tcp\n"
    _, (row,) = clean.call("GET", "/containers/json")
    assert row["Ports"] == [{"PrivatePort": 90, "Type": "tcp"}]


def test_settings_of_an_interface_by_the_long_form_of_network(clean: Engine, program: str) -> None:
    """The docker CLI writes the whole word in small letters, IFNAME too."""
    clean.cli("network", "create", "net")
    option = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1"
    path = "/proc/sys/net/ipv4/conf/eth0/log_martians"
    done = clean.cli("run", "--rm", "--network", f"name=net,driver-opt={option}", "busybox", "cat", path, program=program)
    assert done.stdout == "1\n"
    refused = clean.cli(
        "run", "--rm", "--network", "net", "--sysctl", "net.ipv4.conf.eth0.log_martians=1", "busybox", "true", program=program, check=False
    )
    assert refused.exit == 125
    assert 'interface specific sysctl setting "net.ipv4.conf.eth0.log_martians" must be supplied using driver option' in refused.stderr


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_low_ports_and_ping_are_everybodys_in_a_namespace_of_ones_own(clean: Engine, runtime: str) -> None:
    """As Docker has it, by whoever sets it: a wish of one's own counts instead, and with --userns=host the kernel's own holds."""
    names = ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "/proc/sys/net/ipv4/ping_group_range")

    def told(*options: str) -> list[str]:
        return clean.cli("run", "--rm", "--runtime", runtime, *options, "busybox", "cat", *names).stdout.split()

    assert told() == told("--network", "none") == ["0", "0", "2147483647"]
    assert told("--sysctl", "net.ipv4.ip_unprivileged_port_start=80") == ["80", "0", "2147483647"]
    assert told("--userns", "host") == ["1024", "1", "0"]
    clean.cli("run", "-d", "--name", "web", "--sysctl", "net.ipv4.ping_group_range=5 7", *SLEEP)
    assert told("--network", "container:web") == ["0", "5", "7"], "who joins changes nothing"


def test_one_more_address_of_any_kind(clean: Engine) -> None:
    clean.cli("network", "create", "net")
    clean.cli("run", "-d", "--name", "web", "--network", "net", "--link-local-ip", "169.254.8.8", "--link-local-ip", "10.44.0.1", *SLEEP)
    addresses = clean.cli("exec", "web", "ip", "-4", "-o", "addr", "show", "eth0").stdout
    assert "169.254.8.8/16" in addresses and "10.44.0.1/16" in addresses


def test_routes_of_a_networks_own_lead_through_a_container_on_it(clean: Engine) -> None:
    """The container that they lead through starts as well, and nobody is given its address unasked."""
    subnets = ("--ipv6", "--subnet", "10.5.0.0/24", "--subnet", "fd05::/64")
    routes = ("--route", "10.9.0.0/16=10.5.0.2", "--route", "fd09::/48=fd05::2", "--no-default-route")
    clean.cli("network", "create", *subnets, *routes, "net", program=sanbashi_cli())
    clean.cli("run", "-d", "--name", "web", "--network", "net", *SLEEP)
    assert (networks_of(clean, "web")["net"]["IPAddress"], networks_of(clean, "web")["net"]["GlobalIPv6Address"]) == ("10.5.0.3", "fd05::3")
    # A router sends from addresses that are not his own, which takes the endpoint's option.
    place = "name=net,ip=10.5.0.2,ip6=fd05::2,driver-opt=io.sanbashi.anti_spoofing=false"
    clean.cli("run", "-d", "--name", "router", "--network", place, "--cap-add", "NET_ADMIN", *SLEEP, program=sanbashi_cli())
    clean.cli("exec", "router", "sh", "-c", "ip addr add 10.9.0.7/32 dev lo; ip -6 addr add fd09::7/128 dev lo")
    for address in ("10.9.0.7", "fd09::7"):
        clean.cli("exec", "web", "ping", "-c", "1", "-W", "5", address)
    assert "default" not in clean.cli("exec", "web", "sh", "-c", "ip route; ip -6 route").stdout
    assert "10.9." not in clean.cli("exec", "router", "ip", "route").stdout


def test_two_networks_of_one_lan(clean: Engine) -> None:
    """A range each, one gateway, no address twice; what one gives out counts in the other's status."""
    for name, part in (("low", "10.6.0.64/26"), ("high", "10.6.0.128/26")):
        of_lan = ("-d", "macvlan", "-o", "parent=eth0", "--subnet", "10.6.0.0/24", "--gateway", "10.6.0.1", "--ip-range", part)
        clean.cli("network", "create", *of_lan, name)
        clean.cli("run", "-d", "--name", f"in-{name}", "--network", name, *SLEEP)
    clean.cli("exec", "in-low", "ping", "-c", "1", "-W", "5", "10.6.0.128")
    refused = clean.cli("run", "--rm", "--network", "high", "--ip", "10.6.0.64", *SLEEP, check=False)
    assert (refused.exit, "Address already in use" in refused.stderr) == (125, True)
    status = [clean.call("GET", f"/v1.52/networks/{name}")[1]["Status"]["IPAM"]["Subnets"]["10.6.0.0/24"] for name in ("low", "high")]
    assert status == [{"IPsInUse": 5, "DynamicIPsAvailable": 63}] * 2


def test_a_name_that_another_kind_of_link_has_leaves_nothing(clean: Engine) -> None:
    refused = clean.cli("network", "create", "-o", "com.docker.network.bridge.name=eth0", "small", check=False)
    assert (refused.exit, refused.stderr.splitlines()[0]) == (1, "Error response from daemon: existing interface eth0 is not a bridge")
    assert sorted(n["Name"] for n in clean.call("GET", "/networks")[1]) == ["bridge", "host", "none"]


def test_an_mtu_too_small_for_ipv6(clean: Engine) -> None:
    """Below 1280 Linux takes a link's IPv6 away, its settings too: such a network has IPv4 alone."""
    small = ("-o", "com.docker.network.driver.mtu=1000")
    refused = clean.cli("network", "create", "--ipv6", *small, "both", check=False)
    assert refused.stderr.splitlines()[0] == "Error response from daemon: invalid MTU number: 1000"
    clean.cli("network", "create", *small, "net")
    clean.cli("run", "-d", "--name", "web", "--network", "net", *SLEEP)
    script = "cat /sys/class/net/eth0/mtu; ping -c 1 -W 5 web > /dev/null && echo answered"
    assert clean.cli("run", "--rm", "--network", "net", "busybox", "sh", "-c", script).stdout.split() == ["1000", "answered"]
    identity = clean.call("GET", "/networks/net")[1]["Id"]
    for change, mtu in (("1400", "1400"), ("900", "900")):
        clean.cli("network", "update", "-o", f"com.docker.network.driver.mtu={change}", "net", program=sanbashi_cli())
        assert clean.shell(f"cat /sys/class/net/br-{identity[:12]}/mtu").stdout.strip() == mtu
        assert clean.cli("exec", "web", "cat", "/sys/class/net/eth0/mtu").stdout.strip() == mtu


def test_containers_of_a_network_by_its_name_its_id_and_the_beginning_of_that(clean: Engine) -> None:
    clean.cli("network", "create", "net")
    clean.cli("run", "-d", "--name", "web", "--network", "net", *SLEEP)
    identity = clean.call("GET", "/networks/net")[1]["Id"]
    for word in ("net", identity, identity[:12], identity[:4]):
        assert clean.cli("ps", "--filter", f"network={word}", "--format", "{{.Names}}").stdout == "web\n", word


def test_wishes_that_come_to_nothing_are_told_of(clean: Engine, program: str) -> None:
    """Docker drops a host's IPv4 address on a network without IPv4 in silence."""
    clean.cli("network", "create", "--ipv4=false", "--ipv6", "six")
    done = clean.cli("run", "-d", "--name", "web", "--network", "six", "-p", "127.0.0.1:8080:80", "-p", "8081:81", *SLEEP, program=program)
    assert done.stderr == "WARNING: Published port 127.0.0.1:8080->80/tcp is discarded: there is no IPv4 on six\n"
    assert clean.cli("port", "web").stdout == "81/tcp -> [::]:8081\n"
    option = clean.cli("create", "--network", "name=six,driver-opt=com.docker.network.endpoint.nosuch=1", "busybox", program=program)
    assert option.stderr == "WARNING: option com.docker.network.endpoint.nosuch is not known to endpoints and has no effect (network six)\n"
    clean.cli("network", "create", "--internal", "inside")
    done = clean.cli("run", "--rm", "--network", "inside", "-p", "8082:80", "busybox", "true", program=program)
    assert done.stderr == "WARNING: Published ports are discarded: network inside is internal\n"


def test_a_network_that_only_stopped_containers_wish_for_is_dangling(clean: Engine) -> None:
    """As `prune` sees it; and a configuration is never pruned."""
    for name in ("app", "other"):
        clean.cli("network", "create", name)
    clean.cli("network", "create", "--config-only", "kept")
    clean.cli("run", "-d", "--name", "web", "--network", "app", *SLEEP)
    clean.cli("create", "--name", "waits", "--network", "other", *SLEEP)
    ask = ("network", "ls", "--format", "{{.Name}}", "--filter")
    assert clean.cli(*ask, "dangling=true").stdout.split() == ["kept", "other"]
    assert clean.cli(*ask, "dangling=false").stdout.split() == ["app", "bridge", "host", "none"]
    assert clean.cli("network", "prune", "-f").stdout.splitlines()[:2] == ["Deleted Networks:", "other"]
    assert clean.cli(*ask, "type=custom").stdout.split() == ["app", "kept"]


def test_no_default_network() -> None:
    """--bridge=none: no docker0, no network bridge; who names no network runs with the loopback alone, and networks of one's own are as ever."""
    with machine() as where, registry(where) as url, engine(where, options=[f"--registry-mirror={url}"]) as made:
        made.pull("busybox")
        made.cli("create", "--name", "web", *SLEEP)
        made.end()
        made.options = (f"--registry-mirror={url}", "--bridge=none")
        made.start()
        assert made.cli("network", "ls", "--format", "{{.Name}}").stdout.split() == ["host", "none"]
        assert made.shell("ip link show docker0", check=False).exit == 1
        looks = ("busybox", "sh", "-c", "ip -o link | wc -l; cat /etc/hosts")
        done = made.cli("run", "--rm", *looks)
        assert done.stderr == "WARNING: There is no default network (--bridge=none): the container has no network but its own loopback\n"
        assert (done.stdout.split()[0], "172." in done.stdout) == ("1", False)

        def interfaces() -> int:
            return made.cli("exec", "web", "ip", "-o", "link").stdout.count("\n")

        made.cli("start", "web")
        assert interfaces() == 1
        made.cli("network", "create", "app")
        assert made.cli("run", "--rm", "--network", "app", *looks).stdout.split()[0] == "2"
        made.cli("network", "connect", "app", "web")
        assert interfaces() == 2
        refused = made.cli("network", "connect", "bridge", "web", check=False)
        assert refused.stderr.splitlines()[0] == "Error response from daemon: network bridge not found"
        made.cli("stop", "-t0", "web")
        made.end()
        made.options = made.options[:1]
        made.start()
        made.cli("start", "web")
        assert interfaces() == 3


def test_packets_with_the_mark_that_the_daemon_was_told_reach_what_is_not_published() -> None:
    """--bridge-accept-fwmark, as in Docker: on networks that let in at all, not on internal ones; and no longer once the setting is gone."""
    with machine() as where, registry(where) as url, engine(where, options=[f"--registry-mirror={url}", "--bridge-accept-fwmark=0x1/0x3"]) as made:
        made.pull("busybox")
        made.cli("network", "create", "--internal", "--subnet", "10.77.0.0/24", "inside")
        for network in ("bridge", "inside"):
            made.cli("run", "-d", "--name", f"on-{network}", "--network", network, *SLEEP)
        where.outside.run("ip route add 172.17.0.0/16 via 198.51.100.2; ip route add 10.77.0.0/24 via 198.51.100.2")

        def reached(address: str) -> bool:
            return where.outside.run(["ping", "-c", "1", "-W", "1", address], check=False).exit == 0

        open_, inside = made.address("on-bridge"), made.address("on-inside", "inside")
        chain = "add table inet mine; add chain inet mine early { type filter hook forward priority filter - 20; };"
        marks = f"{chain} add rule inet mine early meta mark set"
        for mark, passes in (("0x2", False), ("0x5", True)):
            where.run(["nft", "-f", "-"], given=f"{marks} {mark}\n")
            assert (reached(open_), reached(inside)) == (passes, False), mark
            where.run(["nft", "delete", "table", "inet", "mine"])
        assert not reached(open_)
        where.run(["nft", "-f", "-"], given=f"{marks} 0x1\n")
        made.end()
        made.options = (f"--registry-mirror={url}",)
        made.start()
        assert not reached(open_)


def test_a_container_whose_sysctls_take_ipv6_away_has_nothing_of_it(clean: Engine) -> None:
    """No address that nobody answers to, none in DNS, and no lines of IPv6 in its hosts; of one interface alone where the sysctl is that of one."""
    for name in ("one", "two"):
        clean.cli("network", "create", "--ipv6", name)
    off = ("--sysctl", "net.ipv6.conf.all.disable_ipv6=1")
    clean.cli("run", "-d", "--name", "without", "--network", "one", "--network", "two", *off, *SLEEP)
    option = "com.docker.network.endpoint.sysctls=net.ipv6.conf.IFNAME.disable_ipv6=1"
    clean.cli("run", "-d", "--name", "partly", "--network", f"name=one,driver-opt={option}", "--network", "two", *SLEEP)
    six = {c: [bool(networks_of(clean, c)[n]["GlobalIPv6Address"]) for n in ("one", "two")] for c in ("without", "partly")}
    assert six == {"without": [False, False], "partly": [False, True]}
    script = "cat /etc/hosts; ip -o -6 addr | wc -l; ip -o -4 addr | wc -l"
    said = clean.cli("exec", "without", "sh", "-c", script).stdout.splitlines()
    assert (said[0], [line for line in said if "ip6" in line or line.startswith("fd")], said[-2:]) == ("127.0.0.1\tlocalhost", [], ["0", "3"])
    assert "ip6-localhost" in clean.cli("exec", "partly", "cat", "/etc/hosts").stdout
    assert "Address: fd" not in clean.cli("exec", "partly", "nslookup", "without").stdout
