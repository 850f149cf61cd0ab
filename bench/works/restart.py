"""A daemon that ends and comes back among many containers: how long until it is ready, and what is lost meanwhile.

Meanwhile a ping goes from one container to another every two milliseconds, a connection to a published port carries numbered lines from the
neighbouring host, a fresh connection comes there every ten, and a container asks for a name every twenty.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from tests.crowd import name, network
from tests.harness import Engine

READY = "daemon restart, until it is ready"
LOST = {
    "packets": "packets lost over a restart",
    "lines": "lines of a stream lost over a restart",
    "fresh": "new connections lost over a restart",
    "names": "names lost over a restart",
}
ECHO, BEFORE, AFTER = 9990, 0.5, 0.5  # a port of the host; seconds
PATIENCE = "0.9"  # seconds; a lost SYN is sent again after one, and a busy machine may be late
LISTEN = "-" + "l" * 64  # busybox's queue of connections is as long as there are l's; at two, one was lost as often as the server was late
PING = r"(\d+) packets transmitted, (\d+) received"


@dataclass(frozen=True)
class Inside:
    """A container of the crowd: its pid and address."""

    pid: int
    address: str


def inside(engine: Engine, number: int) -> Inside:
    body = engine.call("GET", f"/containers/{name(number)}/json")[1]
    return Inside(body["State"]["Pid"], body["NetworkSettings"]["Networks"][network(number)]["IPAddress"])


def start_echo(engine: Engine) -> str:
    """A container that echoes lines on a published port; its address. One of the crowd's image, beside it."""
    host = {"NetworkMode": "left", "PortBindings": {"7/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(ECHO)}]}}
    body = {"Image": "busybox", "Cmd": ["nc", LISTEN, "-p", "7", "-e", "cat"], "ExposedPorts": {"7/tcp": {}}, "HostConfig": host}
    for method, path, given in (("POST", "/containers/create?name=echo", body), ("POST", "/containers/echo/start", None)):
        status, said = engine.call(method, path, given)
        assert status < 300, said
    return engine.address("echo", "left")


def restarted(engine: Engine) -> dict[str, float]:
    """One restart; milliseconds, and how many of each kind were lost."""
    where = engine.machine
    asker, other = inside(engine, 0), inside(engine, 2)
    echo = engine.address("echo", "left")
    enter = ["nsenter", "--target", str(asker.pid), "--net", "--"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    ping = where.popen([*enter, "sh", "-c", f"ping -n -q -i 0.002 {other.address} & read end; kill -INT $!; wait $!"], **pipes)
    names = where.popen([*enter, sys.executable, "-m", "tests.e2e.companions", "ask", name(2)], **pipes)
    load = where.outside.popen([sys.executable, "tests/kernel/load.py", "198.51.100.2", str(ECHO), echo, "81", "9999", PATIENCE], **pipes)
    assert names.stdout is not None and load.stdout is not None
    assert names.stdout.readline() and load.stdout.readline()
    time.sleep(BEFORE)
    engine.end()
    began = time.perf_counter()
    engine.start(timeout=120)
    took = (time.perf_counter() - began) * 1000
    time.sleep(AFTER)
    said = {what: process.communicate("\n", timeout=60)[0] for what, process in (("ping", ping), ("names", names), ("load", load))}
    pinged = re.search(PING, said["ping"])
    assert pinged, said["ping"]
    for end in (asker, other):  # who was pinged, and by whom, stays in a neighbour table that is not full, and the crowd is asked for what is in it
        where.run(["nsenter", "--target", str(end.pid), "--net", "--", "ip", "neigh", "flush", "all"])
    vain = said["names"].split()[1]  # asked, in vain, ...
    seen = json.loads(said["load"])
    return {
        READY: took,
        LOST["packets"]: int(pinged[1]) - int(pinged[2]),
        LOST["lines"]: 0 if not seen["stream"]["error"] else 1,
        LOST["fresh"]: sum(not answered for _, answered in seen["fresh"]),
        LOST["names"]: int(vain),
    }
