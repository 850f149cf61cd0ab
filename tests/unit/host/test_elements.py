"""What the elements of our sets look like, read from the text of the tables."""

import re

from sanbashi.host.elements import FORMS, types_of, value
from sanbashi.host.nft import fixed_tables

TYPES = types_of(fixed_tables((0x10, 0xF0)))


def test_every_set_of_our_tables_is_known() -> None:
    text = fixed_tables()
    assert len(TYPES) == len(re.findall(r"^\s*(?:set|map) ", text, re.MULTILINE))
    assert {form for key, data in TYPES.values() for form in (*key, *data)} == {*FORMS, "verdict"}
    assert TYPES["bridge", "target6"] == (("ifname", "ether_addr", "@th,64,128"), ())
    assert TYPES["inet", "published4"] == (("ipv4_addr", "inet_proto", "inet_service"), ("ipv4_addr", "inet_service"))
    assert TYPES["inet", "admitted6"] == (("ipv6_addr", "inet_proto", "inet_service"), ())


def test_the_fields_of_a_concatenation_are_padded_and_a_single_one_is_not() -> None:
    assert value(("inet_proto", "inet_service"), ("udp", "53"))[4:] == b"\x11\0\0\0\x00\x35\0\0"
    assert value(("ifname",), ("br-one",))[4:] == b"br-one".ljust(16, b"\0")
    assert value(("ifname", "ether_addr"), ("v", "02:00:00:00:00:01"))[4:] == b"v".ljust(16, b"\0") + b"\x02\0\0\0\0\x01\0\0"
