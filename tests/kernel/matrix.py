"""Who reaches a container, as a matrix of cells that are each asked with packets: five askers, three exposures, three protocols, two families,
five kinds of network.

A refusal counts only beside a control: the same listener, asked in the same moment by one that must be answered, the container itself.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.kernel.chain import Chain, facts
from tests.kernel.town import OUT
from tests.kernel.world import ANSWERED, NOTHING, PATIENCE, UP4, UP6, KernelAt, World, checksum, family, new_world

from sanbashi.host.keeper import KeeperClient

ASKERS = ("same network", "other network", "host", "neighbouring host with a route", "container itself")
EXPOSURES = ("published", "published on loopback", "unpublished")
PROTOCOLS = ("tcp", "udp", "icmp")
FAMILIES = (4, 6)
BRIDGE = "com.docker.network.bridge."
ROUTED = dict.fromkeys((BRIDGE + "gateway_mode_ipv4", BRIDGE + "gateway_mode_ipv6"), "routed")
ISOLATED = dict.fromkeys((BRIDGE + "gateway_mode_ipv4", BRIDGE + "gateway_mode_ipv6"), "isolated")
# kind -> (internal, options)
KINDS: dict[str, tuple[bool, dict[str, str]]] = {
    "nat": (False, {}),
    "routed": (False, ROUTED),
    "isolated": (True, ISOLATED),
    "internal": (True, {}),
    "icc off": (False, {BRIDGE + "enable_icc": "false"}),
}
INNER = {"published": 80, "published on loopback": 82, "unpublished": 81}  # ports in the container
Right = bool


@dataclass(frozen=True)
class Cell:
    """One question of the matrix."""

    kind: str
    asker: str
    exposure: str
    protocol: str
    family: int

    @property
    def void(self) -> str:
        """Why there is nothing to ask, "" where there is."""
        return "icmp has no ports, so none is published" if self.protocol == "icmp" and self.exposure != "unpublished" else ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.asker} -> {self.exposure}, {self.protocol} over IPv{self.family}"


@dataclass
class Outcome:
    """Whether a cell's question was answered by the right listener, what came, and whether the control beside it was answered."""

    cell: Cell
    open: bool
    answer: str
    control: bool


@dataclass
class Matrix:
    """All outcomes of one run."""

    br_netfilter: bool
    outcomes: list[Outcome] = field(default_factory=list)

    def by_cell(self) -> dict[Cell, Outcome]:
        return {o.cell: o for o in self.outcomes}


def cells() -> Iterator[Cell]:
    """Every cell, void ones among them."""
    for kind, asker, exposure, protocol, number in itertools.product(KINDS, ASKERS, EXPOSURES, PROTOCOLS, FAMILIES):
        yield Cell(kind, asker, exposure, protocol, number)


def right(cell: Cell) -> Right:
    """What is promised: whether this question is answered."""
    closed = cell.kind in ("isolated", "internal")
    if cell.exposure == "unpublished" or (cell.kind == "routed" and cell.exposure == "published on loopback"):
        match cell.asker:
            case "container itself":
                return True
            case "same network":
                return cell.kind != "icc off"
            case "host":
                return cell.kind != "isolated"
            case _:
                return cell.kind == "routed" and cell.protocol == "icmp"
    if closed:
        return False
    if cell.exposure == "published":
        return True
    # Everybody else is not the host's loopback.
    return cell.asker == "host"


# -- the place


def outer_port(kind: str, exposure: str) -> int:
    """The host port of an exposure; nobody listens on it where the network publishes nothing."""
    return 9000 + 10 * list(KINDS).index(kind) + EXPOSURES.index(exposure)


@dataclass
class Site:
    """A network of each kind with two containers on it, and one container elsewhere; `addresses` of the containers by name and family."""

    world: World
    addresses: Callable[[str, int], str]
    outer: tuple[str, str] = (UP4, UP6)  # the host's addresses towards the neighbour

    def name(self, kind: str, number: int) -> str:
        return f"{kind.replace(' ', '')}{number}"

    def asker(self, cell: Cell) -> str:
        places = {"same network": self.name(cell.kind, 2), "other network": "elsewhere", "host": "host"}
        return places.get(cell.asker, "neighbour" if cell.asker.startswith("neighbour") else self.name(cell.kind, 1))

    def inner_address(self, cell: Cell) -> str:
        return self.addresses(self.name(cell.kind, 1), cell.family)

    def target(self, cell: Cell) -> tuple[str, int]:
        """Where a cell's question goes: the container's own address where nothing is translated, else the host's."""
        if cell.exposure == "unpublished" or cell.kind == "routed":
            return self.inner_address(cell), INNER[cell.exposure]
        loopback = cell.exposure == "published on loopback" and cell.asker == "host"
        address = (("127.0.0.1", "::1") if loopback else self.outer)[cell.family == 6]
        return address, outer_port(cell.kind, cell.exposure)

    def ask(self, who: str, protocol: str, address: str, port: int, wait: float = ANSWERED) -> str:
        if protocol == "icmp":
            return self.world.inside(who, lambda: ping(address, wait))
        return self.world.ask(who, protocol, address, port, wait=wait)

    def outcome(self, cell: Cell) -> Outcome:
        address, port = self.target(cell)
        mine = self.name(cell.kind, 1)
        answer = self.ask(self.asker(cell), cell.protocol, address, port, ANSWERED if right(cell) else PATIENCE)
        return Outcome(cell, answer == "echo" if cell.protocol == "icmp" else answer.split(" ")[0] == f"{mine}:{INNER[cell.exposure]}", answer, False)

    def batch(self, asked: Sequence[Cell]) -> list[Outcome]:
        """The outcomes of cells of one kind and family, asked at once, with the controls of their listeners in the same moment."""
        listeners = sorted({(c.protocol, c.exposure) for c in asked})
        first = asked[0]
        own = Cell(first.kind, "container itself", "unpublished", "tcp", first.family)
        inner, me = self.inner_address(own), self.name(first.kind, 1)
        controls = [lambda p=p, e=e: self.ask(me, p, inner, INNER[e]) for p, e in listeners]
        answers = self.world.together(*([lambda c=c: self.outcome(c) for c in asked] + controls))
        answered = {
            listener: answer == "echo" or str(answer).split(" ")[0] == f"{me}:{INNER[listener[1]]}"
            for listener, answer in zip(listeners, answers[len(asked) :], strict=True)
        }
        outcomes = [o for o in answers if isinstance(o, Outcome)]
        for outcome in outcomes:
            outcome.control = answered[outcome.cell.protocol, outcome.cell.exposure]
        return outcomes


@contextmanager
def new_site(root: Path, *, br_netfilter: bool) -> Iterator[Site]:
    """The world with all of it built; nothing is left at the end."""
    with new_world(root, br_netfilter=br_netfilter) as world:
        keeper = world.host.do(KeeperClient, root, resolv_conf=Path(os.devnull))
        world.host.do(keeper.ensure)
        kernel = KernelAt(world.host, root, keeper)
        try:
            kernel.prepare()
            chain = Chain(kernel, facts(br_netfilter=br_netfilter))

            def address(name: str, number: int) -> str:
                endpoint = chain.endpoint(name)
                interface = endpoint.ipv4 if number == 4 else endpoint.ipv6
                assert interface is not None
                return str(interface.ip)

            site = Site(world, address)
            populate(site, chain)
            yield site
        finally:
            kernel.remove_everything()
            kernel.close()
            world.host.do(keeper.end)


def listen(world: World, name: str, namespace: Path) -> None:
    """Listeners on all inner ports of a container."""
    place = world.add_place(name, namespace)
    for port in INNER.values():
        place.do(world.servers.listen, f"{name}:{port}", (port,))


def published(kind: str) -> list[str]:
    """The ports of a kind's first container, as -p has them."""
    public, private = outer_port(kind, "published"), outer_port(kind, "published on loopback")
    exposed = (("", public, 80), ("127.0.0.1:", private, 82), ("[::1]:", private, 82))
    return [f"{host}{port}:{inner}/{p}" for p in ("tcp", "udp") for host, port, inner in exposed]


def populate(site: Site, chain: Chain) -> None:
    def run(name: str, network: str, ports: Iterable[str] = ()) -> None:
        listen(site.world, name, Path(chain.run(name, network, ports=ports)))

    chain.create("elsewhere", "10.82.100.0/24", "fd82:100::/64")
    run("elsewhere", "elsewhere")
    for number, (kind, (internal, options)) in enumerate(KINDS.items()):
        chain.create(kind, f"10.82.{number}.0/24", f"fd82:{number}::/64", internal=internal, options=options)
        run(site.name(kind, 1), kind, published(kind))
        run(site.name(kind, 2), kind)


def run_matrix(root: Path, *, br_netfilter: bool) -> Matrix:
    """Ask every cell that is not void."""
    with new_site(root, br_netfilter=br_netfilter) as site:
        return Matrix(br_netfilter, list(asked_of(site, KINDS)))


def asked_of(site: Site, kinds: Iterable[str]) -> Iterator[Outcome]:
    """The outcomes of all cells of these kinds."""
    for kind, number in itertools.product(kinds, FAMILIES):
        yield from site.batch([c for c in cells() if not c.void and (c.kind, c.family) == (kind, number)])


# -- icmp


def ping(address: str, wait: float) -> str:
    """Send an echo request from the calling thread's namespace; "echo" where it comes back from there."""
    four = ":" not in address
    ident = int.from_bytes(os.urandom(2), "big")
    body = struct.pack("!HH", ident, 1) + b"sanbashi"
    kind, reply = (8, 0) if four else (128, 129)
    packet = struct.pack("!BBH", kind, 0, checksum(struct.pack("!BBH", kind, 0, 0) + body) if four else 0) + body
    with socket.socket(family(address), socket.SOCK_RAW, socket.IPPROTO_ICMP if four else socket.IPPROTO_ICMPV6) as s:
        end = time.monotonic() + wait
        try:
            s.sendto(packet, (address, 0))
            while (left := end - time.monotonic()) > 0:
                s.settimeout(left)
                data, peer = s.recvfrom(2000)
                message = data[(data[0] & 15) * 4 :] if four else data
                if peer[0] == address and message[0] == reply and message[4:6] == body[:2]:
                    return "echo"
        except TimeoutError:
            return NOTHING
        except OSError as error:
            return error.strerror or str(error)
    return NOTHING


# -- told


def mistakes(matrix: Matrix) -> list[str]:
    """Cells that are not as promised, and refusals whose control was not answered."""
    wrong = []
    for outcome in matrix.outcomes:
        if outcome.open != right(outcome.cell):
            wrong.append(f"{outcome.cell}: {outcome.answer}")
        elif not outcome.open and outcome.answer not in OUT:
            wrong.append(f"{outcome.cell}: answered by another: {outcome.answer}")
        elif not outcome.open and not outcome.control:
            wrong.append(f"{outcome.cell}: refused, but so was the control")
    return wrong


def counted(matrix: Matrix) -> str:
    """How many cells were asked, answered, refused and void."""
    answered = sum(o.open for o in matrix.outcomes)
    void = sum(bool(c.void) for c in cells())
    return f"{len(matrix.outcomes) + void} cells: {answered} answered, {len(matrix.outcomes) - answered} refused beside a control, {void} void"


def table(matrix: Matrix) -> str:
    """The outcomes as Markdown, a table an exposure."""
    found = matrix.by_cell()
    lines = []
    for exposure in EXPOSURES:
        lines += [f"### {exposure.capitalize()}", "", "| asked by | " + " | ".join(KINDS) + " |", "|---" * (len(KINDS) + 1) + "|"]
        for asker in ASKERS:
            words = [summary({c: o.open for c, o in found.items() if (c.kind, c.asker, c.exposure) == (k, asker, exposure)}) for k in KINDS]
            lines.append(f"| {asker} | " + " | ".join(words) + " |")
        lines.append("")
    return "\n".join(lines)


def summary(answers: dict[Cell, bool]) -> str:
    """ "yes", "no", or what of it: "icmp", "IPv4", "icmp over IPv4"."""
    opened = [c for c, is_open in answers.items() if is_open]
    if len(opened) == len(answers):
        return "yes"
    if not opened:
        return "no"
    protocols, families = sorted({c.protocol for c in opened}), sorted({c.family for c in opened})
    words = [*([] if len(protocols) == len({c.protocol for c in answers}) else [", ".join(protocols)])]
    words += [] if len(families) == 2 else [f"IPv{families[0]}"]
    whole = {c for c in answers if c.protocol in protocols and c.family in families}
    return (" over ".join(words) if whole == set(opened) else "; ".join(f"{c.protocol} over IPv{c.family}" for c in opened)) + " only"
