"""Scale, tested for truth: in a crowd every container resolves, answers and publishes, and removing it leaves nothing. At the limits a clear error.

`make bench-scale` does the same with 1,000 containers and 10,000 ports; here it is a tenth of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.crowd import Crowd
from tests.harness import Engine, Machine, engine, machine
from tests.images import build

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

CONTAINERS = int(os.environ.get("CROWD", "100"))
BRIDGE_PORTS = 1023  # BR_MAX_PORTS - 1, net/bridge/br_private.h


class Poor(Engine):
    """An engine that may open few files, and so may its keeper."""

    FILES = 256

    def command(self) -> list[str]:
        return ["prlimit", f"--nofile={self.FILES}:{self.FILES}", *super().command()]


@pytest.fixture
def host() -> Iterator[Machine]:
    with machine() as made:
        yield made


@contextmanager
def crowd_on(started: Engine) -> Iterator[Crowd]:
    started.machine.run(["docker", "load", "-i", str(build("busybox"))], environment=started.variables())
    yield Crowd(started)


def test_every_one_of_a_crowd_resolves_answers_and_publishes(host: Machine) -> None:
    with engine(host, name="crowd") as started, crowd_on(started) as crowd:
        before = host.traces()
        crowd.networks()
        crowd.fill(CONTAINERS, ports=10)
        assert crowd.untrue() == []
        crowd.clear()
        assert host.stays(before) == {}


def test_the_questions_find_what_is_untrue(host: Machine) -> None:
    with engine(host, name="liars") as started, crowd_on(started) as crowd:
        crowd.networks()
        crowd.fill(4, ports=2)
        crowd.ask("POST", "/containers/crowd3/kill")
        crowd.ask("POST", "/containers/crowd3/wait")
        crowd.start("elsewhere", "right", crowd.ports[3])
        found = crowd.untrue()
        assert any("crowd3" in line and "10006" in line for line in found), found
        assert any(line.startswith("crowd3 is") for line in found), found
        assert not any("crowd2" in line for line in found), found


def test_a_full_bridge_says_so(host: Machine) -> None:
    """The kernel's limit, reached with links of somebody else's; another network is not full, and what makes room makes room."""
    with engine(host, name="full") as started, crowd_on(started) as crowd:
        crowd.networks()
        bridge = "br-" + crowd.ask("GET", "/networks/left")["Id"][:12]
        pairs = range(BRIDGE_PORTS // 2)
        joined = [f"link add f{n}a type veth peer name f{n}b\nlink set f{n}a master {bridge}\nlink set f{n}b master {bridge}" for n in pairs]
        host.run(["ip", "-batch", "-"], given="\n".join(joined))
        crowd.start("last", "left", range(10000, 10001))
        before = host.traces()
        status, said = refused(crowd, "more", {"NetworkMode": "left"})
        assert status == 500
        assert said["message"].startswith(
            "failed to set up container networking: failed to create endpoint more on network left: adding interface veth"
        )
        assert said["message"].endswith(f"to bridge {bridge} failed: exchange full")
        assert said["hint"] == "the kernel gives a bridge 1023 ports: use another network"
        assert host.stays(before) == {}
        crowd.start("elsewhere", "right", range(10001, 10002))
        host.run(["ip", "-batch", "-"], given="\n".join(f"link del f{n}a" for n in pairs))
        assert started.call("POST", "/containers/more/start")[0] == 204


def test_no_descriptor_left_for_a_port_says_so(host: Machine) -> None:
    """The keeper holds a descriptor for each port; where it may have no more, nothing of the container stays, and others go on."""
    poor = Poor(host, name="poor")
    try:
        with crowd_on(poor.start()) as crowd:
            crowd.networks()
            crowd.fill(2, ports=5)
            before = host.traces()
            many = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(port)} for port in range(20000, 20000 + Poor.FILES)]}
            status, said = refused(crowd, "more", {"PortBindings": many})
            assert status == 500
            assert said["message"].startswith(
                "failed to set up container networking: driver failed programming external connectivity on endpoint more"
            )
            assert said["message"].endswith("/tcp: too many open files")
            assert "LimitNOFILE" in said["hint"]
            assert host.stays(before) == {}
            crowd.fill(4, ports=5)
            assert crowd.untrue() == []
            poor.clear()
    finally:
        poor.end()


def refused(crowd: Crowd, called: str, host: dict[str, object]) -> tuple[int, Any]:
    """The answer to the start of a container."""
    crowd.ask("POST", f"/containers/create?name={called}", {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": host})
    return crowd.engine.call("POST", f"/containers/{called}/start")
