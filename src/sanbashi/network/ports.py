"""Port specifications: Docker's words to PortSpecs, and PortSpecs to bindings that nobody else holds."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol as TypingProtocol

import immutables

from ..errors import Failed, Invalid
from .integers import as_bits
from .model import IPAddress, NetworkFacts, NetworkState, PortBinding, PortSpec, Protocol
from .spelling import bracketed

PROTOCOLS: Mapping[str, Protocol] = {"tcp": "tcp", "udp": "udp", "sctp": "sctp"}
ORDER: Mapping[Protocol, int] = {"tcp": 0, "udp": 1, "sctp": 2}

NOBODY: immutables.Map[IPAddress, str] = immutables.Map()


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
    return tuple(sorted(specs, key=assigned_first))


def assigned_first(spec: PortSpec) -> tuple[object, ...]:
    """Exact ports before ranges and ephemeral ones, then by container port, tcp < udp < sctp, host port, so that none takes what another names."""
    rank = 2 if not spec.host_port else 1 if spec.host_port_end else 0
    return rank, spec.container_port, ORDER[spec.protocol], spec.host_port, spec.host_port_end, str(spec.host_ip or "")


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


class Assigning:
    """The ports of one sandbox being assigned: what others hold is in `state`, what this one has taken so far is here."""

    def __init__(self, state: NetworkState, facts: NetworkFacts, avoid: frozenset[tuple[str, int]], standing: Iterable[PortBinding]) -> None:
        self.state, self.facts, self.avoid = state, facts, avoid
        self.mine: dict[tuple[str, int], list[IPAddress]] = {}
        self.held: dict[str, int] = dict(state.busy_ports)  # a bit a port, by protocol: held by anybody, this sandbox among them but for `fresh`
        self.fresh: dict[str, list[int]] = {}  # by protocol, not in `held` yet: only who looks for an ephemeral port needs it
        self.kept_away: dict[str, int] = {}
        self.standing: dict[tuple[Protocol, IPAddress, int], list[int]] = {}
        for binding in standing:
            self.standing.setdefault((binding.protocol, binding.host_ip, binding.container_port), []).append(binding.host_port)

    def assign(self, spec: PortSpec, places: Iterable[Place]) -> tuple[PortBinding, ...]:
        """The bindings of one specification, one for each place, all with the same host port.

        Raises Taken for an explicit port that somebody holds, Failed when a range or the ephemeral ports are used up.
        """
        places = tuple(places)
        addresses = [p.host_ip for p in places if p.translated]
        port = 0
        if addresses:
            port = self.choose(spec, addresses)
            self.mine.setdefault((spec.protocol, port), []).extend(addresses)
            self.fresh.setdefault(spec.protocol, []).append(port)
        return tuple(PortBinding(spec.protocol, p.host_ip, port if p.translated else 0, spec.container_port) for p in places)

    def choose(self, spec: PortSpec, addresses: list[IPAddress]) -> int:
        if spec.host_port and not spec.host_port_end:
            if (clash := self.clash(spec.protocol, spec.host_port, addresses)) is not None:
                raise Taken(clash[0], spec.host_port, spec.protocol, clash[1])
            return spec.host_port
        low, high = (spec.host_port, spec.host_port_end) if spec.host_port else self.facts.ephemeral
        for port in self.standing.get((spec.protocol, addresses[0], spec.container_port), ()):
            if low <= port <= high and (spec.protocol, port) not in self.avoid and self.clash(spec.protocol, port, addresses) is None:
                return port
        found = self.lowest(spec, low, high, addresses) if spec.host_port else self.next_ephemeral(spec.protocol, low, high)
        if found is None:
            words = "all ports are allocated" if not spec.host_port else f"Bind for {addresses[0]}:{high} failed: port is already allocated"
            raise Failed(words, hint=f"no port of {low}-{high}/{spec.protocol} is free")
        return found

    def lowest(self, spec: PortSpec, low: int, high: int, addresses: list[IPAddress]) -> int | None:
        """The first free port of a range that the user gave."""
        ports = (p for p in range(low, high + 1) if (spec.protocol, p) not in self.avoid)
        return next((p for p in ports if self.clash(spec.protocol, p, addresses) is None), None)

    def next_ephemeral(self, protocol: Protocol, low: int, high: int) -> int | None:
        """The port after the highest ephemeral one in use, from the start again where that is the last; free on every address, found by bits."""
        mask = (1 << (high - low + 1)) - 1
        held = self.held.get(protocol, 0) | as_bits(self.fresh.pop(protocol, ()))
        self.held[protocol] = held
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

    def clash(self, protocol: Protocol, port: int, addresses: Iterable[IPAddress]) -> tuple[IPAddress, str] | None:
        """The first of these addresses on which the port is held, and by which endpoint ("" for this very sandbox)."""
        held: Mapping[IPAddress, str] = self.state.host_ports.get((protocol, port), NOBODY)
        mine = self.mine.get((protocol, port), ())
        for address in addresses:
            for other in (*held, *mine):
                if other.version == address.version and (other == address or other.is_unspecified or address.is_unspecified):
                    return address, held.get(other, "")
        return None


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
