"""Names: what a container's resolver answers of its own and what it forwards, by dnsperf in a container's network namespace.

A second questioner on another core would be the resolver's rival for the two processors of a small machine alike for everybody. The 99th percentile
is taken at a rate that all can serve: dnsperf -v prints each answer's latency, at RATE questions a second.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial

from ..work import Figures, Measure, Row, Size, Work
from ..world import Peer, World

OWN, FORWARDED, LATENCY = "names of its own, dnsperf", "names forwarded and cached, dnsperf", "names of its own, 99th percentile at 5,000 q/s"
RATE = 5000
ABROAD, UPSTREAM = "www.abroad.example", "198.51.100.1"


def dnsperf(peer: Peer, server: str, name: str, seconds: int, *more: str) -> str:
    """Ask for one name, over and over, with a hundred questions under way; every answer must be a good one."""
    questions = peer.where.scratch / "names"
    questions.write_text(f"{name} A\n")
    words = ["nsenter", "--target", peer.pid("asker"), "--net", "dnsperf", "-s", server, "-d", str(questions), "-l", str(seconds), "-c", "4", *more]
    said = peer.where.run(words, timeout=seconds + 60).stdout
    codes = re.search(r"Response codes:\s+(.*)", said)
    if codes is None or set(re.findall(r"[A-Z]+", codes[1])) != {"NOERROR"}:
        raise RuntimeError(f"{peer.name} did not answer for {name}:\n{said[-2000:]}")
    return said


def rate(said: str) -> float:
    found = re.search(r"Queries per second:\s+([\d.]+)", said)
    assert found, said
    return float(found[1])


def percentile(said: str) -> float:
    """The 99th percentile of the latencies that dnsperf -v printed, in milliseconds."""
    latencies = sorted(float(found) for found in re.findall(r"^> NOERROR \S+ \S+ ([\d.]+)", said, re.MULTILINE))
    assert len(latencies) > 100, said[:2000]
    return latencies[int(len(latencies) * 0.99)] * 1000


@contextlib.contextmanager
def upstream(peer: Peer) -> Iterator[None]:
    """A name server on the neighbouring host, quick enough not to be what is measured."""
    words = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces", f"--listen-address={UPSTREAM}"]
    more = [f"--address=/{ABROAD}/192.0.2.7", "--local-ttl=600", "--user=root", "--pid-file=", "--dns-forward-max=10000"]
    process = peer.where.outside.popen([*words, *more], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "started" in line:
                break
        else:
            raise RuntimeError("dnsmasq did not start")
        yield
    finally:
        process.terminate()
        process.wait(30)
        process.stderr.close()


@contextlib.contextmanager
def resolver(world: World, size: Size) -> Iterator[Mapping[str, Measure]]:
    def turn(peer: Peer, server: str) -> Figures:
        return {
            OWN: rate(dnsperf(peer, server, "named", size.seconds, "-q", "100")),
            FORWARDED: rate(dnsperf(peer, server, ABROAD, size.seconds, "-q", "100")),
            LATENCY: percentile(dnsperf(peer, server, "named", size.seconds, "-q", "100", "-Q", str(RATE), "-v")),
        }

    with contextlib.ExitStack() as stack:
        turns: dict[str, Measure] = {}
        for peer in world.engines:
            stack.enter_context(upstream(peer))
            peer.run("network", "create", "bench")
            stack.callback(peer.run, "network", "rm", "bench")
            stack.callback(peer.clear)
            peer.start("named", "--network", "bench")
            peer.start("asker", "--network", "bench")
            server = peer.run("exec", "asker", "grep", "-m1", "nameserver", "/etc/resolv.conf").stdout.split()[1]
            turns[peer.name] = partial(turn, peer, server)
        yield turns


WORKS = (
    Work(
        "names",
        lambda size: (Row(OWN, "q/s", more=True), Row(FORWARDED, "q/s", more=True), Row(LATENCY)),
        resolver,
        (5, 1),
    ),
)
