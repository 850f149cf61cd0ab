"""Which names stand for which addresses: zones by network, looked up in the order of one sandbox's networks.

Addresses are kept packed (4 or 16 bytes), names in lower case. The rules are those of libnetwork's Sandbox.ResolveName.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import field
from typing import TypeVar

from sanbashi.network.picture import THE_HOST, Names, Resolver, Zone

from ..records import dataclass
from .wire import lower

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class View:
    """What one sandbox sees: networks in order and links of its own; sandboxes with equal views share their kept answers.

    `links`: (alias in lower case, network id or "", packed addresses).
    """

    networks: tuple[str, ...]
    links: tuple[tuple[str, str, tuple[bytes, ...]], ...] = ()
    ndots_set: bool = False

    @classmethod
    def of(cls, resolver: Resolver) -> View:
        links = tuple((lower(alias), network, tuple(a.packed for a in addresses)) for alias, network, addresses in resolver.links)
        return cls(resolver.networks, links, resolver.ndots_set)


@dataclass(slots=True)
class Table:
    """One network's names: name -> endpoint -> addresses, and address -> endpoint -> first name."""

    name: str = ""
    names: dict[str, dict[str, tuple[bytes, ...]]] = field(default_factory=dict)
    first: dict[bytes, dict[str, str]] = field(default_factory=dict)
    host: dict[str, tuple[bytes, ...]] = field(default_factory=dict)  # names of the host itself on this network

    def holders(self, name: str) -> Mapping[str, tuple[bytes, ...]]:
        """Who has a name, or the closest wildcard above it ("*.app.local"): endpoint -> addresses."""
        holders = self.names.get(name)
        dot = -1
        while holders is None and (dot := name.find(".", dot + 1)) >= 0:
            holders = self.names.get("*" + name[dot:])
        return holders or {}

    def addresses(self, name: str) -> list[bytes]:
        """The addresses of a name, each once."""
        return list(dict.fromkeys(address for addresses in self.holders(name).values() for address in addresses))

    def container(self, endpoint: str, addresses: tuple[bytes, ...]) -> str:
        """What the container of an endpoint is called."""
        return next((self.first[address][endpoint] for address in addresses), endpoint)


class Directory:
    """All zones. `add` and `remove` take the items of the picture; a network's names may come before its zone."""

    def __init__(self) -> None:
        self._tables: dict[str, Table] = {}

    def add(self, item: Zone | Names) -> None:
        if isinstance(item, Names) and not item.names:
            return
        table = self._tables.setdefault(item.network, Table())
        if isinstance(item, Zone):
            table.name = lower(item.name)
            return
        addresses = tuple(address.packed for address in item.addresses)
        if item.endpoint == THE_HOST:
            table.host = dict.fromkeys(map(lower, item.names), addresses)
            return
        for name in item.names:
            table.names.setdefault(lower(name), {})[item.endpoint] = addresses
        for address in addresses:
            table.first.setdefault(address, {})[item.endpoint] = item.names[0]

    def remove(self, item: Zone | Names) -> None:
        table = self._tables.get(item.network)
        if table is None:
            return
        if isinstance(item, Zone):
            table.name = ""
        elif item.endpoint == THE_HOST:
            table.host = {}
        else:
            for name in item.names:
                drop(table.names, lower(name), item.endpoint)
            for address in item.addresses:
                drop(table.first, address.packed, item.endpoint)
        if not (table.name or table.names or table.first or table.host):
            del self._tables[item.network]

    def find(self, view: View, name: str, length: int) -> tuple[list[bytes], bool]:
        """The addresses of `length` bytes that `name` has in this view, and whether the name exists at all."""
        exists = False
        for part, zone in readings(name):
            for alias, network, addresses in view.links:
                if alias == part and (not zone or self._zone(network) == zone):
                    if found := [address for address in addresses if len(address) == length]:
                        return found, True
                    exists = True
            for network in view.networks:
                table = self._tables.get(network)
                if table is None or (zone and table.name != zone):
                    continue
                if addresses_ := table.addresses(part):
                    if found := [address for address in addresses_ if len(address) == length]:
                        return found, True
                    exists = True
        return ([], True) if exists else self.find_host(view, name, length)

    def find_host(self, view: View, name: str, length: int) -> tuple[list[bytes], bool]:
        """The same for the names of the host itself, which nobody else has."""
        tables = [table for network in view.networks if (table := self._tables.get(network)) is not None and name in table.host]
        return [a for table in tables[:1] for a in table.host[name] if len(a) == length], bool(tables)

    def name_of(self, view: View, address: bytes) -> str | None:
        """NAME.NETWORK of the endpoint that has a packed address in this view."""
        for network in view.networks:
            table = self._tables.get(network)
            if table is not None and (holders := table.first.get(address)):
                first = next(iter(holders.values()))
                return f"{first}.{table.name}" if table.name else first
        return None

    # -- for the host, which sees every network

    def find_anywhere(self, name: str) -> tuple[bytes, ...]:
        """The addresses of NAME.NETWORK on that network; else of NAME, where it says one thing; () where nobody or more than one has it."""
        for part, zone in readings(name):
            for table in self._tables.values() if zone else ():
                if table.name == zone and (addresses := table.addresses(part)):
                    return tuple(addresses)
        exact = [(table, table.names.get(name, {})) for table in self._tables.values()]
        return one_of(name, exact) or one_of(name, [(table, table.holders(name)) for table in self._tables.values()])

    def is_zone(self, name: str) -> bool:
        """Whether something may be called ANYTHING.name: it is a network, or the end of a network's name with dots in it."""
        return any(table.name == name or table.name.endswith(f".{name}") for table in self._tables.values())

    def anywhere_name_of(self, address: bytes) -> str | None:
        """NAME.NETWORK of the endpoint that has a packed address."""
        for table in self._tables.values():
            if table.name and (holders := table.first.get(address)):
                return f"{next(iter(holders.values()))}.{table.name}"
        return None

    def _zone(self, network: str) -> str:
        table = self._tables.get(network)
        return table.name if table else ""


def one_of(name: str, found: Iterable[tuple[Table, Mapping[str, tuple[bytes, ...]]]]) -> tuple[bytes, ...]:
    """The addresses that a name without its network stands for: of the container that is called so, wherever it is; of an alias, where all who
    have it are on one network or are one container."""
    containers: dict[str, dict[bytes, None]] = {}
    networks = 0
    for table, holders in found:
        networks += bool(holders)
        for endpoint, addresses in holders.items():
            containers.setdefault(lower(table.container(endpoint, addresses)), {}).update(dict.fromkeys(addresses))
    if name in containers:
        return tuple(containers[name])
    if networks > 1 and len(containers) > 1:
        return ()
    return tuple(dict.fromkeys(address for addresses in containers.values() for address in addresses))


def readings(name: str) -> Iterator[tuple[str, str]]:
    """The ways to read a name: as it is, then as NAME.NETWORK for each dot from the right; (name, network or "")."""
    yield name, ""
    dot = name.rfind(".")
    while dot > 0:
        yield name[:dot], name[dot + 1 :]
        dot = name.rfind(".", 0, dot)


def drop(table: MutableMapping[Key, dict[str, Value]], key: Key, endpoint: str) -> None:
    """Take one endpoint out of the holders of a key, and the key with the last of them; already gone is fine."""
    if (holders := table.get(key)) is not None:
        holders.pop(endpoint, None)
        if not holders:
            del table[key]
