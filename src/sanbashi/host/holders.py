"""Which process holds a port of the host, found by walking /proc; only ever asked when a bind has failed."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from sanbashi.network.model import IPAddress

PROC = Path("/proc")
LISTEN, UNCONNECTED = "0A", "07"  # states in /proc/net/tcp and udp
WILDCARDS = (IPv4Address("0.0.0.0"), IPv6Address("::"))


def holder(protocol: str, address: IPAddress, port: int) -> str:
    """ "nginx (process 123) on 0.0.0.0:80" for what stands in the way of a bind, "" where /proc does not show it."""
    for version in ("", "6") if address.version == 4 else ("6", ""):  # the own family first: an IPv6 wildcard need not hold IPv4
        try:
            lines = (PROC / "thread-self/net" / f"{protocol}{version}").read_text().splitlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            words = line.split()
            local, taken = parsed(words[1])
            if taken == port and words[3] in (LISTEN, UNCONNECTED) and clashes(local, address):
                place = f"{f'[{local}]' if local.version == 6 else local}:{port}/{protocol}"
                return f"{owner(words[9])} on {place}"
    return ""


def parsed(text: str) -> tuple[IPAddress, int]:
    """The address and port of a socket as /proc/net writes them: words in the machine's byte order, hexadecimal."""
    words, _, port = text.partition(":")
    packed = b"".join(int(words[i : i + 8], 16).to_bytes(4, "little") for i in range(0, len(words), 8))
    return ip_address(packed), int(port, 16)


def clashes(local: IPAddress, address: IPAddress) -> bool:
    """Whether sockets on both addresses exclude each other; an IPv6 wildcard may hold IPv4 as well."""
    if local.version != address.version:
        return local == WILDCARDS[1]
    return local == address or local in WILDCARDS or address in WILDCARDS


def owner(inode: str) -> str:
    """The process that has a socket open."""
    wanted = f"socket:[{inode}]"
    for process in PROC.iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(FileNotFoundError, PermissionError, ProcessLookupError):
                if any(str(descriptor.readlink()) == wanted for descriptor in (process / "fd").iterdir()):
                    return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return "a process that cannot be seen from here"
