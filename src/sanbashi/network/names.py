"""The names that we give: bridges, interfaces, MAC addresses, and the names an endpoint has in DNS."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv6Address

from .model import MAX_INTERFACE_NAME


def bridge_name(network_id: str) -> str:
    """br- and the first 12 digits of the network's id, as Docker names them."""
    return f"br-{network_id[:12]}"


def host_interface(random: str) -> str:
    """The host's end of a veth pair: veth and 7 of the given hex digits (7 or more)."""
    return f"veth{random[:7]}"


def mac_address(random: bytes) -> str:
    """A locally administered unicast MAC address from 6 random bytes."""
    return ":".join(f"{b:02x}" for b in (random[0] & 0xFC | 0x02, *random[1:6]))


def container_interface(prefix: str, taken: Collection[str]) -> str:
    """The lowest of prefix0, prefix1, ... that is not taken."""
    return next(name for n in range(len(taken) + 1) if (name := f"{prefix}{n}") not in taken)


def endpoint_names(container_name: str, aliases: Iterable[str], short_id: str, hostname: str) -> tuple[str, ...]:
    """DNSNames: name, aliases, short id, hostname, each once; the first is what PTR answers."""
    return tuple(dict.fromkeys(name for name in (container_name, *aliases, short_id, hostname) if name))


def link_local(mac: str) -> IPv6Address:
    """The link-local address that the kernel makes of a MAC address (EUI-64, RFC 4291 appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    return IPv6Address(b"\xfe\x80" + bytes(6) + bytes((octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:])))


def link_alias(network_id: str, endpoint_id: str = "") -> str:
    """The alias that marks a link as ours: sanbashi:<network>[:<endpoint>]."""
    return f"sanbashi:{network_id[:12]}" + (f":{endpoint_id[:12]}" if endpoint_id else "")


def is_interface_name(name: str) -> bool:
    """Whether Linux takes it: 1 to 15 bytes, no slash, colon or blank, not a dot alone."""
    return 0 < len(name.encode()) <= MAX_INTERFACE_NAME and name not in (".", "..") and not any(c in "/:" or c.isspace() for c in name)
