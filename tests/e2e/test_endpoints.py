"""Endpoints that come and go while the container runs: the way out, published ports, names, and whose name servers are asked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from tests.harness import PROJECT, Engine, engine, machine, ready, registry

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
SERVE = ("busybox", "httpd", "-f", "-p", "7000", "-h", "/etc")
SLEEP = ("busybox", "sleep", "1000")


def test_the_way_out_and_the_ports_move_with_the_gateway_endpoint(clean: Engine) -> None:
    """On a running and on a paused container, for both families."""
    for name, second in (("left", "10.61.0.0/24"), ("right", "10.62.0.0/24")):
        clean.cli("network", "create", "--ipv6", "--subnet", second, name)
    clean.cli("run", "-d", "--name", "web", "--hostname", "web", "--network", "left", "-p", "8080:7000", *SERVE)
    outside = ("http://198.51.100.2:8080/hostname", "http://[2001:db8:51::2]:8080/hostname")

    def way_out() -> str:
        """The way out of both families, by the interface's network; published ports are reached from outside meanwhile."""
        for url in outside:
            fetched = clean.machine.outside.run(["curl", "-sg", "--max-time", "10", "--retry", "5", "--retry-connrefused", url])
            assert fetched.stdout == "web\n", url
        networks = clean.call("GET", "/containers/web/json")[1]["NetworkSettings"]["Networks"]
        routes = clean.cli("exec", "web", "sh", "-c", "ip route | grep ^default; ip -6 route | grep ^default").stdout.split()
        four, six = (routes[i + 1] for i, word in enumerate(routes) if word == "via")
        (name,) = (n for n, e in networks.items() if (e["Gateway"], e["IPv6Gateway"]) == (four, six))
        return str(name)

    assert way_out() == "left"
    clean.cli("network", "connect", "--gw-priority", "5", "right", "web")
    assert way_out() == "right"
    clean.cli("network", "disconnect", "right", "web")
    assert way_out() == "left"
    clean.cli("pause", "web")
    clean.cli("network", "connect", "--gw-priority", "5", "--ip", "10.62.0.77", "right", "web")
    clean.cli("network", "disconnect", "left", "web")
    clean.cli("unpause", "web")
    assert way_out() == "right"
    assert "10.62.0.77/24" in clean.cli("exec", "web", "ip", "-4", "-o", "addr").stdout
    published = clean.cli("port", "web").stdout.splitlines()
    assert published == ["7000/tcp -> 0.0.0.0:8080", "7000/tcp -> [::]:8080"]


def test_a_renamed_container_answers_to_its_new_name(clean: Engine) -> None:
    """Asked on an internal network, where what is not known is refused at once."""
    clean.cli("network", "create", "--internal", "--subnet", "10.63.0.0/24", "net")
    clean.cli("run", "-d", "--name", "asker", "--network", "net", *SLEEP)
    clean.cli("run", "-d", "--name", "before", "--network", "net", "--network-alias", "shop", "--hostname", "host1", *SLEEP)

    def known(*names: str) -> list[str]:
        return [n for n in names if "10.63.0.3" in clean.cli("exec", "asker", "nslookup", "-type=a", n, check=False).stdout]

    names = ("before", "after", "before.net", "after.net", "shop", "host1")
    assert known(*names) == ["before", "before.net", "shop", "host1"]
    clean.cli("rename", "before", "after")
    assert known(*names) == ["after", "after.net", "shop", "host1"]
    assert "name = after.net" in clean.cli("exec", "asker", "nslookup", "10.63.0.3").stdout
    assert clean.cli("exec", "after", "hostname").stdout == "host1\n"


def test_a_link_on_the_default_bridge_follows_its_target(clean: Engine) -> None:
    """By whatever name it goes, as in Docker: over a restart, a rename of either end and a share of the target's network."""
    clean.cli("run", "-d", "--name", "db", *SLEEP)
    clean.cli("run", "-d", "--name", "beside", "--network", "container:db", *SLEEP)
    clean.cli("run", "-d", "--name", "app", "--link", "db:store", "--link", "beside", *SLEEP)

    def links() -> tuple[list[str], list[str]]:
        """As inspect shows them, and the names that the hosts file has for the target's address."""
        address = clean.call("GET", "/containers/db1/json")[1]["NetworkSettings"]["IPAddress"]
        holder = clean.call("GET", "/containers/app1/json")[1]
        lines = [line.split() for line in clean.cli("exec", "app1", "cat", "/etc/hosts").stdout.splitlines()]
        return holder["HostConfig"]["Links"], sorted({line[1] for line in lines if line[0] == address})

    clean.cli("rename", "db", "db1")
    clean.cli("rename", "app", "app1")
    clean.cli("restart", "-t", "0", "app1")
    assert links() == (["/db1:/app1/store", "/db1:/app1/beside"], ["beside", "store"])
    assert clean.cli("inspect", "-f", "{{.Name}}", "app1/store").stdout == "/db1\n"
    # The other container that is called as the target was is not meant.
    clean.cli("run", "-d", "--name", "db", *SLEEP)
    clean.cli("restart", "-t", "0", "app1")
    assert links()[0] == ["/db1:/app1/store", "/db1:/app1/beside"]
    clean.cli("rm", "--link", "app1/beside")
    assert links() == (["/db1:/app1/store"], ["store"])
    assert clean.call("GET", "/containers/app1/beside/json")[0] == 404


def test_a_link_on_the_default_bridge_wants_its_target_running_there(clean: Engine) -> None:
    """As Docker 20.10.24 was seen to answer, and 29 does; after a restart of the machine targets come first."""
    clean.cli("network", "create", "net")
    clean.cli("create", "--name", "db", "--restart", "always", *SLEEP)
    clean.cli("run", "-d", "--name", "far", "--network", "net", *SLEEP)
    for target, words in (
        ("db", "Cannot link to a non running container: /db AS /app/store"),
        ("far", "Cannot link to /far, as it does not belong to the default network"),
    ):
        done = clean.cli("run", "--name", "app", "--link", f"{target}:store", *SLEEP, check=False)
        assert done.exit == 125 and f"Error response from daemon: {words}\n" in done.stderr
        state = clean.call("GET", "/containers/app/json")[1]["State"]
        assert (state["Status"], state["ExitCode"], state["Error"]) == ("created", 128, words)
        clean.cli("rm", "app")
    clean.cli("start", "db")
    clean.cli("pause", "db")
    clean.cli("run", "-d", "--name", "app", "--restart", "always", "--link", "db:store", *SLEEP)


def test_the_networks_of_one_container_go_together(clean: Engine) -> None:
    """None or the host's among several, as the API may ask for: refused at the start, in Docker's words."""
    words = {
        ("none", "bridge"): "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        ("bridge", "none"): "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        ("bridge", "host"): "cannot connect container to host network - container must be created in host network mode",
        ("host", "bridge"): "container sharing network namespace with another container or host cannot be connected to any other network",
    }
    for (mode, other), sentence in words.items():
        networks = {"EndpointsConfig": {mode: {}, other: {}}}
        body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": mode}, "NetworkingConfig": networks}
        status, made = clean.call("POST", f"/containers/create?name={mode}-{other}", body)
        assert status == 201, made
        status, said = clean.call("POST", f"/containers/{made['Id']}/start")
        assert (status, said["message"]) == (400, f"failed to set up container networking: {sentence}"), (mode, other)
        assert clean.call("GET", f"/containers/{made['Id']}/json")[1]["State"]["Status"] == "created"


@contextmanager
def name_server(command: Sequence[str]) -> Iterator[None]:
    """A name server that is started so, for as long as the block lasts."""
    with ready(subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)):
        yield


def test_whose_name_servers_are_asked_from_where() -> None:
    """Both at ::1: the host's is the host's own, one of --dns the container's."""
    with machine(resolv_conf="nameserver ::1\n") as where, registry(where) as url, engine(where, options=[f"--registry-mirror={url}"]) as made:
        made.pull("busybox:latest")
        made.cli("network", "create", "net")
        made.cli("run", "-d", "--name", "hosts", "--network", "net", *SLEEP)
        made.cli("run", "-d", "--name", "own", "--network", "net", "--dns", "::1", *SLEEP)
        key = made.call("GET", "/containers/own/json")[1]["NetworkSettings"]["SandboxKey"]
        words = [sys.executable, "-m", "tests.nameserver", "::1"]
        enter = ["nsenter", "--target", str(where.pid), "--net"]
        from_here = ["nsenter", f"--net={where.path(key)}"]
        with name_server([*enter, "--", *words, "who.test=203.0.113.1"]), name_server([*from_here, "--", *words, "who.test=203.0.113.2"]):
            for name, address in (("hosts", "203.0.113.1"), ("own", "203.0.113.2")):
                assert address in made.cli("exec", name, "nslookup", "-type=a", "who.test").stdout, name
