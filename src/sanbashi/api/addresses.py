"""Addresses and prefixes as Go's net/netip reads them, so that what it refuses is refused in the same words."""

from __future__ import annotations

import ipaddress
import re

from ..errors import Invalid
from ..network.model import IPAddress, IPNetwork


def quoted(text: str) -> str:
    """Go's strconv.Quote, for the characters that people type."""
    return '"' + "".join(ESCAPES.get(c, c) if c.isprintable() else f"\\x{ord(c):02x}" if ord(c) < 128 else f"\\u{ord(c):04x}" for c in text) + '"'


ESCAPES = {'"': '\\"', "\\": "\\\\"}
IPV4_IN_IPV6 = 96  # bits before the IPv4 address in ::ffff:0:0/96
HEX = "0123456789abcdefABCDEF"
MAC = re.compile(r"[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}", re.IGNORECASE)


class Unreadable(Exception):
    """Why a text is no address: Go's words, and the rest of the text where they point."""

    def __init__(self, message: str, at: str = "") -> None:
        super().__init__(message + (f" (at {quoted(at)})" if at else ""))


def parse_address(text: str) -> IPAddress:
    """An address, one of IPv4 written as IPv6 as what it is; Invalid with Go's sentence as Docker passes it on."""
    try:
        address = read_address(text)
        return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
    except Unreadable as error:
        raise Invalid(f"invalid JSON: ParseAddr({quoted(text)}): {error}") from error


def parse_prefix(text: str) -> tuple[IPNetwork, bool]:
    """(the network, whether no host bits were set); Invalid with Go's sentence."""
    try:
        return read_prefix(text)
    except Unreadable as error:
        raise Invalid(f"invalid JSON: netip.ParsePrefix({quoted(text)}): {error}") from error


def parse_mac(text: str) -> str:
    """A MAC address with colons, in lower case; Invalid with Go's sentence."""
    if not MAC.fullmatch(text):
        raise Invalid(f"invalid JSON: address {text}: invalid MAC address")
    digits = re.sub(r"[.:-]", "", text.lower())
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def read_prefix(text: str) -> tuple[IPNetwork, bool]:
    if "/" not in text:
        raise Unreadable("no '/'")
    name, _, bits = text.rpartition("/")
    try:
        address = read_address(name)
    except Unreadable as error:
        raise Unreadable(f"ParseAddr({quoted(name)}): {error}") from error
    if "%" in name:
        raise Unreadable("IPv6 zones cannot be present in a prefix")
    if not re.fullmatch(r"0|[1-9][0-9]*", bits, re.ASCII):
        raise Unreadable(f"bad bits after slash: {quoted(bits)}")
    if len(bits) > 3 or int(bits) > address.max_prefixlen:
        raise Unreadable("prefix length out of range")
    network = ipaddress.ip_network(f"{address}/{bits}", strict=False)
    clean = network.network_address == address
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= IPV4_IN_IPV6:
        inside = network.network_address.ipv4_mapped
        if inside is not None:  # Docker takes it for the IPv4 block that it means
            return ipaddress.IPv4Network((inside, network.prefixlen - IPV4_IN_IPV6)), clean
    return network, clean


def read_address(text: str) -> IPAddress:
    for character in text:
        if character == ".":
            check_ipv4(text)
            return ipaddress.IPv4Address(text)
        if character == ":":
            check_ipv6(text)
            return ipaddress.IPv6Address(text)
        if character == "%":
            raise Unreadable("missing IPv6 address")
    raise Unreadable("unable to parse IP")


def check_ipv4(text: str) -> None:
    """parseIPv4Fields: one walk, the first fault counts."""
    value, place, digits = 0, 0, 0
    for i, character in enumerate(text):
        if character in "0123456789":
            if digits == 1 and value == 0:
                raise Unreadable("IPv4 field has octet with leading zero")
            value, digits = value * 10 + int(character), digits + 1
            if value > 255:
                raise Unreadable("IPv4 field has value >255")
        elif character == ".":
            if i in (0, len(text) - 1) or text[i - 1] == ".":
                raise Unreadable("IPv4 field must have at least one digit", text[i:])
            if place == 3:
                raise Unreadable("IPv4 address too long")
            value, place, digits = 0, place + 1, 0
        else:
            raise Unreadable("unexpected character", text[i:])
    if place < 3:
        raise Unreadable("IPv4 address too short")


def check_ipv6(text: str) -> None:
    """parseIPv6: groups from the left, the first fault counts."""
    rest, percent, zone = text.partition("%")
    if percent and not zone:
        raise Unreadable("zone must be a non-empty string")
    if "%" in zone or "/" in zone:  # Go takes them, the kernel has no link of such a name, and Python's library refuses them
        raise Unreadable("zone must be the name of a link")
    ellipsis, place = -1, 0
    if rest.startswith("::"):
        ellipsis, rest = 0, rest[2:]
        if not rest:
            return
    while place < 16:
        width = next((i for i, c in enumerate(rest) if c not in HEX), len(rest))
        if width > 4:
            raise Unreadable("each group must have 4 or less digits", rest)
        if width == 0:
            raise Unreadable("each colon-separated field must have at least one digit", rest)
        if rest[width : width + 1] == ".":
            if ellipsis < 0 and place != 12:
                raise Unreadable("embedded IPv4 address must replace the final 2 fields of the address", rest)
            if place + 4 > 16:
                raise Unreadable("too many hex fields to fit an embedded IPv4 at the end of the address", rest)
            check_ipv4(rest)
            place, rest = place + 4, ""
            break
        place, rest = place + 2, rest[width:]
        if not rest:
            break
        if rest[0] != ":":
            raise Unreadable("unexpected character, want colon", rest)
        if len(rest) == 1:
            raise Unreadable("colon must be followed by more characters", rest)
        rest = rest[1:]
        if rest[0] == ":":
            if ellipsis >= 0:
                raise Unreadable("multiple :: in address", rest)
            ellipsis, rest = place, rest[1:]
            if not rest:
                break
    if rest:
        raise Unreadable("trailing garbage after address", rest)
    if place < 16 and ellipsis < 0:
        raise Unreadable("address string too short")
    if place == 16 and ellipsis >= 0:
        raise Unreadable("the :: must expand to at least one field of zeros")
