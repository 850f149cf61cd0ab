"""Objects to the bytes of a row and back: msgspec writes them, their own type hints read them.

msgspec cannot decode a union of two foreign types (IPv4Address | IPv6Address), which the network's models are full of, so a reader is built
once for each type from its annotations; types without such a union go through msgspec's own decoder.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..containers.model import Container
from ..images.model import Image
from ..network.model import Endpoint, Network, Sandbox
from ..network.spelling import spelled
from ..volumes.model import Volume

KINDS: Mapping[str, type] = {
    "network": Network,
    "sandbox": Sandbox,
    "endpoint": Endpoint,
    "container": Container,
    "image": Image,
    "volume": Volume,
}

ADDRESSES = {ipaddress.IPv4Address, ipaddress.IPv6Address}
INTERFACES = {ipaddress.IPv4Interface, ipaddress.IPv6Interface}
NETWORKS = {ipaddress.IPv4Network, ipaddress.IPv6Network}

Reader = Callable[[Any], Any]


def encode(value: object) -> bytes:
    """The JSON of a saved object; addresses as text."""
    return msgspec.json.encode(value, enc_hook=spelled)


def decode(kind: str, row: bytes) -> Any:
    """The object of a row; ValueError (msgspec.ValidationError among them) where the row is not of this kind."""
    try:
        return reader(KINDS[kind])(msgspec.json.decode(row))
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"no {kind}: {error}") from error


@functools.cache
def reader(annotation: Any) -> Reader:
    """A function that makes a value of this annotation from plain JSON values."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return union_reader(set(arguments))
    if origin is tuple and arguments[-1] is Ellipsis:
        item = reader(arguments[0])
        return lambda value: tuple(item(v) for v in value)
    if origin is tuple:
        items = [reader(a) for a in arguments]
        return lambda value: tuple(read(v) for read, v in zip(items, value, strict=True))
    if origin in (Mapping, dict) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        item = reader(arguments[1])
        return lambda value: {k: item(v) for k, v in value.items()}
    if annotation in ADDRESSES:
        return address_of
    if annotation in INTERFACES | NETWORKS:
        return typing.cast(Reader, annotation)
    if dataclasses.is_dataclass(annotation):
        return fields_reader(annotation, {f.name: f.name for f in dataclasses.fields(annotation)})
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return struct_reader(annotation)
    return as_it_is


def as_it_is(value: Any) -> Any:
    return value


@functools.lru_cache(maxsize=1024)
def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address that a text spells, kept: thousands of ports are published on the same few."""
    return ipaddress.ip_address(text)


def union_reader(members: set[Any]) -> Reader:
    """Optional values, and the three pairs of address types."""
    rest = members - {type(None)}
    if rest <= ADDRESSES:
        read: Reader = address_of
    elif rest <= INTERFACES:
        read = ipaddress.ip_interface
    elif rest <= NETWORKS:
        read = ipaddress.ip_network
    elif len(rest) == 1:
        read = reader(rest.pop())
    else:
        raise TypeError(f"no reader for a union of {members}")
    return lambda value: None if value is None else read(value)


def struct_reader(annotation: type[msgspec.Struct]) -> Reader:
    """A msgspec struct: by msgspec itself where it can."""
    try:
        msgspec.json.Decoder(annotation)
    except TypeError:
        return fields_reader(annotation, {f.name: f.encode_name for f in msgspec.structs.fields(annotation)})
    return functools.partial(msgspec.convert, type=annotation)


def fields_reader(annotation: Any, names: Mapping[str, str]) -> Reader:
    """A value made field by field; a field that the row lacks (written by an older version) takes its default."""
    hints = typing.get_type_hints(annotation)
    readers = [(name, wire, reader(hints[name])) for name, wire in names.items()]
    kept = [(name, wire) for name, wire, of in readers if of is as_it_is]
    made = [(name, wire, of) for name, wire, of in readers if of is not as_it_is]

    def read(value: Mapping[str, Any]) -> Any:
        given = {name: value[wire] for name, wire in kept if wire in value}
        return annotation(**given, **{name: of(value[wire]) for name, wire, of in made if wire in value})

    return read
