"""The options of bridge networks and their endpoints, parsed once into values; Docker's keys and words."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Literal

from ..errors import Failed, Invalid
from ..records import dataclass
from .model import LARGEST_MTU, LEAST_MTU, LEAST_MTU_OF_IPV6, IPAddress, IPNetwork, Network, carries_ipv6
from .names import is_interface_name

PREFIX = "com.docker.network."
ENABLE_IPV4, ENABLE_IPV6, INTERNAL = PREFIX + "enable_ipv4", PREFIX + "enable_ipv6", PREFIX + "internal"
ADVERTISE_TIMES, ADVERTISE_EVERY = PREFIX + "advertise_addr_nmsgs", PREFIX + "advertise_addr_ms"
IFNAME, ENDPOINT_SYSCTLS = PREFIX + "endpoint.ifname", PREFIX + "endpoint.sysctls"
# Ours: "false" lets a container send from addresses and MACs that we did not give it (VRRP, engines within containers).
ANTI_SPOOFING = "io.sanbashi.anti_spoofing"
# Ours: an internal network may publish ports; routes that containers get beside the default one; no default route at all.
INBOUND, ROUTES, NO_DEFAULT_ROUTE = "io.sanbashi.inbound", "io.sanbashi.routes", "io.sanbashi.no_default_route"
# Ours: whether published ports first pass the host's own input policy (ufw, firewalld); the daemon's --host-input where it is absent.
HOST_INPUT = "io.sanbashi.host_input"
# Ours: whom the resolvers of containers on this network ask, "192.0.2.53,2001:db8::53"; a container's own --dns goes before it.
NAME_SERVERS = "io.sanbashi.dns"
Mode = Literal["nat", "nat-unprotected", "routed", "isolated"]
MODES: Mapping[str, Mode] = {"nat": "nat", "nat-unprotected": "nat-unprotected", "routed": "routed", "isolated": "isolated"}
DEFAULT_MTU = 1500
DEFAULT_PREFIX = "eth"
OwnRoute = tuple[IPNetwork, IPAddress]  # destination, gateway


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeOptions:
    """What `-o` says of a bridge network. `mtu` 0 leaves it to the kernel; `source4`/`source6` replace masquerading."""

    name: str = ""
    masquerade: bool = True
    icc: bool = True
    mode4: Mode = "nat"
    mode6: Mode = "nat"
    inhibit_ipv4: bool = False
    host_binding: IPAddress | None = None
    default_bridge: bool = False
    trusted: tuple[str, ...] = ()
    mtu: int = 0
    prefix: str = DEFAULT_PREFIX
    source4: IPv4Address | None = None
    source6: IPv6Address | None = None
    guard: bool = True
    host_input: bool | None = None
    inbound: bool = False
    routes: tuple[OwnRoute, ...] = ()
    no_default_route: bool = False
    announcements: int = 3
    announce_every: int = 1000  # milliseconds

    def mode(self, version: int) -> Mode:
        """The gateway mode of a family."""
        return self.mode4 if version == 4 else self.mode6


def boolean(text: str) -> bool:
    """Go's ParseBool."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def gateway_mode(text: str) -> Mode:
    if text not in MODES:
        raise ValueError(f"unknown gateway mode {text}")
    return MODES[text]


def mtu(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f'strconv.Atoi: parsing "{text}": invalid syntax') from None
    if number and not LEAST_MTU <= number <= LARGEST_MTU:
        raise Invalid(f"invalid MTU number: {number}", hint=f"a link's MTU is {LEAST_MTU} to {LARGEST_MTU}")
    return 0 if number == DEFAULT_MTU else number


def check_mtu(mtu: int, enable_ipv6: bool) -> None:
    """Invalid where a network is to have IPv6 and an MTU that has no room for it."""
    if enable_ipv6 and not carries_ipv6(mtu):
        raise Invalid(f"invalid MTU number: {mtu}", hint=f"IPv6 needs an MTU of {LEAST_MTU_OF_IPV6} at least")


def interface(text: str) -> str:
    if not is_interface_name(text):
        raise ValueError(f"{text!r} is no name for an interface")
    return text


def address_of_any_family(text: str) -> IPAddress:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("nil ip") from None


def address4(text: str) -> IPv4Address:
    address = address_of_any_family(text)
    if not isinstance(address, IPv4Address):
        raise ValueError("it is no IPv4 address")
    return address


def address6(text: str) -> IPv6Address:
    address = address_of_any_family(text)
    if not isinstance(address, IPv6Address):
        raise ValueError("it is no IPv6 address")
    return address


def wished_bridge(text: str) -> str:
    return interface(text) if text else ""


def interface_prefix(text: str) -> str:
    interface(text + "0")
    return text or DEFAULT_PREFIX


def own_routes(text: str) -> tuple[OwnRoute, ...]:
    """10.9.0.0/16 via 10.5.0.2, fd09::/64 via fd05::2"""
    found = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        destination, via, gateway = part.partition(" via ")
        if not via:
            raise ValueError(f"{part!r} is not of the form 10.9.0.0/16 via 10.5.0.2")
        to, by = ipaddress.ip_network(destination.strip()), ipaddress.ip_address(gateway.strip())
        if to.version != by.version:
            raise ValueError(f"{part!r} mixes IPv4 and IPv6")
        found.append((to, by))
    return tuple(found)


def bounded(key: str, low: int, high: int, kind: str) -> Callable[[str], int]:
    """A reader of whole numbers between the two; Docker answers 500 to others."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise Failed(f'value for option {key} "{text}" must be {kind}') from None
        if not low <= number <= high:
            raise Failed(f"{key} must be in the range {low} to {high}")
        return number

    return read


READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    PREFIX + "bridge.name": ("name", wished_bridge),
    PREFIX + "bridge.enable_ip_masquerade": ("masquerade", boolean),
    PREFIX + "bridge.enable_icc": ("icc", boolean),
    PREFIX + "bridge.gateway_mode_ipv4": ("mode4", gateway_mode),
    PREFIX + "bridge.gateway_mode_ipv6": ("mode6", gateway_mode),
    PREFIX + "bridge.inhibit_ipv4": ("inhibit_ipv4", boolean),
    PREFIX + "bridge.host_binding_ipv4": ("host_binding", address_of_any_family),
    PREFIX + "bridge.default_bridge": ("default_bridge", boolean),
    PREFIX + "bridge.trusted_host_interfaces": ("trusted", lambda text: tuple(interface(t) for t in text.split(":") if t)),
    PREFIX + "driver.mtu": ("mtu", mtu),
    PREFIX + "container_iface_prefix": ("prefix", interface_prefix),
    PREFIX + "host_ipv4": ("source4", address4),
    PREFIX + "host_ipv6": ("source6", address6),
    ANTI_SPOOFING: ("guard", boolean),
    HOST_INPUT: ("host_input", boolean),
    ADVERTISE_TIMES: ("announcements", bounded(ADVERTISE_TIMES, 0, 3, "an integer")),
    ADVERTISE_EVERY: ("announce_every", bounded(ADVERTISE_EVERY, 100, 2000, "integer milliseconds")),
    INBOUND: ("inbound", boolean),
    ROUTES: ("routes", own_routes),
    NO_DEFAULT_ROUTE: ("no_default_route", boolean),
}
# Read when the network is created; kept for inspect.
OF_ENDPOINTS = frozenset({IFNAME, ENDPOINT_SYSCTLS, ANTI_SPOOFING})
READ_ELSEWHERE = frozenset({ENABLE_IPV4, ENABLE_IPV6, INTERNAL, NAME_SERVERS})


def bridge_options(network: Network) -> BridgeOptions:
    """The options of a network; Invalid quoting the key and the value that cannot be read."""
    return parsed(frozenset(network.options.items()))


@functools.lru_cache(maxsize=256)
def parsed(options: frozenset[tuple[str, str]]) -> BridgeOptions:
    fields: dict[str, Any] = {}
    for key, value in sorted(options):
        if key in READERS:
            name, read = READERS[key]
            try:
                fields[name] = read(value)
            except ValueError as error:
                raise Invalid(f"failed to parse {key} value: {value} ({error})") from error
    return BridgeOptions(**fields)


def unknown_options(options: Mapping[str, str]) -> Iterable[str]:
    """A sentence for each option that has no effect here."""
    return [
        f"option {key} is not known to the bridge driver and has no effect"
        for key in sorted(options)
        if key not in READERS and key not in READ_ELSEWHERE
    ]


def unknown_endpoint_options(driver_options: Mapping[str, str]) -> Iterable[str]:
    """A sentence for each option of an endpoint that has no effect here."""
    return [f"option {key} is not known to endpoints and has no effect" for key in sorted(driver_options) if key not in OF_ENDPOINTS]


def reads_everywhere(key: str) -> bool:
    """Whether an option means the same for every driver that makes interfaces."""
    return key in READERS and READERS[key][0] in ("mtu", "prefix", "routes", "no_default_route", "announcements", "announce_every")


def check_announcements(options: Mapping[str, str]) -> None:
    """Failed, in Docker's words, where a network would announce its containers' addresses too often, too seldom or not in numbers."""
    problems = []
    for key in (ADVERTISE_TIMES, ADVERTISE_EVERY):
        try:
            if key in options:
                READERS[key][1](options[key])
        except Failed as error:
            problems.append(error.message)
    if problems:
        raise Failed("\n".join(problems))


def family_flag(options: Mapping[str, str], key: str) -> bool | None:
    """enable_ipv4 or enable_ipv6 said by an option, None where it is absent; Invalid in Docker's words."""
    try:
        return boolean(options[key]) if key in options else None
    except ValueError as error:
        raise Invalid(f'driver-opt "{key}" is not a valid bool') from error


def option_flag(options: Mapping[str, str], key: str) -> bool | None:
    """A boolean option, None where it is absent."""
    if key not in options:
        return None
    try:
        return boolean(options[key])
    except ValueError as error:
        raise Invalid(f"failed to parse {key} value: {options[key]} ({error})") from error


def name_servers(network: Network) -> tuple[str, ...]:
    """The network's own name servers, () for none; Invalid quoting what is no address."""
    words = network.options.get(NAME_SERVERS, "")
    try:
        return tuple(str(ipaddress.ip_address(word.strip())) for word in words.split(",") if word.strip())
    except ValueError as error:
        raise Invalid(f"failed to parse {NAME_SERVERS} value: {words} ({error})") from error


def guarded(network: Network, driver_options: Mapping[str, str]) -> bool:
    """Whether an endpoint may send from its own addresses alone; the endpoint's option goes before the network's."""
    own = option_flag(driver_options, ANTI_SPOOFING)
    return bridge_options(network).guard if own is None else own


def endpoint_sysctls(driver_options: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The endpoint's sysctls as (path with IFNAME, value); Invalid in Docker's words. The docker CLI writes IFNAME in small letters."""
    found = []
    for setting in filter(None, driver_options.get(ENDPOINT_SYSCTLS, "").split(",")):
        key, equals, value = setting.strip().partition("=")
        parts = key.split(".")
        if (
            not equals
            or "/" in key
            or len(parts) != 5
            or parts[0] != "net"
            or parts[1] not in ("ipv4", "ipv6", "mpls")
            or parts[3].upper() != "IFNAME"
        ):
            raise Invalid(
                f"unrecognised network interface sysctl '{setting}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', "
                "'X' must be 'ipv4', 'ipv6' or 'mpls'"
            )
        found.append(("/".join((*parts[:3], "IFNAME", parts[4])), value))
    return tuple(found)
