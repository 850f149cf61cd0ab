"""Our tables replaced over and over while packets are under way: some are in the middle of a chain each time, and find the old maps out of use."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from tests.kernel.town import Town
from tests.kernel.world import NB4, UP4, Place

from sanbashi.network.picture import Element

pytestmark = pytest.mark.root
TIMES, PORT = 150, 7300  # with the chains as they were before `outward` a packet or two got out in as many replacements


def datagram_socket(*, bound: str = "", to: str = "") -> socket.socket:
    """One of the calling thread's namespace."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(0.2)
    if bound:
        made.bind((bound, PORT))
    else:
        made.connect((to, PORT))
    return made


@contextmanager
def flood(senders: dict[str, socket.socket], receivers: dict[str, socket.socket], seen: Counter[str]) -> Iterator[None]:
    """Everybody sends his name as fast as he can, and what arrives is counted."""
    ended = threading.Event()

    def send(name: str, out: socket.socket) -> None:
        while not ended.is_set():
            try:
                out.send(name.encode())
            except OSError:  # refused, unreachable, or its buffer full
                continue

    def receive(name: str, there: socket.socket) -> None:
        while True:
            try:
                seen[f"{there.recv(100).decode()} at {name}"] += 1
            except TimeoutError:
                if ended.is_set():
                    return

    threads = [threading.Thread(target=work, args=item) for work, of in ((receive, receivers), (send, senders)) for item in of.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_packets_of_an_internal_network_stay_inside_while_the_tables_are_replaced(town: Town) -> None:
    """Neither to the neighbour nor to an address of the host's that is not theirs; those of another network arrive all the while."""
    places: dict[str, Place] = town.world.places
    bridge = next(n.bridge for n in town.chain.state.networks.values() if n.name == "int")
    mac = places["host"].sh(f"ip -br link show {bridge}").split()[2]
    places["i1"].sh(f"ip neigh replace 10.81.3.1 lladdr {mac} dev eth0 nud permanent && ip route replace default via 10.81.3.1 dev eth0 onlink")
    elements = [i for i in town.chain.everything() if isinstance(i, Element)]
    seen = Counter[str]()
    with ExitStack() as opened:
        receivers = {name: opened.enter_context(places[name].do(datagram_socket, bound=a)) for name, a in (("neighbour", NB4), ("host", UP4))}
        senders = {f"{who} to {a}": opened.enter_context(places[who].do(datagram_socket, to=a)) for who in ("i1", "w2") for a in (NB4, UP4)}
        with flood(senders, receivers, seen):
            for _ in range(TIMES):
                places["host"].do(town.kernel.real.nft.reload, lambda: elements)
    places["i1"].sh("ip route del default; ip neigh flush nud permanent dev eth0")
    assert {name for name in seen if name.startswith("i1")} == set(), seen
    assert seen[f"w2 to {NB4} at neighbour"] > TIMES and seen[f"w2 to {UP4} at host"] > TIMES
