"""One start costs the same whatever the host holds: counted, not timed. Messages, elements, statements and files at 10 and at 1,000 containers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.harness import Engine, Kind, Machine, engine

pytestmark = [pytest.mark.root, pytest.mark.timeout(1200)]

FEW = 10
MANY = int(os.environ.get("FLAT_CONTAINERS", "1000"))
COUNTED = ("netlink_messages", "nft_elements", "nft_transactions", "sql_statements", "files_read")
PORTS = {f"{port}/tcp": [{"HostPort": str(20000 + port)}] for port in range(1, 11)}


@pytest.fixture
def crowded(where: Machine, images: str, engine_kind: Kind) -> Iterator[Engine]:
    if engine_kind != "sanbashi":
        pytest.skip("dockerd counts nothing")
    with engine(where, name="flat", options=[f"--registry-mirror={images}"]) as made:
        made.pull("busybox")
        # A bridge has at most 1,023 ports.
        for network in ("left", "right"):
            assert made.call("POST", "/networks/create", {"Name": network})[0] == 201
        yield made


def start(on: Engine, name: str, network: str, ports: Any = None) -> None:
    host = {"NetworkMode": network, "PortBindings": ports or {}}
    status, made = on.call("POST", f"/containers/create?name={name}", {"Image": "busybox", "Cmd": ["sleep", "100000"], "HostConfig": host})
    assert status == 201, made
    status, said = on.call("POST", f"/containers/{name}/start")
    assert status == 204, said


def cost_of_one(on: Engine) -> dict[str, int]:
    """What one create, start with ten ports, and removal adds to the daemon's counters."""
    before = on.call("GET", "/sanbashi/counters")[1]
    start(on, "measured", "left", PORTS)
    between = on.call("GET", "/sanbashi/counters")[1]
    around = {"mounts around the runtime": mounts_around(on, "measured"), "IPv6 routes of the host": ipv6_routes(on)}
    assert on.call("DELETE", "/containers/measured?force=1")[0] == 204
    after = on.call("GET", "/sanbashi/counters")[1]
    assert all(name in after for name in COUNTED), after
    counted = {
        f"{name} of a {what}": b[name] - a[name] for name in COUNTED for what, a, b in (("start", before, between), ("removal", between, after))
    }
    return counted | around


def mounts_around(on: Engine, name: str) -> int:
    """How many mounts the runtime copied for a container: those that its monitor, which started the runtime, stands among."""
    found = on.call("GET", f"/containers/{name}/json")[1]
    monitor = on.machine.path(on.exec_root / "containers" / found["Id"] / "conmon.pid").read_text()
    return len(on.machine.path(f"/proc/{monitor}/mountinfo").read_text().splitlines())


def ipv6_routes(on: Engine) -> int:
    """What the kernel goes through when a link comes or goes. A new address has its two once nobody else was found to have it."""
    deadline = time.monotonic() + 60
    while on.machine.run(["ip", "-6", "-o", "address", "show", "tentative"]).stdout:
        assert time.monotonic() < deadline, "an address that is still looked for"
        time.sleep(0.1)
    return len(on.machine.run(["ip", "-6", "route", "show", "table", "all"]).stdout.splitlines())


def fill(on: Engine, first: int, last: int) -> None:
    def one(number: int) -> None:
        start(on, f"crowd{number}", ("left", "right")[number % 2])

    with ThreadPoolExecutor(8) as hands:
        list(hands.map(one, range(first, last)))


def test_a_start_costs_the_same(crowded: Engine) -> None:
    cost_of_one(crowded)  # what is done once
    fill(crowded, 0, FEW)
    few, held = cost_of_one(crowded), crowded.descriptors()
    fill(crowded, FEW, MANY)
    many = cost_of_one(crowded)
    assert few["nft_elements of a start"] > 10 and few["netlink_messages of a start"] > 5
    assert many == few
    # They are copied for every program that is started. What threads and connections have open at the moment varies, and each start has a socket
    # for two seconds more, by which its addresses are announced.
    until = time.monotonic() + 60
    while crowded.descriptors() >= held + 50:
        assert time.monotonic() < until, f"{crowded.descriptors()} descriptors with {MANY} containers, {held} with {FEW}"
        time.sleep(0.1)
    # The end of a link that nobody waits for falls into either half of the measuring: a look and a deletion for each of the three removals at most.
    assert crowded.call("GET", "/sanbashi/counters")[1]["netlink_messages_later"] <= 6
