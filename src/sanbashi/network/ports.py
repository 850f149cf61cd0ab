"""Port specifications: Docker's words to PortSpecs, and PortSpecs to bindings that nobody else holds."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol as TypingProtocol
from typing import TypeVar

from ..errors import Failed, Invalid
from ..records import dataclass
from .integers import as_bits, lowest_bit
from .model import IPAddress, NetworkFacts, NetworkState, PortBinding, PortSpec, Protocol
from .spelling import bracketed

PROTOCOLS: Mapping[str, Protocol] = {"tcp": "tcp", "udp": "udp", "sctp": "sctp"}
ORDER: Mapping[Protocol, int] = {"tcp": 0, "udp": 1, "sctp": 2}
ANY: Mapping[int, IPAddress] = {4: ipaddress.IPv4Address(0), 6: ipaddress.IPv6Address(0)}

Port = TypeVar("Port", PortSpec, PortBinding)


class Written(TypingProtocol):
    """A host address and port as the user wrote them; both may be empty."""

    @property
    def host_ip(self) -> str: ...

    @property
    def host_port(self) -> str: ...


# -- words


def parse_bindings(
    port_bindings: Mapping[str, Iterable[Written] | None], *, publish_all: bool = False, exposed: Iterable[str] = ()
) -> tuple[PortSpec, ...]:
    """HostConfig.PortBindings, and with `publish_all` the exposed ports that it does not name, in the order in which ports are assigned.

    A container port with an empty list gets an ephemeral port, as Docker backfills it.
    """
    specs: list[PortSpec] = []
    named: set[tuple[int, Protocol]] = set()
    for word, bindings in port_bindings.items():
        for port, protocol in parse_port(word):
            named.add((port, protocol))
            for binding in tuple(bindings or ()) or (None,):
                first, last = parse_host_port(binding.host_port) if binding is not None else (0, 0)
                specs.append(PortSpec(port, protocol, parse_host_ip(binding.host_ip) if binding is not None else None, first, last))
    if publish_all:
        specs += [PortSpec(port, protocol) for port, protocol in exposed_ports(exposed) if (port, protocol) not in named]
    specs.sort(key=assigned_first)
    exact = sum(1 for spec in specs if spec.host_port and not spec.host_port_end)
    return (*runs(specs[:exact]), *specs[exact:])


def assigned_first(spec: PortSpec) -> tuple[object, ...]:
    """Exact ports before ranges and ephemeral ones, then by container port, tcp < udp < sctp, host port, so that none takes what another names."""
    rank = 2 if not spec.host_port else 1 if spec.host_port_end else 0
    return rank, spec.container_port, ORDER[spec.protocol], spec.host_port, spec.host_port_end, str(spec.host_ip or "")


def runs(ports: Iterable[Port]) -> Iterator[Port]:
    """The same with those that follow each other as one: of one protocol and host address, each the next port on both sides."""
    found: list[list[Port]] = []
    last: dict[tuple[str, IPAddress | None, int], list[Port]] = {}
    for port in ports:
        way = port.protocol, port.host_ip, port.host_port - port.container_port
        run = last.get(way, [])
        if port.host_port and run and run[-1].container_port + run[-1].count == port.container_port:
            run.append(port)
            continue
        found.append([port])
        if port.host_port:
            last[way] = found[-1]
    return (run[0] if len(run) == 1 else replace(run[0], count=sum(port.count for port in run)) for run in found)


def exposed_ports(words: Iterable[str]) -> tuple[tuple[int, Protocol], ...]:
    """The keys of ExposedPorts: "80/tcp", "80", "7000-7001/udp"."""
    return tuple(sorted({pair for word in words for pair in parse_port(word)}, key=lambda p: (p[0], ORDER[p[1]])))


@functools.lru_cache(maxsize=2048)  # a container's are read when it is made and at each start, and again among those that it exposes
def parse_port(word: str) -> tuple[tuple[int, Protocol], ...]:
    """A container port or range with its protocol (tcp when not said); Invalid quoting the word."""
    number, slash, name = word.partition("/")
    protocol = PROTOCOLS.get(name.lower()) if slash else "tcp"
    if protocol is None:
        raise Invalid(f"invalid JSON: invalid port '{word}': invalid protocol")
    first, dash, last = number.partition("-")
    numbers = [int(n) for n in ((first, last) if dash else (first,)) if n.isascii() and n.isdigit()]
    if len(numbers) != 1 + bool(dash):
        raise Invalid(f"invalid JSON: invalid port '{word}': invalid syntax")
    if not 0 < numbers[0] <= numbers[-1] <= 65535:
        raise Invalid(f"invalid JSON: invalid port '{word}': value out of range")
    return tuple((n, protocol) for n in range(numbers[0], numbers[-1] + 1))


def parse_host_port(word: str) -> tuple[int, int]:
    """A host port, a range to pick from, or "" for an ephemeral one: (first, last), last 0 where there is one port only."""
    if word in ("", "0"):
        return 0, 0
    first, dash, last = word.partition("-")
    try:
        low, high = int(first), int(last) if dash else 0
    except ValueError:
        raise Invalid(f'invalid port specification: "{word}"') from None
    if not 0 < low <= 65535 or (dash and not low <= high <= 65535):
        raise Invalid(f'invalid port specification: "{word}"')
    return low, high if high > low else 0


def parse_host_ip(word: str) -> IPAddress | None:
    """A host address; None for "" (every address of both families)."""
    if not word:
        return None
    try:
        return ipaddress.ip_address(word.strip("[]"))
    except ValueError:
        raise Invalid(f'invalid JSON: ParseAddr("{word}"): unable to parse IP') from None


# -- assigning


@dataclass(frozen=True, slots=True)
class Place:
    """Where one publication of a family goes: the host address, and whether the family is translated (else it is routed: no host port)."""

    host_ip: IPAddress
    translated: bool = True

    def bindings(self, spec: PortSpec, port: int) -> Iterator[PortBinding]:
        """A specification that got this host port, as it stands here."""
        if self.translated:
            yield PortBinding(spec.protocol, self.host_ip, port, spec.container_port, spec.count)
        else:
            yield from (PortBinding(spec.protocol, self.host_ip, 0, spec.container_port + n) for n in range(spec.count))


class Assigning:
    """The ports of one sandbox being assigned: what others hold is in `state`, what this one has taken so far is here."""

    def __init__(self, state: NetworkState, facts: NetworkFacts, avoid: frozenset[tuple[str, int]], standing: Iterable[PortBinding]) -> None:
        self.state, self.facts, self.avoid = state, facts, avoid
        self.mine: dict[tuple[Protocol, IPAddress], int] = {}  # a bit a port
        self.shut: dict[tuple[Protocol, IPAddress], int] = {}  # the same for what cannot be had on an address, found out once an address
        self.busy: dict[Protocol, int] = {}  # the same for what anybody holds on any address; only who looks for an ephemeral port needs it
        self.kept_away: dict[str, int] = {}
        self.standing: dict[tuple[Protocol, IPAddress, int], list[int]] = {}
        for binding in (b for run in standing for b in run.each()):
            self.standing.setdefault((binding.protocol, binding.host_ip, binding.container_port), []).append(binding.host_port)

    def assign(self, spec: PortSpec, addresses: Collection[IPAddress]) -> int:
        """The (first) host port of a specification, the same on all these addresses.

        Raises Taken for an explicit port that somebody holds, Failed when a range or the ephemeral ports are used up.
        """
        port = self.choose(spec, addresses)
        numbers = span(port, spec.count)
        for address in addresses:
            self.mine[spec.protocol, address] = self.mine.get((spec.protocol, address), 0) | numbers
            for place in beside(self.shut, spec.protocol, address):
                self.shut[place] |= numbers
        if spec.protocol in self.busy:
            self.busy[spec.protocol] |= numbers
        return port

    def choose(self, spec: PortSpec, addresses: Collection[IPAddress]) -> int:
        if spec.host_port and not spec.host_port_end:
            if (clash := self.clash(spec.protocol, spec.host_port, addresses, spec.count)) is not None:
                raise clash
            return spec.host_port
        low, high = (spec.host_port, spec.host_port_end) if spec.host_port else self.facts.ephemeral
        first = next(iter(addresses))
        for port in self.standing.get((spec.protocol, first, spec.container_port), ()):
            if low <= port <= high and (spec.protocol, port) not in self.avoid and self.clash(spec.protocol, port, addresses) is None:
                return port
        found = self.lowest(spec, low, high, addresses) if spec.host_port else self.next_ephemeral(spec.protocol, low, high)
        if found is None:
            words = "all ports are allocated" if not spec.host_port else f"Bind for {first}:{high} failed: port is already allocated"
            raise Failed(words, hint=f"no port of {low}-{high}/{spec.protocol} is free")
        return found

    def lowest(self, spec: PortSpec, low: int, high: int, addresses: Collection[IPAddress]) -> int | None:
        """The first free port of a range that the user gave."""
        away = as_bits(port for protocol, port in self.avoid if protocol == spec.protocol) if self.avoid else 0
        for address in addresses:
            away |= self.shut_on(spec.protocol, address)
        free = span(0, high - low + 1) & ~(away >> low)
        return low + lowest_bit(free) if free else None

    def next_ephemeral(self, protocol: Protocol, low: int, high: int) -> int | None:
        """The port after the highest ephemeral one in use, from the start again where that is the last; free on every address, found by bits."""
        mask = span(0, high - low + 1)
        if protocol not in self.busy:
            self.busy[protocol] = self.held(protocol)
        held = self.busy[protocol]
        free = mask & ~((held | self.unusable(protocol)) >> low)
        if not free:
            return None
        after = (held >> low & mask).bit_length()
        chosen = free >> after << after or free
        return low + (chosen & -chosen).bit_length() - 1

    def unusable(self, protocol: Protocol) -> int:
        """The ports that the host keeps for others or was found to use, a bit each; made once a protocol."""
        if protocol not in self.kept_away:
            away = (*self.facts.reserved_ports, *(port for other, port in self.avoid if other == protocol))
            self.kept_away[protocol] = as_bits(away)
        return self.kept_away[protocol]

    def held(self, protocol: Protocol) -> int:
        """The ports that are held on any address, this sandbox's among them, a bit each."""
        numbers = 0
        for places in (((place, held.numbers) for place, held in self.state.host_ports.items()), self.mine.items()):
            for (other, _), more in places:
                if other == protocol:
                    numbers |= more
        return numbers

    def shut_on(self, protocol: Protocol, address: IPAddress) -> int:
        """The ports that cannot be had on an address: held there, or on what cannot be beside it."""
        if (protocol, address) not in self.shut:
            held = self.state.host_ports
            numbers = 0
            for place in beside(held, protocol, address):
                numbers |= held[place].numbers
            for place in beside(self.mine, protocol, address):
                numbers |= self.mine[place]
            self.shut[protocol, address] = numbers
        return self.shut[protocol, address]

    def clash(self, protocol: Protocol, port: int, addresses: Iterable[IPAddress], count: int = 1) -> Taken | None:
        """The first of these addresses on which one of `count` ports from this one on is held."""
        for address in addresses:
            if taken := self.shut_on(protocol, address) >> port & span(0, count):
                number = port + lowest_bit(taken)
                held = self.state.host_ports
                holders = (held[place].holder(number) for place in beside(held, protocol, address) if held[place].numbers >> number & 1)
                return Taken(address, number, protocol, next(holders, ""))
        return None


def beside(places: Mapping[tuple[Protocol, IPAddress], object], protocol: Protocol, address: IPAddress) -> list[tuple[Protocol, IPAddress]]:
    """Those of these places where a port takes the same port on this address: of a single address two look-ups, however many there are."""
    if address.is_unspecified:
        return [place for place in places if place[0] == protocol and place[1].version == address.version]
    everywhere = ANY[address.version]
    return [place for place in ((protocol, address), (protocol, everywhere)) if place in places]


def span(first: int, count: int) -> int:
    """A bit for each of `count` ports from the first on."""
    return ((1 << count) - 1) << first


class Taken(Exception):
    """An explicit host port is held by `holder`, an endpoint's id, or "" when the same container names it twice."""

    def __init__(self, address: IPAddress, port: int, protocol: Protocol, holder: str) -> None:
        super().__init__(f"Bind for {address}:{port} failed: port is already allocated")
        self.address, self.port, self.protocol, self.holder = address, port, protocol, holder

    def hint(self, state: NetworkState) -> str:
        """Who holds it."""
        where = f"host port {bracketed(self.address)}:{self.port}/{self.protocol}"
        holder = state.endpoints.get(self.holder)
        return f"{where} is published by container {holder.container_name}" if holder else f"{where} is asked for twice by this container"
