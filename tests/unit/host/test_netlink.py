"""Netlink messages as bytes and back."""

from __future__ import annotations

import struct
from ipaddress import ip_address, ip_interface, ip_network

from hypothesis import given
from hypothesis import strategies as st

from sanbashi.host import rtnetlink
from sanbashi.host.netlink import HEADER, Message, Refusal, attribute, attributes, nested, refusal


@given(st.dictionaries(st.integers(1, 60), st.binary(max_size=40), max_size=8))
def test_attributes_are_read_back(found: dict[int, bytes]) -> None:
    assert attributes(b"".join(attribute(kind, data) for kind, data in found.items())) == found


@given(st.binary(max_size=60))
def test_rubbish_ends(data: bytes) -> None:
    attributes(data)


def test_nested_attributes_lose_their_mark() -> None:
    assert attributes(attributes(nested(18, attribute(1, b"veth\0")))[18]) == {1: b"veth\0"}


def test_a_message_carries_its_length_and_asks_for_an_answer_only_when_told() -> None:
    message = Message(16, 0x600, b"12345678")
    assert HEADER.unpack_from(message.encode(7)) == (24, 16, 0x601, 7, 0)
    assert HEADER.unpack_from(message.encode(8, acknowledged=True)) == (24, 16, 0x605, 8, 0)


def test_the_kernels_own_words_are_kept() -> None:
    words = attribute(1, b"Device does not exist\0")
    body = struct.pack("=i", -19) + HEADER.pack(36, 16, 0, 1, 0) + words
    assert refusal(0x300, body) == Refusal(19, "Device does not exist")
    assert str(refusal(0x300, body)) == "No such device (Device does not exist)"
    assert refusal(0x100, struct.pack("=i", 0) + bytes(16)) is None


def test_a_route_is_read_back() -> None:
    for to, via in (("0.0.0.0/0", "10.0.0.1"), ("::/0", "fd00::1"), ("10.9.0.0/16", None), ("fd09::/64", None)):
        gateway = ip_address(via) if via else None
        message = rtnetlink.route(rtnetlink.NEWROUTE, 5, ip_network(to), via=gateway, metric=7, what="unicast", table="")
        held = rtnetlink.parse_route(message.body)
        assert held == rtnetlink.HeldRoute(5, ip_network(to), gateway, 7, "unicast", "", 83, held.scope)


def test_a_link_local_address_follows_from_the_mac() -> None:
    assert rtnetlink.link_local(rtnetlink.mac_bytes("16:5a:86:40:ac:35")) == ip_interface("fe80::145a:86ff:fe40:ac35/64")
