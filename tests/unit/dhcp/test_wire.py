"""DHCP messages: what we write is what others read, what servers send is taken as far as it makes sense, and nothing crashes the parser."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.dhcp import frames, wire
from sanbashi.dhcp.wire import Malformed, Message
from sanbashi.network.lease import LeaseReport, lease_of, lease_plain, report_of, report_plain

MAC = bytes.fromhex("020304050607")


def reply(given: str = "10.7.0.50", kind: int = wire.ACK, **options: bytes) -> Message:
    named = {getattr(wire, name): value for name, value in options.items()}
    base = {wire.SERVER: bytes((10, 7, 0, 1)), wire.LEASE_TIME: struct.pack("!I", 3600), wire.MASK: bytes((255, 255, 255, 0))}
    return Message(kind=kind, xid=7, hardware=MAC, reply=True, given=IPv4Address(given), options={**base, **named})


def test_a_message_as_rfc_2131_draws_it() -> None:
    data = wire.write(Message(kind=wire.DISCOVER, xid=0x01020304, hardware=MAC, seconds=3, options={wire.HOSTNAME: b"web"}))
    assert len(data) == wire.SHORTEST
    assert data[:12] == bytes.fromhex("010106000102030400030000")  # op, htype, hlen, hops, xid, secs, flags
    assert data[28:34] == MAC and data[236:240] == b"\x63\x82\x53\x63"
    assert data[240:249] == b"\x35\x01\x01\x0c\x03web\xff" and not any(data[249:])


def test_what_is_written_is_read() -> None:
    message = reply(ROUTES=bytes(range(32)) * 20)
    assert wire.read(wire.write(message)) == Message(
        kind=message.kind, xid=7, hardware=MAC, reply=True, given=message.given, options={wire.KIND: b"\5", **message.options}
    )


def test_options_in_the_fields_of_names() -> None:
    """Option 52: the file field, then the server's name; parts of one option in several places are one."""
    data = bytearray(wire.write(reply(OVERLOAD=b"\3", DOMAIN=b"lan.")))
    data[108:116] = bytes((wire.DOMAIN, 4)) + b"test" + b"\xff\0"
    data[44:51] = bytes((wire.MTU, 2)) + b"\x05\x78\xff" + b"\0\0"
    lease = wire.lease_in(wire.read(bytes(data)), 0.0)
    assert (lease.domain, lease.mtu) == ("lan.test", 1400)


@pytest.mark.parametrize("place", [0, 100, 239, 241, 244])
def test_what_is_cut_is_malformed(place: int) -> None:
    with pytest.raises(Malformed):
        wire.read(wire.write(reply())[:place])


def test_a_whole_lease() -> None:
    lease = wire.lease_in(
        reply(
            ROUTER=bytes((10, 7, 0, 1)), DNS=bytes((10, 7, 0, 1, 10, 7, 0, 2, 127, 0, 0, 11, 10, 7, 0, 1)), DOMAIN=b"Lan.Test\0", MTU=b"\x05\x78",
            SEARCH=b"\3lan\4test\0\4deep\xc0\0", RENEWAL=struct.pack("!I", 60), REBINDING=struct.pack("!I", 90),
        ),
        100.0,
        "02:00:00:00:00:01",
    )  # fmt: skip
    assert lease.address == IPv4Interface("10.7.0.50/24") and lease.router == lease.server == IPv4Address("10.7.0.1")
    assert lease.dns == (IPv4Address("10.7.0.1"), IPv4Address("10.7.0.2"))  # never the loopback: that would be our own resolver
    assert (lease.domain, lease.search, lease.domains, lease.mtu) == ("lan.test", ("lan.test", "deep.lan.test"), ("lan.test", "deep.lan.test"), 1400)
    assert (lease.begun, lease.renew, lease.rebind, lease.ends) == (100.0, 60.0, 90.0, 3600.0)
    assert lease_of(lease_plain(lease)) == lease
    report = LeaseReport(endpoint="e", word="bound", lease=lease)
    assert report_of(report_plain(report)) == report


def test_classless_routes_replace_the_router() -> None:
    """RFC 3442, with its own examples: significant bytes alone, bits beyond the mask are nothing, 0.0.0.0 is on-link."""
    coded = (
        bytes((24, 10, 9, 0, 10, 7, 0, 9)) + bytes((0, 10, 7, 0, 3)) + bytes((32, 10, 7, 0, 3, 0, 0, 0, 0)) + bytes((20, 10, 27, 129, 10, 7, 0, 4))
    )
    lease = wire.lease_in(reply(ROUTES=coded, ROUTER=bytes((10, 7, 0, 1))), 0.0)
    assert lease.router == IPv4Address("10.7.0.3")
    assert lease.routes == (
        (IPv4Network("10.9.0.0/24"), IPv4Address("10.7.0.9")),
        (IPv4Network("10.7.0.3/32"), None),
        (IPv4Network("10.27.128.0/20"), IPv4Address("10.7.0.4")),
    )
    assert wire.lease_in(reply(ROUTES=coded[:-1], ROUTER=bytes((10, 7, 0, 1))), 0.0).routes == lease.routes[:2]  # as far as it can be read
    assert wire.lease_in(reply(ROUTES=bytes((24, 10, 9, 0, 10, 7, 0, 9)), ROUTER=bytes((10, 7, 0, 1))), 0.0).router is None


@pytest.mark.parametrize(
    "message",
    [
        reply(given="0.0.0.0"),
        reply(given="127.0.0.1"),
        reply(given="224.0.0.1"),
        reply(given="10.7.0.0"),
        reply(given="10.7.0.255"),
        reply(MASK=b"\0\0\0\0"),
        reply(MASK=b"\0\0\0\xff"),
        reply(MASK=b"\xff\0\xff\0"),
        reply(MASK=b"\xff"),
        reply(LEASE_TIME=b"\0\0\0\0"),
        reply(LEASE_TIME=b"\0"),
        reply(SERVER=b"\0\0\0\0"),
        reply(SERVER=b""),
    ],
)
def test_offers_that_are_none(message: Message) -> None:
    with pytest.raises(Malformed):
        wire.lease_in(message, 0.0)


@pytest.mark.parametrize(
    "given, expected",
    [
        ((3600, None, None), (1800, 3150, 3600)),
        ((3600, 4000, 5000), (1800, 3150, 3600)),
        ((3600, 3000, 2000), (1800, 2000, 3600)),
        ((3600, 3400, None), (3400, 3400, 3600)),
        ((0xFFFFFFFF, 10, 20), (0, 0, 0)),
        ((1, None, None), (2, 3.5, 4)),
        ((2, 1, None), (1, 3.5, 4)),
    ],
)
def test_times_that_make_no_sense_are_those_of_the_rfc(given: tuple[int, int | None, int | None], expected: tuple[float, ...]) -> None:
    names = zip(("LEASE_TIME", "RENEWAL", "REBINDING"), given, strict=True)
    lease = wire.lease_in(reply(**{name: struct.pack("!I", value) for name, value in names if value is not None}), 0.0)
    assert (lease.renew, lease.rebind, lease.ends) == expected


@pytest.mark.parametrize(
    "name", [b"lan\nnameserver 6.6.6.6", b"a b", b"-x", b"x" * 64, b"a..b", b"\xff\xfe", b";evil", b".", b"", b"a." * 130, "bücher".encode()]
)
def test_a_domain_that_is_none_is_left_out(name: bytes) -> None:
    """It goes into resolv.conf: a line break in it would be a line of the server's."""
    assert wire.lease_in(reply(DOMAIN=name), 0.0).domain == ""


@pytest.mark.parametrize("value", [b"\xc0\0", b"\1a\xc0\0", b"\1a\xc0\2", b"\xc0\xff", b"\1", b"\x40a\0", b"\3lan", b"\1a" * 200])
def test_search_lists_that_lead_nowhere_end(value: bytes) -> None:
    assert wire.lease_in(reply(SEARCH=value), 0.0).search == ()


def test_an_mtu_that_no_link_has_is_left_out() -> None:
    assert wire.lease_in(reply(MTU=b"\0\x44"), 0.0).mtu == 0
    assert wire.lease_in(reply(MTU=b"\x23\x28"), 0.0, link_mtu=1500).mtu == 0
    assert wire.lease_in(reply(MTU=b"\x05\xdc"), 0.0, link_mtu=1500).mtu == 1500


@given(st.binary(max_size=1500))
def test_any_bytes(data: bytes) -> None:
    try:
        wire.read(data)
    except Malformed:
        return


@given(st.binary(max_size=1200), st.binary(min_size=4, max_size=4))
def test_any_options(data: bytes, given_address: bytes) -> None:
    """Behind a proper head: whatever it is, a lease or Malformed, and a lease is one that can be saved and applied."""
    head = wire.write(reply())[: wire.HEAD.size]
    for tail in (data, b"\x35\1\5" + wire.write(reply())[wire.HEAD.size :].rstrip(b"\0")[:-1] + data):
        try:
            lease = wire.lease_in(wire.read(head[:16] + given_address + head[20:] + tail), 0.0)
        except Malformed:
            continue
        assert lease_of(lease_plain(lease)) == lease
        assert all(wire.NAME.fullmatch(name) for name in lease.domains) and 0 <= lease.mtu <= 0xFFFF
        assert lease.ends == 0 or 0 < lease.renew <= lease.rebind <= lease.ends


@given(st.dictionaries(st.sampled_from(list(wire.WISHED)), st.binary(max_size=300)))
def test_every_option_with_any_value(options: dict[int, bytes]) -> None:
    message = reply()
    try:
        wire.lease_in(wire.read(wire.write(Message(kind=wire.ACK, xid=1, hardware=MAC, reply=True, given=message.given, options=options))), 0.0)
    except Malformed:
        return


# -- frames


def test_a_frame_is_one_that_others_accept() -> None:
    made = frames.frame(b"payload", MAC, IPv4Address(0), frames.BROADCAST, frames.EVERYBODY)
    assert made[:14] == b"\xff" * 6 + MAC + b"\x08\0"
    assert frames.checksum(made[14:34]) == 0 and made[23] == 17
    pseudo = made[26:34] + struct.pack("!HH", 17, len(made) - 34)
    assert frames.checksum(pseudo + made[34:]) == 0 and made[34:38] == struct.pack("!HH", 68, 67)


def turned(payload: bytes) -> bytes:
    """A server's frame: ours with the ports changed."""
    made = bytearray(frames.frame(payload, MAC, IPv4Address("10.7.0.1"), IPv4Address("10.7.0.50"), MAC))
    made[34:38] = struct.pack("!HH", 67, 68)
    return bytes(made)


def test_what_is_heard() -> None:
    assert frames.heard(turned(b"hello")) == frames.Heard(b"hello", "02:03:04:05:06:07")
    assert frames.heard(turned(b"hello") + b"\0" * 20) == frames.Heard(b"hello", "02:03:04:05:06:07")  # Ethernet's padding
    for place, value in ((12, 0x86), (14, 0x65), (14, 0x41), (20, 0x20), (21, 1), (23, 6), (37, 67), (39, 200), (39, 3), (17, 10)):
        data = bytearray(turned(b"hello"))
        data[place] = value
        assert frames.heard(bytes(data)) is None, place


@given(st.binary(max_size=400))
def test_any_frame(data: bytes) -> None:
    frames.heard(data)
    frames.heard(turned(b"x")[:14] + data)


def test_a_probe_claims_nothing_and_what_is_said_of_addresses_is_read() -> None:
    """RFC 5227 2.1.1: no sender's address, so that nobody's table is changed."""
    probe = frames.arp_probe(IPv4Address("10.7.0.50"), MAC)
    assert probe[:6] == frames.EVERYBODY and frames.heard_arp(probe) == frames.Arp(MAC, IPv4Address(0), IPv4Address("10.7.0.50"))
    answer = MAC + b"\2other" + bytes.fromhex("0806 0001 0800 06 04 0002") + b"\2other" + bytes((10, 7, 0, 50)) + MAC + bytes(4)
    assert frames.heard_arp(answer + b"\0" * 18) == frames.Arp(b"\2other", IPv4Address("10.7.0.50"), IPv4Address(0))
    for place in (12, 15, 17, 18, 19, 21):
        broken = bytearray(answer)
        broken[place] += 3
        assert frames.heard_arp(bytes(broken)) is None, place
    for length in range(len(answer)):
        assert frames.heard_arp(answer[:length]) is None
