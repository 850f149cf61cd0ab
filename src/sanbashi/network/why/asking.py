"""The question as it is typed: WEB02, WEB02:80, WEB02:53/udp, WEB02/icmp, 10.1.2.3:443/tcp, [fd00::1]:80."""

from __future__ import annotations

from ipaddress import ip_address

from ...errors import Invalid
from ...records import dataclass
from ..model import IPAddress
from .facts import Asking

PROTOCOLS: tuple[Asking, ...] = ("tcp", "udp", "sctp", "icmp")
FORM = "a target is CONTAINER, NAME or ADDRESS, with :PORT[/tcp|udp|sctp] or /icmp: web02:80, 10.1.2.3:53/udp, [fd00::1]:443, web02/icmp"


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for; `address` where that is one. Without a port it is an echo: does anything get there."""

    name: str
    protocol: Asking
    port: int
    address: IPAddress | None


def parse_target(text: str) -> Target:
    """A target as typed; Invalid, quoting it."""
    rest, slash, word = text.strip().rpartition("/")
    if not slash:
        rest, word = text.strip(), ""
    protocol = next((p for p in PROTOCOLS if p == word), None)
    if slash and protocol is None:
        raise Invalid(f"invalid proto: {word}", hint=FORM)
    name, port = split(rest, text)
    if not name:
        raise Invalid(f"invalid target: {text!r}", hint=FORM)
    if protocol == "icmp" and port:
        raise Invalid(f"invalid target: {text!r}: icmp has no ports", hint=FORM)
    if protocol is None:
        protocol = "tcp" if port else "icmp"
    elif protocol != "icmp" and not port:
        raise Invalid(f"no port specified: {text}", hint=FORM)
    return Target(name, protocol, port, as_address(name))


def split(text: str, whole: str) -> tuple[str, int]:
    """(name, port or 0)."""
    if as_address(text) is not None:
        return text, 0
    if text.startswith("["):
        name, _, after = text[1:].partition("]")
        if as_address(name) is None or (after and not after.startswith(":")):
            raise Invalid(f"invalid target: {whole!r}", hint=FORM)
        port, colon = after[1:], after[:1]
    else:
        name, colon, port = text.partition(":")
    if not colon:
        return name, 0
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise Invalid(f"invalid port: {port!r} in {whole!r}", hint=FORM)
    return name, int(port)


def as_address(text: str) -> IPAddress | None:
    """Text as an address, None where it is none."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def spellings(name: str, search: tuple[str, ...], ndots: int = 1) -> tuple[str, ...]:
    """What a resolver asks for, in order: a name with few dots is first completed by the search list where that was asked for by ndots."""
    if name.endswith("."):
        return (name,)
    completed = tuple(f"{name}.{domain.rstrip('.')}" for domain in search if domain.strip("."))
    return (name, *completed) if name.count(".") >= ndots or ndots <= 1 else (*completed, name)
