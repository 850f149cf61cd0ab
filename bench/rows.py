"""The rows of the table: each a piece of work that every peer does, timed or weighed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .peers import Peer

SLEEP = ("busybox", "sleep", "100000")


@dataclass(frozen=True)
class Row:
    """`measure` gives one figure of one peer; `unit` is ms, MB or q/s; more is better where `more`. `rounds`: (usual, quick)."""

    name: str
    unit: str
    measure: Callable[[Peer, Size], float]
    rounds: tuple[int, int] = (5, 2)
    more: bool = False


@dataclass(frozen=True)
class Size:
    """How big the work is: smaller in the quick ring."""

    starts: int
    ports: int
    containers: int
    seconds: int


FULL = Size(starts=50, ports=500, containers=20, seconds=10)
QUICK = Size(starts=10, ports=20, containers=3, seconds=2)


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of wall clock."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def run_rm(peer: Peer, size: Size) -> float:
    return timed(lambda: peer.run("run", "--rm", "busybox", "true"))


def run_d(peer: Peer, size: Size) -> float:
    took = timed(lambda: peer.run("run", "-d", "--name", "bench", *SLEEP))
    peer.remove("bench")
    return took


def network(peer: Peer, size: Size) -> float:
    def work() -> None:
        peer.run("network", "create", "bench")
        peer.run("network", "rm", "bench")

    return timed(work)


def ports(count: Callable[[Size], int]) -> Callable[[Peer, Size], float]:
    def work(peer: Peer, size: Size) -> float:
        last = 20000 + count(size) - 1
        published = "20000:1" if last == 20000 else f"20000-{last}:1-{count(size)}"
        peer.run("create", "--name", "bench", "-p", published, *SLEEP)
        took = timed(lambda: peer.run("start", "bench"))
        peer.remove("bench")
        return took

    return work


def many(peer: Peer, size: Size) -> float:
    def work() -> None:
        with ThreadPoolExecutor(10) as hands:
            list(hands.map(lambda n: peer.run("run", "-d", "--name", f"bench{n}", *SLEEP), range(size.starts)))

    took = timed(work)
    peer.clear()
    return took


def memory(peer: Peer, size: Size) -> float:
    """Megabytes that each running container adds, PSS of everything but the container itself."""
    peer.run("run", "-d", "--name", "first", *SLEEP)  # what is started once
    before = peer.own(peer.pids())
    for number in range(size.containers):
        peer.run("run", "-d", "--name", f"bench{number}", *SLEEP)
    after = peer.own(peer.pids())
    peer.clear()
    return (after - before) / size.containers / 1e6


def idle(peer: Peer, size: Size) -> float:
    """Megabytes of the engine's processes with one container running (podman has none of its own without)."""
    peer.run("run", "-d", "--name", "bench", *SLEEP)
    weight = peer.own(peer.pids()) / 1e6
    peer.clear()
    return weight


def resolver(peer: Peer, size: Size) -> float:
    """Questions a second that the resolver answers for a name of its own, four clients, asked from a container's namespace."""
    peer.run("network", "create", "bench")
    try:
        peer.run("run", "-d", "--name", "named", "--net", "bench", *SLEEP)
        peer.run("run", "-d", "--name", "asker", "--net", "bench", *SLEEP)
        pid = peer.run("inspect", "-f", "{{.State.Pid}}", "asker").stdout.strip()
        server = peer.run("exec", "asker", "sh", "-c", "grep -m1 nameserver /etc/resolv.conf").stdout.split()[1]
        names = peer.where.scratch / "names"
        names.write_text("named A\n")
        command = ["nsenter", "--target", pid, "--net", "dnsperf", "-s", server, "-d", str(names), "-l", str(size.seconds), "-c", "4", "-q", "100"]
        said = peer.where.run(command, timeout=size.seconds + 60).stdout
        lost = re.search(r"Queries lost:\s+(\d+)", said)
        rate = re.search(r"Queries per second:\s+([\d.]+)", said)
        answered = re.search(r"NOERROR (\d+)", said)
        assert rate and answered and lost, said
        return float(rate[1])
    finally:
        peer.clear()
        peer.run("network", "rm", "bench")


ROWS = (
    Row("run --rm busybox true", "ms", run_rm, (9, 3)),
    Row("run -d busybox sleep", "ms", run_d, (9, 3)),
    Row("network create + network rm", "ms", network, (9, 3)),
    Row("start with 1 published port", "ms", ports(lambda s: 1), (5, 2)),
    Row("start with {few} published ports", "ms", ports(lambda s: s.ports // 5), (3, 1)),
    Row("start with {ports} published ports", "ms", ports(lambda s: s.ports), (3, 1)),
    Row("{starts} starts, ten at a time", "ms", many, (3, 1)),
    Row("memory of the engine, one container running (PSS)", "MB", idle, (1, 1)),
    Row("memory each running container adds (PSS)", "MB", memory, (1, 1)),
    Row("names answered, dnsperf, 4 clients", "q/s", resolver, (3, 1), more=True),
)


def title(row: Row, size: Size) -> str:
    return row.name.format(few=size.ports // 5, ports=size.ports, starts=size.starts)
