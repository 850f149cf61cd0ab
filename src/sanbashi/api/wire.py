"""JSON to typed requests: the border where a request is parsed, once."""

from __future__ import annotations

import base64
import binascii
import functools
import types
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from ..containers.model import ExecConfig, Wire
from ..errors import Invalid
from ..network.model import EndpointWish, NetworkRequest, SubnetRequest
from .addresses import parse_address, parse_mac, parse_prefix

T = TypeVar("T")
INT64 = 2**63


class IPAMSettings(Wire, frozen=True, kw_only=True, rename="pascal"):
    """The addresses that an endpoint wants."""

    ipv4_address: str = msgspec.field(default="", name="IPv4Address")
    ipv6_address: str = msgspec.field(default="", name="IPv6Address")
    link_local_ips: tuple[str, ...] = msgspec.field(default=(), name="LinkLocalIPs")


class EndpointSettings(Wire, frozen=True, kw_only=True, rename="pascal"):
    """How a container asks to join a network; what only answers carry is ignored."""

    ipam_config: IPAMSettings | None = msgspec.field(default=None, name="IPAMConfig")
    links: tuple[str, ...] = ()
    aliases: tuple[str, ...] | None = None
    mac_address: str = ""
    driver_opts: Mapping[str, str] | None = None
    gw_priority: int = 0


class Networking(Wire, frozen=True, kw_only=True, rename="pascal"):
    """`NetworkingConfig` of create."""

    endpoints_config: Mapping[str, EndpointSettings | None] = {}


class Pool(Wire, frozen=True, kw_only=True, rename="pascal"):
    """One entry of IPAM.Config."""

    subnet: str = ""
    ip_range: str = msgspec.field(default="", name="IPRange")
    gateway: str = ""
    auxiliary_addresses: Mapping[str, str] = {}


class IPAM(Wire, frozen=True, kw_only=True, rename="pascal"):
    """Address management of a network to be."""

    driver: str = ""
    options: Mapping[str, str] | None = None
    config: tuple[Pool, ...] = ()


class ConfigFrom(Wire, frozen=True, kw_only=True, rename="pascal"):
    """The network whose settings are taken over."""

    network: str = ""


class NetworkBody(Wire, frozen=True, kw_only=True, rename="pascal"):
    """`POST /networks/create`; CheckDuplicate of old clients is ignored, names are always unique."""

    name: str = ""
    driver: str = ""
    scope: str = ""
    enable_ipv4: bool | None = msgspec.field(default=None, name="EnableIPv4")
    enable_ipv6: bool | None = msgspec.field(default=None, name="EnableIPv6")
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: ConfigFrom = ConfigFrom()
    ipam: IPAM = msgspec.field(default=IPAM(), name="IPAM")
    options: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}


class ConnectBody(Wire, frozen=True, kw_only=True, rename="pascal"):
    """`POST /networks/{id}/connect`."""

    container: str = ""
    endpoint_config: EndpointSettings = EndpointSettings()


class DisconnectBody(Wire, frozen=True, kw_only=True, rename="pascal"):
    """`POST /networks/{id}/disconnect`."""

    container: str = ""
    force: bool = False


class VolumeBody(Wire, frozen=True, kw_only=True, rename="pascal"):
    """`POST /volumes/create`."""

    name: str = ""
    driver: str = ""
    driver_opts: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    cluster_volume_spec: Mapping[str, Any] | None = None


class ExecStart(Wire, frozen=True, kw_only=True, rename="pascal"):
    """`POST /exec/{id}/start`."""

    detach: bool = False
    tty: bool = False
    console_size: tuple[int, int] | None = None


# -- decoding


def decode(document: Any, kind: type[T], inside: str = "") -> T:
    """A JSON value as one of our structs; nulls are as good as absent, as for Go's decoder. Invalid says where it does not fit.

    `inside` names the part of the body that the value is.
    """
    if document is None:
        document = {}
    try:
        return msgspec.convert(without_nulls(document, kind), kind)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).replace("`", "").partition(" - at ")
        path = ".".join(filter(None, (inside, where.removeprefix("$").removeprefix("."))))
        raise Invalid(f"invalid JSON: {path or 'the body'}: {reason[:1].lower()}{reason[1:]}") from error
    except RecursionError as error:
        raise Invalid("invalid JSON: it is nested too deeply") from error


def without_nulls(value: Any, kind: Any) -> Any:
    """The value without the nulls that stand for fields of structs; keys that users choose keep theirs. Numbers must fit 64 bits, as Go's do."""
    if isinstance(value, int):
        if not -INT64 <= value < INT64:
            raise Invalid(f"invalid JSON: the number {value} does not fit 64 bits")
        return value
    if isinstance(value, list):
        inner = get_args(kind)[0] if get_origin(kind) is tuple else Any
        return [without_nulls(v, inner) for v in value]
    if not isinstance(value, dict):
        return value
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = fields_of(kind)
        known = ((field_name(fields, k), v) for k, v in value.items())
        return {k: without_nulls(v, fields[k]) for k, v in known if k and v is not None}
    inner = get_args(kind)[1] if get_origin(kind) is not None and len(get_args(kind)) == 2 else Any
    inner = not_none(inner)
    return {k: without_nulls(v, inner) for k, v in value.items()}


@functools.cache
def fields_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """JSON name -> type, with what is optional stripped of its None."""
    hints = get_type_hints(kind)
    return {f.encode_name: not_none(hints[f.name]) for f in msgspec.structs.fields(kind)}


@functools.lru_cache(maxsize=4096)
def folded(kind_fields: tuple[str, ...]) -> dict[str, str]:
    """Lower-case name -> name."""
    return {name.lower(): name for name in kind_fields}


def field_name(fields: Mapping[str, Any], key: str) -> str:
    """The field that a key of the body means, "" for none: case does not matter, as for Go's decoder; docker-py sends `detachKeys`, for one."""
    return key if key in fields else folded(tuple(fields)).get(key.lower(), "")


def not_none(kind: Any) -> Any:
    """X of X | None."""
    if get_origin(kind) in (Union, types.UnionType):
        rest = [a for a in get_args(kind) if a is not type(None)]
        return rest[0] if len(rest) == 1 else Any
    return kind


# -- containers


def part_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    """An object inside the body."""
    part = next((value for key, value in document.items() if key.lower() == name.lower()), None)
    if part is not None and not isinstance(part, dict):
        raise Invalid(f"invalid JSON: {name}: expected object")
    return part or {}


def with_word_lists(document: Any, *names: str) -> Any:
    """Where a list of words may be written as one string, the list."""
    if not isinstance(document, dict):
        return document
    lists = {name.lower() for name in names}
    return {key: [value] if isinstance(value, str) and key.lower() in lists else value for key, value in document.items()}


def exec_body(document: Any) -> ExecConfig:
    """`POST /containers/{id}/exec`, parsed."""
    config = decode(with_word_lists(document, "Cmd"), ExecConfig)
    if not config.cmd:
        raise Invalid("no exec command specified")
    return config


class BadEndpoint(Invalid):
    """Endpoint settings that contradict themselves; create says for which network, connect does not."""


def endpoint_wish(network: str, settings: EndpointSettings) -> EndpointWish:
    """EndpointSettings as what a container wants of one network."""
    ipam = settings.ipam_config or IPAMSettings()
    faults = []
    ipv4 = parse_address(ipam.ipv4_address) if ipam.ipv4_address else None
    ipv6 = parse_address(ipam.ipv6_address) if ipam.ipv6_address else None
    if ipv4 is not None and not isinstance(ipv4, IPv4Address):
        faults.append(f"invalid IPv4 address: {ipv4}")
    if ipv6 is not None and (not isinstance(ipv6, IPv6Address) or ipv6.scope_id):
        faults.append(f"invalid IPv6 address: {ipv6}")
    if faults:
        raise BadEndpoint("invalid endpoint settings:\n" + joined(faults))
    return EndpointWish(
        network=network,
        aliases=settings.aliases or (),
        links=settings.links,
        ipv4=ipv4 if isinstance(ipv4, IPv4Address) else None,
        ipv6=ipv6 if isinstance(ipv6, IPv6Address) else None,
        link_local=tuple(parse_address(a) for a in ipam.link_local_ips),
        mac=parse_mac(settings.mac_address) if settings.mac_address else "",
        driver_options=dict(settings.driver_opts or {}),
        gateway_priority=settings.gw_priority,
        has_ipam=settings.ipam_config is not None,
        has_aliases=settings.aliases is not None,
        has_driver_options=settings.driver_opts is not None,
    )


def joined(faults: list[str]) -> str:
    """Several faults as Docker lists them."""
    return faults[0] if len(faults) == 1 else "\n".join(f"* {f}" for f in faults)


# -- networks


def network_request(document: Any) -> NetworkRequest:
    """`POST /networks/create`, parsed."""
    body = decode(document, NetworkBody)
    return NetworkRequest(
        name=body.name,
        driver=body.driver or "bridge",
        scope=body.scope,
        enable_ipv4=body.enable_ipv4,
        enable_ipv6=body.enable_ipv6,
        internal=body.internal,
        attachable=body.attachable,
        ingress=body.ingress,
        config_only=body.config_only,
        config_from=body.config_from.network,
        ipam_driver=body.ipam.driver or "default",
        ipam_options=body.ipam.options,
        subnets=tuple(subnet_request(pool) for pool in body.ipam.config),
        options=dict(body.options),
        labels=dict(body.labels),
    )


def subnet_request(pool: Pool) -> SubnetRequest:
    """One pool; what has host bits is kept as it was written, for the sentence that refuses it."""
    subnet, clean = parse_prefix(pool.subnet) if pool.subnet else (None, True)
    ip_range, clean_range = parse_prefix(pool.ip_range) if pool.ip_range else (None, True)
    return SubnetRequest(
        subnet=subnet,
        subnet_word="" if clean else pool.subnet,
        ip_range=ip_range,
        range_word="" if clean_range else pool.ip_range,
        gateway=parse_address(pool.gateway) if pool.gateway else None,
        auxiliary={name: parse_address(text) for name, text in pool.auxiliary_addresses.items()},
    )


# -- credentials


def credentials(header: str) -> dict[str, str]:
    """X-Registry-Auth: base64url of {"username", "password", "identitytoken", ...}; {} where there is none."""
    if not header:
        return {}
    try:
        document = msgspec.json.decode(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise Invalid(f"invalid X-Registry-Auth header: {error}") from error
    if not isinstance(document, dict):
        raise Invalid("invalid X-Registry-Auth header: expected an object")
    return {k: v for k, v in document.items() if isinstance(v, str)}


class LoginBody(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /auth`; clients send the old names as well."""

    username: str = ""
    password: str = ""
    identitytoken: str = ""
    registrytoken: str = ""
    serveraddress: str = ""
    auth: str = ""
    email: str = ""


def login_body(body: Any) -> tuple[str, dict[str, str]]:
    """The address of a login and its credentials."""
    wish = decode(body, LoginBody)
    return wish.serveraddress, {"username": wish.username, "password": wish.password, "identitytoken": wish.identitytoken}


def registries(header: str) -> dict[str, dict[str, str]]:
    """X-Registry-Config: the same for several registries, by address; {} where there is none."""
    if not header:
        return {}
    try:
        document = msgspec.json.decode(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)), type=dict[str, dict[str, str | None]] | None)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise Invalid(f"invalid X-Registry-Config header: {error}") from error
    # The SDK for Python writes null for what a stored login has not, its email for one.
    return {address: {k: v for k, v in login.items() if v is not None} for address, login in (document or {}).items()}
