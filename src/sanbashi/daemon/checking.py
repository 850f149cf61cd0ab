"""Settings that do not fit each other or the world: one sentence each, before anything is touched."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from ..containers.checks import ULIMITS
from ..errors import Invalid
from ..network.model import LARGEST_MTU, LEAST_MTU, LEAST_MTU_OF_IPV6, carries_ipv6
from .config import DaemonConfig

LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")


def check_settings(config: DaemonConfig) -> None:
    """Invalid for the first setting that cannot be meant."""
    for check in CHECKS:
        for sentence in check(config):
            raise Invalid(sentence)


def level(config: DaemonConfig) -> Iterator[str]:
    if config.log_level not in LOG_LEVELS:
        yield f"invalid logging level: {config.log_level}; it is one of {', '.join(LOG_LEVELS)}"


def roots(config: DaemonConfig) -> Iterator[str]:
    for flag, path in (("data-root", config.data_root), ("exec-root", config.exec_root)):
        if not path.is_absolute():
            yield f"--{flag} {path} is no absolute path"


def default_bridge(config: DaemonConfig) -> Iterator[str]:
    subnet = config.bip.network if config.bip else config.fixed_cidr
    if config.bip and config.bip.network.num_addresses > 2:
        whole = config.bip.network
        if config.bip.ip == whole.network_address:
            yield f"--bip {config.bip} is the address of a network: give the bridge's own address, {whole[1]}/{whole.prefixlen} say"
        if config.bip.version == 4 and config.bip.ip == whole.broadcast_address:
            yield f"--bip {config.bip} is the broadcast address of its network"
    if config.fixed_cidr and config.bip and not inside(config.fixed_cidr, config.bip.network):
        yield f"--fixed-cidr {config.fixed_cidr} is no part of {config.bip.network}, the network of --bip {config.bip}"
    if config.fixed_cidr_v6 and config.fixed_cidr_v6.version != 6:
        yield f"--fixed-cidr-v6 {config.fixed_cidr_v6} is no IPv6 network"
    if config.bip6 and config.bip6.network.num_addresses > 1 and config.bip6.ip == config.bip6.network.network_address:
        yield f"--bip6 {config.bip6} is the address of a network: give the bridge's own address"
    if config.bip6 and config.fixed_cidr_v6 and not inside(config.fixed_cidr_v6, config.bip6.network):
        yield f"--fixed-cidr-v6 {config.fixed_cidr_v6} is no part of {config.bip6.network}, the network of --bip6 {config.bip6}"
    subnet6 = config.bip6.network if config.bip6 else config.fixed_cidr_v6
    if config.default_gateway_v6 and subnet6 and config.default_gateway_v6 not in subnet6:
        yield f"--default-gateway-v6 {config.default_gateway_v6} is no address of {subnet6}, the default network"
    if (config.bip6 or config.default_gateway_v6) and not config.ipv6:
        yield "--bip6 and --default-gateway-v6 are for a default network with IPv6: give --ipv6 too"
    if config.mtu and not LEAST_MTU <= config.mtu <= LARGEST_MTU:
        yield f"invalid default MTU: {config.mtu}"
    elif config.ipv6 and not carries_ipv6(config.mtu):
        yield f"--mtu {config.mtu} has no room for IPv6, which needs {LEAST_MTU_OF_IPV6}: leave out --ipv6"
    if config.default_gateway and subnet and config.default_gateway not in subnet:
        yield f"--default-gateway {config.default_gateway} is no address of {subnet}, the default network"


def inside(part: ipaddress.IPv4Network | ipaddress.IPv6Network, whole: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return part.version == whole.version and part.network_address in whole and part.prefixlen >= whole.prefixlen


def registries(config: DaemonConfig) -> Iterator[str]:
    for mirror in config.registry_mirrors:
        parts = urlsplit(mirror)
        if parts.scheme not in ("http", "https"):
            yield f"invalid mirror: no scheme specified for \"{mirror}\": must use either 'https://' or 'http://'"
        elif not parts.netloc or parts.query or parts.fragment:
            yield f'invalid mirror: "{mirror}" is no URL of a registry'
    for registry in config.insecure_registries:
        if "://" in registry or not registry or any(letter.isspace() for letter in registry):
            yield f"insecure registry {registry} is not valid: give HOST, HOST:PORT or a network"


def limits(config: DaemonConfig) -> Iterator[str]:
    for name, soft, hard in config.default_ulimits:
        if name not in ULIMITS:
            yield f"invalid ulimit type: {name}"
        elif soft > hard != -1 or soft == -1 != hard:
            yield f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"


CHECKS: tuple[Callable[[DaemonConfig], Iterator[str]], ...] = (level, roots, default_bridge, registries, limits)
