"""Traffic: HTTP through a published port and straight to the container, a TCP stream between containers and over a bare veth pair."""

from __future__ import annotations

import contextlib
import json
import re
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from ..work import Figures, Measure, Row, Size, Work
from ..world import Peer, World

MANNERS = {"": (), ", new connection each": ("-H", "Connection: close")}
PLACES = ("127.0.0.1", "host address", "[::1]")
STREAM = "TCP stream, container to container"
# One client makes a hundred thousand connections here, straight and by 127.0.0.1, which look the same to the server but for their time stamps: it
# takes one that meets the remains of another for an old duplicate, and the client waits a second. So nothing is to remain. At the client's end
# neither, which now and then closes first: beside ten thousand remains to one place the kernel looks long for a free port there.
NO_REMAINS = "net.ipv4.tcp_max_tw_buckets=0"
TIMES = 2  # that ours is asked by each way in a turn: its own shares are all that six lines are about, the peer's and br_netfilter's that of two
SLICE = 1  # seconds of load between two ways; short ones that take turns often agree better than few long ones
BRIDGE_FILTERS = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables")
SETTLE, PATIENCE = 0.2, 3  # seconds between two questions; until nobody answers


def share(place: str, manner: str) -> str:
    return f"HTTP, {place} / straight{manner}"


def http_rows(size: Size) -> tuple[Row, ...]:
    rates = [Row(f"HTTP straight to the container{manner}", "requests/s", more=True) for manner in MANNERS]
    return (*rates, *(Row(share(place, manner), "share", more=True) for manner in MANNERS for place in PLACES))


def wrk(peer: Peer, url: str, options: Sequence[str]) -> float:
    """Requests a second, eight connections; 0 where nobody answers at all, any other error is an error."""
    if peer.where.run(["curl", "-s", "-m", str(PATIENCE), "-o", "/dev/null", url], check=False).exit:
        return 0.0
    said = peer.where.run(["wrk", "-t1", "-c8", f"-d{SLICE}s", *options, url], timeout=SLICE + 60).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if found is None or float(found[1]) == 0 or "Non-2xx" in said or re.search(r"connect [1-9]", said):
        raise RuntimeError(f"{peer.name}, {url}: {said}")
    return float(found[1])


@contextlib.contextmanager
def http(world: World, size: Size) -> Iterator[Mapping[str, Measure]]:
    """apache answers a page of some fifty bytes; a share is taken of the straight way just before and just after."""
    peers = (world.ours, world.docker)
    for peer in peers:
        peer.load("httpd")
        peer.run("network", "create", "--ipv6", "--subnet", "fd00:be::/64", "bench")
        peer.start("web", "--network", "bench", "-p", "8080:80", "--sysctl", NO_REMAINS, command=("httpd:2.4",))
        peer.where.run(["sysctl", "-qw", NO_REMAINS, "net.netfilter.nf_conntrack_tcp_timeout_time_wait=1"])

    def turn(peer: Peer, address: str, times: int = 1, bridge_filter: str = "") -> Figures:
        if bridge_filter:
            set_bridge_filter(peer, bridge_filter)
        urls = dict(zip(PLACES, ("http://127.0.0.1:8080/", "http://198.51.100.2:8080/", "http://[::1]:8080/"), strict=True))
        given: dict[str, list[float]] = {}
        for manner, options in MANNERS.items():
            straight = [wrk(peer, f"http://{address}/", options)]
            for place, url in [*urls.items()] * times:
                through = wrk(peer, url, options)
                if size.seconds > 1:  # the quick ring is not after figures
                    straight.append(wrk(peer, f"http://{address}/", options))
                given.setdefault(share(place, manner), []).append(through / statistics.mean(straight[-2:]))
            given[f"HTTP straight to the container{manner}"] = [statistics.median(straight)]
        if bridge_filter:
            set_bridge_filter(peer, "0")
        return given

    turns: dict[str, Measure] = {}
    for peer in peers:
        assert peer.daemon is not None
        address = peer.daemon.address("web", "bench")
        answered(peer, f"http://{address}/")
        turns[peer.name] = partial(turn, peer, address, TIMES if peer is world.ours and size.seconds > 1 else 1)
        if peer is world.ours and peer.where.path("/proc/sys/net/bridge").exists():
            turns["ours, br_netfilter on"] = partial(turn, peer, address, bridge_filter="1")
    yield turns
    for peer in peers:
        peer.clear()
        peer.run("network", "rm", "bench")


def set_bridge_filter(peer: Peer, value: str) -> None:
    """The host's setting, and a new daemon, which looks at it when it starts; containers go on meanwhile."""
    assert peer.daemon is not None
    peer.daemon.end()
    peer.where.run(["sysctl", "-qw", *(f"net.bridge.{name}={value}" for name in BRIDGE_FILTERS)])
    peer.daemon.start()


def answered(peer: Peer, url: str, patience: float = 20.0) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + patience
    while peer.where.run(["curl", "-sf", "-o", "/dev/null", url], check=False).exit:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{peer.name}: nobody answers at {url}")
        time.sleep(SETTLE)


@contextlib.contextmanager
def stream(world: World, size: Size) -> Iterator[Mapping[str, Measure]]:
    peers = (world.ours, world.docker)
    for peer in peers:
        peer.run("network", "create", "bench")
        for name in ("server", "client"):
            peer.start(name, "--network", "bench")
    where = world.ours.where
    where.run(
        "ip netns add bare-a; ip netns add bare-b; ip -n bare-a link add eth0 type veth peer name eth0 netns bare-b;"
        "ip -n bare-a addr add 10.91.0.1/24 dev eth0; ip -n bare-b addr add 10.91.0.2/24 dev eth0;"
        "ip -n bare-a link set eth0 up; ip -n bare-b link set eth0 up"
    )

    def between(peer: Peer, server: Sequence[str], client: Sequence[str], address: str) -> Figures:
        listening = peer.where.popen([*server, "iperf3", "-s", "-1", "--forceflush"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert listening.stdout is not None
        for line in listening.stdout:
            if "listening" in line:
                break
        said = peer.where.run([*client, "iperf3", "-c", address, "-t", str(size.seconds), "-J"], timeout=size.seconds + 60).stdout
        listening.communicate(timeout=30)
        return {STREAM: json.loads(said)["end"]["sum_received"]["bits_per_second"] / 1e9}

    turns: dict[str, Measure] = {}
    for peer in peers:
        assert peer.daemon is not None
        inside = {name: ("nsenter", "--target", peer.pid(name), "--net", "--") for name in ("server", "client")}
        turns[peer.name] = partial(between, peer, inside["server"], inside["client"], peer.daemon.address("server", "bench"))
    turns["bare veth"] = partial(between, world.ours, ("ip", "netns", "exec", "bare-a"), ("ip", "netns", "exec", "bare-b"), "10.91.0.1")
    yield turns
    for peer in peers:
        peer.clear()
        peer.run("network", "rm", "bench")
    where.run("ip netns del bare-a; ip netns del bare-b")


WORKS = (
    Work("HTTP", http_rows, http, (8, 1)),
    Work("stream", lambda size: (Row(STREAM, "Gbit/s", more=True),), stream, (7, 1)),
)
