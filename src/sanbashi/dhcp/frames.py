"""Ethernet frames around DHCP messages and ARP: a client speaks before its host has an address, so it makes its own packets."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from ..records import dataclass

CLIENT_PORT, SERVER_PORT = 68, 67
EVERYBODY, BROADCAST = b"\xff" * 6, IPv4Address(0xFFFFFFFF)
IP, ARP, UDP = 0x0800, 0x0806, 17
ARP_BODY = struct.Struct("!HHBBH6s4s6s4s")
ARP_HEAD = (1, IP, 6, 4)  # Ethernet and IPv4
REQUEST, REPLY = 1, 2
IP_HEAD = struct.Struct("!BBHHHBBH4s4s")
UDP_HEAD = struct.Struct("!HHHH")


@dataclass(frozen=True, slots=True)
class Heard:
    """A datagram to a DHCP client: what is in it, and the MAC address that it came from."""

    payload: bytes
    sender: str


def frame(payload: bytes, hardware: bytes, source: IPv4Address, target: IPv4Address, target_hardware: bytes) -> bytes:
    """A frame with a datagram from a client to a server."""
    udp = UDP_HEAD.pack(CLIENT_PORT, SERVER_PORT, UDP_HEAD.size + len(payload), 0) + payload
    pseudo = source.packed + target.packed + struct.pack("!HH", UDP, len(udp))
    udp = udp[:6] + struct.pack("!H", checksum(pseudo + udp) or 0xFFFF) + udp[8:]
    head = IP_HEAD.pack(0x45, 0, IP_HEAD.size + len(udp), 0, 0, 64, UDP, 0, source.packed, target.packed)
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return target_hardware + hardware + struct.pack("!H", IP) + head + udp


def heard(data: bytes) -> Heard | None:
    """The datagram to the client's port in a frame, None where there is none.

    Its checksum is not looked at: between interfaces of one machine the kernel leaves it unfinished.
    """
    if len(data) < 14 + IP_HEAD.size or data[12:14] != struct.pack("!H", IP):
        return None
    length = (data[14] & 15) * 4
    packet = data[14 : 14 + int.from_bytes(data[16:18], "big")]
    if data[14] >> 4 != 4 or length < IP_HEAD.size or len(packet) < length + UDP_HEAD.size or packet[9] != UDP or packet[6] & 0x3F or packet[7]:
        return None  # a fragment is no message: they fit a frame
    _, port, size, _ = UDP_HEAD.unpack_from(packet, length)
    if port != CLIENT_PORT or not UDP_HEAD.size <= size <= len(packet) - length:
        return None
    return Heard(packet[length + UDP_HEAD.size : length + size], data[6:12].hex(":"))


@dataclass(frozen=True, slots=True)
class Arp:
    """Who says that he has an address, or asks for one: `hardware` and `sender` are his, `target` is the address that it is about."""

    hardware: bytes
    sender: IPv4Address
    target: IPv4Address


def arp_probe(address: IPv4Address, hardware: bytes) -> bytes:
    """A frame that asks everybody for an address without claiming it (RFC 5227)."""
    body = ARP_BODY.pack(*ARP_HEAD, REQUEST, hardware, bytes(4), bytes(6), address.packed)
    return EVERYBODY + hardware + struct.pack("!H", ARP) + body


def heard_arp(data: bytes) -> Arp | None:
    """What a frame says, None where it is no ARP of IPv4 over Ethernet."""
    if len(data) < 14 + ARP_BODY.size or data[12:14] != struct.pack("!H", ARP):
        return None
    *head, kind, hardware, sender, _, target = ARP_BODY.unpack_from(data, 14)
    if tuple(head) != ARP_HEAD or kind not in (REQUEST, REPLY):
        return None
    return Arp(hardware, IPv4Address(sender), IPv4Address(target))


def checksum(data: bytes) -> int:
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
