"""Addresses as Go reads them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sanbashi.api.addresses import Unreadable, parse_address, parse_mac, quoted, read_address, read_prefix
from sanbashi.errors import Invalid


# Sentences of Go's net/netip, one for each way to fail.
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "unable to parse IP"),
        ("abc", "unable to parse IP"),
        ("%eth0", "missing IPv6 address"),
        ("1.2.3", "IPv4 address too short"),
        ("1.2.3.4.5", "IPv4 address too long"),
        ("1.2.3.256", "IPv4 field has value >255"),
        ("1.2.3.04", "IPv4 field has octet with leading zero"),
        ("1..2.3", 'IPv4 field must have at least one digit (at ".2.3")'),
        ("1.2.3.x", 'unexpected character (at "x")'),
        ("1.2.3.4%x", 'unexpected character (at "%x")'),
        ("fe80::1%", "zone must be a non-empty string"),
        ("1:2", "address string too short"),
        ("1:2:3:4:5:6:7:8:9", 'trailing garbage after address (at "9")'),
        ("1::2::3", 'multiple :: in address (at ":3")'),
        ("12345::", 'each group must have 4 or less digits (at "12345::")'),
        ("1::g", 'each colon-separated field must have at least one digit (at "g")'),
        ("1:2:", 'colon must be followed by more characters (at ":")'),
        ("1:2x", 'unexpected character, want colon (at "x")'),
        ("1:2:3:4:5:6:7::8", "the :: must expand to at least one field of zeros"),
        ("1:1.2.3.4", 'embedded IPv4 address must replace the final 2 fields of the address (at "1.2.3.4")'),
        ("::ffff:1.2.3.4.5", "IPv4 address too long"),
    ],
)
def test_faults(text, sentence):
    with pytest.raises(Unreadable) as caught:
        read_address(text)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("10.0.0.0", "no '/'"),
        ("10.0.0.0/33", "prefix length out of range"),
        ("fd00::/129", "prefix length out of range"),
        ("10.0.0.0/08", 'bad bits after slash: "08"'),
        ("10.0.0.0/-1", 'bad bits after slash: "-1"'),
        ("10.0.0.0/", 'bad bits after slash: ""'),
        ("10.0.0.0/99999999999999999999999999999", "prefix length out of range"),
        ("fe80::%a/64", "IPv6 zones cannot be present in a prefix"),
        ("x/8", 'ParseAddr("x"): unable to parse IP'),
    ],
)
def test_faulty_prefixes(text, sentence):
    with pytest.raises(Unreadable) as caught:
        read_prefix(text)
    assert str(caught.value) == sentence


@given(st.ip_addresses())
def test_every_address_is_read(address):
    assert read_address(str(address)) == address
    meant = getattr(address, "ipv4_mapped", None) or address
    assert read_prefix(f"{address}/{address.max_prefixlen}") == (ipaddress.ip_network(meant), True)


@given(st.text(alphabet="0123456789abcdef:.%/x", max_size=24))
@example("::%/")
@example("::%%")
def test_agrees_with_the_library_on_what_is_an_address(text):
    try:
        wanted = ipaddress.ip_address(text)
    except ValueError:
        wanted = None
    try:
        assert read_address(text) == wanted
    except Unreadable:
        assert wanted is None or "%" in text


def test_macs():
    assert parse_mac("0A-0B-0c-00-00-01") == parse_mac("0a0b.0c00.0001") == "0a:0b:0c:00:00:01"
    for text in ("", "0a:0b", "0a:0b:0c:00:00:0g", "0a:0b-0c:00:00:01"):
        with pytest.raises(Invalid, match="invalid MAC address"):
            parse_mac(text)


def test_quoting():
    assert quoted('a"\\\n') == '"a\\"\\\\\\x0a"'


def test_ipv4_written_as_ipv6_is_ipv4() -> None:
    assert read_prefix("::ffff:10.1.0.0/120") == (ipaddress.ip_network("10.1.0.0/24"), True)
    assert read_prefix("::ffff:10.1.0.1/120") == (ipaddress.ip_network("10.1.0.0/24"), False)
    assert read_prefix("::/64") == (ipaddress.ip_network("::/64"), True)
    assert [parse_address(word) for word in ("::ffff:10.1.0.7", "fd00::7")] == [ipaddress.ip_address("10.1.0.7"), ipaddress.ip_address("fd00::7")]
