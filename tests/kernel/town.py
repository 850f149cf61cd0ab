"""A world with networks of every kind and containers on them, built by the whole chain; and questions put to it, many at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kernel.chain import Chain, facts
from tests.kernel.world import ANSWERED, NB4, NB6, NOTHING, PATIENCE, UP4, UP4B, UP6, KernelAt, World, new_world

from sanbashi.host.keeper import KeeperClient

BRIDGE = "com.docker.network.bridge."
# Words of a client that was kept out; which of them it is depends on where the packet was stopped.
OUT = (NOTHING, "refused", "No route to host", "Network is unreachable", "Permission denied")


@dataclass(frozen=True)
class Question:
    """Who asks whom for what, and the answer that is right: "w1 192.0.2.2" is w1, which saw 192.0.2.2 asking."""

    who: str
    protocol: str
    address: str
    port: int
    right: str | tuple[str, ...]

    @property
    def wait(self) -> float:
        """How long to wait for an answer: as long as it takes, unless none is right."""
        return PATIENCE if NOTHING in self.right else ANSWERED

    def __str__(self) -> str:
        return f"{self.protocol} {self.who} -> {self.address} port {self.port}"


@dataclass(frozen=True)
class Refusal:
    """A question that must not be answered, beside one to the same listener that must be, asked in the same moment."""

    question: Question
    control: Question


def refused(question: tuple[str, str, str, int], *control: str | int) -> Refusal:
    """A refusal of `question`; the control is who, protocol, address, port, right."""
    return Refusal(Question(*question, OUT), Question(*control))  # type: ignore[arg-type]


@dataclass
class Town:
    """The world, the chain that built it, and where everybody lives."""

    world: World
    chain: Chain
    kernel: KernelAt
    keeper: KeeperClient

    def four(self, name: str, network: str = "") -> str:
        interface = self.chain.endpoint(name, network).ipv4
        assert interface is not None
        return str(interface.ip)

    def six(self, name: str, network: str = "") -> str:
        interface = self.chain.endpoint(name, network).ipv6
        assert interface is not None
        return str(interface.ip)

    def mistakes(self, *asked: Question | Refusal) -> list[str]:
        """What was answered otherwise than is right; everything is asked at once."""
        questions = [q for a in asked for q in ((a.question, a.control) if isinstance(a, Refusal) else (a,))]
        answers = self.world.together(*((lambda q=q: self.world.ask(q.who, q.protocol, q.address, q.port, wait=q.wait)) for q in questions))
        wrong = []
        for question, answer in zip(questions, answers, strict=True):
            right = question.right if isinstance(question.right, tuple) else (question.right,)
            if answer not in right:
                wrong.append(f"{question}: {answer}, not {' or '.join(right)}")
        return wrong

    def add(self, name: str, *networks: str, ports: tuple[str, ...] = (), listening: bool = True, **options: object) -> None:
        """A container with a server on port 80."""
        path = self.chain.run(name, *networks, ports=ports, **options)  # type: ignore[arg-type]
        place = self.world.add_place(name, Path(path))
        if listening:
            place.do(self.world.servers.listen, name, (80,))

    def host_address(self, four: bool) -> tuple[str, str]:
        """The host's address towards the neighbour, and the neighbour's."""
        return (UP4, NB4) if four else (UP6, NB6)


@contextmanager
def new_town(root: Path, *, br_netfilter: bool) -> Iterator[Town]:
    with new_world(root, br_netfilter=br_netfilter) as world:
        keeper = world.host.do(KeeperClient, root, resolv_conf=Path(os.devnull))
        world.host.do(keeper.ensure)
        kernel = KernelAt(world.host, root, keeper)
        try:
            kernel.prepare()
            town = Town(world, Chain(kernel, facts(br_netfilter=br_netfilter)), kernel, keeper)
            populate(town)
            yield town
        finally:
            kernel.remove_everything()
            kernel.close()
            world.host.do(keeper.end)
            left = world.host.sh("ip -br link show type veth | grep -v ^up0; ip -br link show type bridge; nft list tables", check=False)
        assert left == ""


def populate(town: Town) -> None:
    create = town.chain.create
    create("web", "10.81.1.0/24", "fd81:1::/64")
    create("data", "10.81.2.0/24", "fd81:2::/64")
    create("int", "10.81.3.0/24", "fd81:3::/64", internal=True)
    modes = (BRIDGE + "gateway_mode_ipv4", BRIDGE + "gateway_mode_ipv6")
    create("iso", "10.81.4.0/24", "fd81:4::/64", internal=True, options=dict.fromkeys(modes, "isolated"))
    create("quiet", "10.81.5.0/24", "fd81:5::/64", options={BRIDGE + "enable_icc": "false"})
    create("routed", "10.81.6.0/24", "fd81:6::/64", options=dict.fromkeys(modes, "routed"))
    create("open", "10.81.7.0/24", "fd81:7::/64", options=dict.fromkeys(modes, "nat-unprotected"))
    create("four", "10.81.8.0/24")
    create("fixed", "10.81.9.0/24", options={"com.docker.network.host_ipv4": UP4B})
    create("plain", "10.81.10.0/24", "fd81:10::/64", options={BRIDGE + "enable_ip_masquerade": "false"})
    published = (
        "8080:80", "8080:80/udp", f"{UP4B}:8081:80", "127.0.0.1:8082:80", "127.0.0.1:8082:80/udp", f"[{UP6}]:8083:80", "[::1]:8084:80", "8087:99/udp",
    )  # fmt: skip
    town.add("w1", "web", ports=published)
    town.add("w2", "web")
    town.add("w3", "web")
    town.add("d1", "data")
    town.add("m1", "web", "data", ports=("8090:80",))
    town.add("i1", "int")
    town.add("i2", "int")
    town.add("s1", "iso")
    town.add("s2", "iso")
    town.add("n2", "quiet", exposed=(80,))
    town.add("n1", "quiet", links=("n2",))
    town.add("n3", "quiet", ports=("8085:80",))
    town.add("r1", "routed", ports=("0:80",))
    town.add("u1", "open")
    town.add("f1", "four", ports=("8086:80", "8086:80/udp"))
    town.add("x1", "fixed")
    town.add("o1", "plain")
