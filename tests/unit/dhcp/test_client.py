"""The client's states: what it sends, when it is to be woken, what it makes of each answer; the clock is a number."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import IPv4Address
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.dhcp import client as dhcp
from sanbashi.dhcp import wire
from sanbashi.dhcp.client import NEVER, PROBE_WAIT, PROBES, RELUCTANT, WEARY, Client, Turn, Wish
from sanbashi.dhcp.deeds import Bound, Deed, Lost, Probe, Refused, Send
from sanbashi.dhcp.frames import Arp
from sanbashi.dhcp.wire import Message
from sanbashi.network.lease import Lease

MAC = bytes.fromhex("020304050607")
SERVER, OTHER = IPv4Address("10.7.0.1"), IPv4Address("10.7.0.9")
HERE = "02:00:00:00:00:01"
WISH = Wish(hardware=MAC, client_id=b"\xffwho", hostname="web")
FIFTY = "10.7.0.50"


def sent(deeds: tuple[Deed, ...]) -> list[Message]:
    return [wire.read(deed.message) for deed in deeds if isinstance(deed, Send)]


def answer(client: Client, kind: int, given: str = FIFTY, *, server: IPv4Address = SERVER, lease: int = 100, **options: bytes) -> Message:
    own = {wire.SERVER: server.packed, wire.LEASE_TIME: struct.pack("!I", lease), wire.MASK: b"\xff\xff\xff\0"}
    named = {getattr(wire, name): value for name, value in options.items()}
    return Message(kind=kind, xid=client.xid, hardware=MAC, reply=True, given=IPv4Address(given), options=own if kind != wire.NAK else own | named)


def hear(client: Client, kind: int, given: str = FIFTY, *, now: float = 0.0, server: IPv4Address = SERVER, lease: int = 100) -> Turn:
    return dhcp.hear(client, answer(client, kind, given, server=server, lease=lease), HERE, now, 0.5)


def bound(wish: Wish = WISH, *, now: float = 0.0, lease: int = 100) -> tuple[Client, Lease]:
    client, _ = dhcp.begin(wish, now, 0.5)
    client, _ = hear(client, wire.OFFER, now=now, lease=lease)
    client, deeds = unopposed(*hear(client, wire.ACK, now=now, lease=lease))
    (deed,) = deeds
    assert isinstance(deed, Bound) and client.phase == "bound" and client.lease == deed.lease
    return client, deed.lease


def unopposed(client: Client, deeds: tuple[Deed, ...]) -> Turn:
    """Nobody answers the probes."""
    for _ in range(PROBES):
        assert [type(deed) for deed in deeds] == [Probe] and client.phase == "probing"
        client, deeds = dhcp.wake(client, client.due, 0.5)
    return client, deeds


def test_from_nothing_to_a_lease() -> None:
    client, deeds = dhcp.begin(replace(WISH, ask=IPv4Address(FIFTY)), 10.0, 0.25)
    (discover,) = sent(deeds)
    assert (discover.kind, discover.xid, discover.hardware) == (wire.DISCOVER, 2**30, MAC)
    assert discover.options[wire.ADDRESS] == IPv4Address(FIFTY).packed and discover.options[wire.HOSTNAME] == b"web"
    assert discover.options[wire.CLIENT] == b"\xffwho" and set(discover.options[wire.PARAMETERS]) >= {1, 3, 6, 15, 26, 119, 121}
    client, deeds = hear(client, wire.OFFER, now=11.0)
    (request,) = sent(deeds)
    assert request.kind == wire.REQUEST and request.xid == discover.xid and request.client == wire.NOWHERE
    assert request.options[wire.ADDRESS] == IPv4Address(FIFTY).packed and request.options[wire.SERVER] == SERVER.packed
    client, deeds = hear(client, wire.ACK, now=12.0)
    assert deeds == (Probe(IPv4Address(FIFTY)),) and client.due == 12.0 + PROBE_WAIT
    client, deeds = unopposed(client, deeds)
    (deed,) = deeds
    assert isinstance(deed, Bound)
    # From the question, not from the answer: never longer than the server believes.
    assert (deed.lease.begun, deed.lease.ends, deed.lease.server_mac) == (11.0, 100.0, HERE) and client.due == 61.0


def test_a_silent_network_is_asked_more_and_more_rarely() -> None:
    client, deeds = dhcp.begin(WISH, 0.0, 0.5)
    pauses = []
    for _ in range(9):
        assert [m.kind for m in sent(deeds)] == [wire.DISCOVER] and dhcp.wake(client, client.due - 0.01, 0.5) == (client, ())
        before = client
        client, deeds = dhcp.wake(client, client.due, 0.5)
        pauses.append(round(client.due - before.due))
        assert client.xid == before.xid and sent(deeds)[0].seconds == int(before.due)
    assert pauses == [2, 4, 8, 16, 32, 64, 64, 64, 64]


def test_an_unanswered_request_is_repeated_then_another_offer_is_looked_for() -> None:
    client, _ = dhcp.begin(WISH, 0.0, 0.5)
    client, deeds = hear(client, wire.OFFER)
    kinds = []
    for _ in range(5):
        kinds += [m.kind for m in sent(deeds)]
        client, deeds = dhcp.wake(client, client.due, 0.7)
    assert kinds == [wire.REQUEST] * 4 + [wire.DISCOVER] and client.phase == "selecting"


@pytest.mark.parametrize("kind", [wire.ACK, wire.NAK, wire.OFFER])
def test_what_is_for_somebody_else_changes_nothing(kind: int) -> None:
    client, _ = dhcp.begin(WISH, 0.0, 0.5)
    good = answer(client, wire.OFFER)
    for message in (replace(good, xid=1), replace(good, hardware=b"\2\0\0\0\0\0"), replace(good, reply=False), replace(good, options={})):
        assert dhcp.hear(client, replace(message, kind=kind), HERE, 0.0, 0.5) == (client, ())
    assert dhcp.hear(client, answer(client, wire.ACK), HERE, 0.0, 0.5) == (client, ())  # nobody asked for one yet
    held, _ = bound()
    assert hear(held, kind) == (held, ())


def test_renewed_by_the_server_itself_then_by_anybody_then_lost() -> None:
    client, lease = bound(lease=1000)
    assert client.due == 500.0
    client, deeds = dhcp.wake(client, 500.0, 0.1)
    (send,) = deeds
    assert isinstance(send, Send) and (send.source, send.target, send.hardware) == (lease.address.ip, SERVER, HERE)
    (request,) = sent(deeds)
    assert request.client == lease.address.ip and not {wire.ADDRESS, wire.SERVER} & request.options.keys()  # RFC 2131 table 5
    times = [500.0]
    while client.phase != "rebinding":
        times.append(client.due)
        client, deeds = dhcp.wake(client, client.due, 0.1)
    assert times == [500.0, 687.5, 781.25, 841.25, 875.0]  # half of what is left, a minute at the least
    (send,) = deeds
    assert isinstance(send, Send) and send.target is None and send.source == lease.address.ip and client.due > 875.0
    while client.phase == "rebinding":
        at = client.due
        client, deeds = dhcp.wake(client, client.due, 0.1)
    assert at == 1000.0 and isinstance(deeds[0], Lost) and [m.kind for m in sent(deeds)] == [wire.DISCOVER] and client.lease is None


@pytest.mark.parametrize("late", [500.0, 880.0])
def test_a_renewal_is_a_new_lease_from_the_moment_of_the_question(late: float) -> None:
    client, _ = bound(lease=1000)
    client, _ = dhcp.wake(client, late, 0.1)
    client, deeds = hear(client, wire.ACK, now=late + 1, lease=1000, server=OTHER if late > 875 else SERVER)
    (deed,) = deeds
    assert isinstance(deed, Bound) and deed.lease.begun == late and client.due == late + 500 and client.phase == "bound"


def test_taken_back() -> None:
    """A NAK ends the lease at once; while renewing only of the server that gave it."""
    client, _ = bound(lease=1000)
    client, _ = dhcp.wake(client, 500.0, 0.1)
    assert hear(client, wire.NAK, server=OTHER, now=501.0) == (client, ())
    after, deeds = hear(client, wire.NAK, now=501.0)
    assert isinstance(deeds[0], Lost) and "10.7.0.1 took it back" in deeds[0].reason and sent(deeds)[0].kind == wire.DISCOVER
    assert after.lease is None and after.phase == "selecting"
    client, _ = dhcp.wake(client, 880.0, 0.1)
    assert isinstance(hear(client, wire.NAK, server=OTHER, now=881.0)[1][0], Lost)


def test_an_offer_that_is_denied_is_not_asked_for_without_end() -> None:
    client, _ = dhcp.begin(WISH, 0.0, 0.5)
    client, _ = hear(client, wire.OFFER)
    assert hear(client, wire.NAK, server=OTHER) == (client, ())
    client, deeds = hear(client, wire.NAK, now=5.0)
    assert deeds == () and client.phase == "selecting" and client.due == 7.0
    assert sent(dhcp.wake(client, 7.0, 0.9)[1])[0].kind == wire.DISCOVER


def test_another_address_is_taken_unless_one_is_insisted_on() -> None:
    wish = replace(WISH, ask=IPv4Address("10.7.0.60"))
    client, _ = dhcp.begin(wish, 0.0, 0.5)
    assert hear(client, wire.OFFER)[0].phase == "requesting"
    client, _ = dhcp.begin(replace(wish, insist=True), 0.0, 0.5)
    assert hear(client, wire.OFFER) == (client, (Refused(IPv4Address(FIFTY)),))
    assert hear(client, wire.OFFER, "10.7.0.60")[0].phase == "requesting"


def probing(wish: Wish = WISH) -> Client:
    client, _ = dhcp.begin(wish, 0.0, 0.5)
    client, _ = hear(client, wire.OFFER)
    return hear(client, wire.ACK, now=1.0)[0]


@pytest.mark.parametrize("said", [Arp(b"\2other", IPv4Address(FIFTY), SERVER), Arp(b"\2other", wire.NOWHERE, IPv4Address(FIFTY))])
def test_an_address_that_somebody_has_is_declined(said: Arp) -> None:
    """Its holder speaks, or another who is about to take it; the server is told, and asked again a little later, for another one."""
    client = probing(replace(WISH, ask=IPv4Address(FIFTY)))
    client, deeds = dhcp.hear_arp(client, said, 1.1)
    (decline,) = sent(deeds)
    assert (decline.kind, decline.client) == (wire.DECLINE, wire.NOWHERE)
    assert decline.options[wire.ADDRESS] == IPv4Address(FIFTY).packed and decline.options[wire.SERVER] == SERVER.packed
    assert decline.options[wire.CLIENT] == b"\xffwho" and isinstance(deeds[0], Send) and deeds[0].target is None
    assert deeds[1:] == (Refused(IPv4Address(FIFTY), "02:6f:74:68:65:72 has that address"),)
    assert (client.phase, client.offer, client.due, client.wish.ask) == ("selecting", None, 1.1 + RELUCTANT, None)
    client, deeds = dhcp.wake(client, client.due, 0.7)
    assert [m.kind for m in sent(deeds)] == [wire.DISCOVER] and wire.ADDRESS not in sent(deeds)[0].options
    client, _ = hear(client, wire.OFFER, now=4.0)
    client, _ = hear(client, wire.ACK, now=4.0)
    assert dhcp.hear_arp(client, said, 4.0)[0].due == 4.0 + WEARY
    client, deeds = unopposed(client, (Probe(IPv4Address(FIFTY)),))
    assert isinstance(deeds[0], Bound) and client.declined == 0


def test_what_others_say_of_other_addresses_or_we_ourselves_is_no_conflict() -> None:
    client = probing()
    for said in (Arp(MAC, IPv4Address(FIFTY), SERVER), Arp(b"\2other", SERVER, IPv4Address(FIFTY)), Arp(b"\2other", wire.NOWHERE, SERVER)):
        assert dhcp.hear_arp(client, said, 1.0) == (client, ())
    held, _ = bound()
    assert dhcp.hear_arp(held, Arp(b"\2other", IPv4Address(FIFTY), SERVER), 1.0) == (held, ())


def test_nothing_is_heard_while_probing_and_what_is_probed_can_be_given_back() -> None:
    client = probing()
    for kind in (wire.ACK, wire.NAK, wire.OFFER):
        assert hear(client, kind) == (client, ())
    (deed,) = dhcp.release(client, 0.5)
    assert isinstance(deed, Send) and wire.read(deed.message).kind == wire.RELEASE


def test_an_insisted_address_is_asked_for_again_though_somebody_has_it() -> None:
    wish = replace(WISH, ask=IPv4Address(FIFTY), insist=True)
    assert dhcp.hear_arp(probing(wish), Arp(b"\2other", IPv4Address(FIFTY), SERVER), 1.0)[0].wish == wish


def test_of_two_servers_the_one_with_the_address_that_is_insisted_on_is_taken() -> None:
    wish = replace(WISH, ask=IPv4Address(FIFTY), insist=True)
    client, _ = dhcp.begin(wish, 0.0, 0.5)
    client, deeds = hear(client, wire.OFFER, "10.7.0.99", server=OTHER)
    assert deeds == (Refused(IPv4Address("10.7.0.99")),)
    client, deeds = hear(client, wire.OFFER)
    assert client.phase == "requesting" and sent(deeds)[0].options[wire.SERVER] == SERVER.packed


@pytest.mark.parametrize("answers", [True, False])
def test_the_shortest_leases_do_not_keep_anybody_busy(answers: bool) -> None:
    """A second between two questions at the least, whatever the server says and whether it answers."""
    client, lease = bound(lease=1)
    assert lease.ends >= 4
    asked = []
    while client.phase != "selecting" and len(asked) < 20:
        now = client.due
        client, _ = dhcp.wake(client, now, 0.5)
        asked.append(now)
        if answers:
            client, _ = hear(client, wire.ACK, now=now, lease=1)
    assert len(asked) == (20 if answers else 4)
    assert min(after - before for before, after in pairwise(asked)) >= (1.0 if answers else 0.5)


def test_a_lease_is_taken_up_where_it_stands() -> None:
    """By a keeper that follows one that died: nobody is asked before it is time, and nothing is believed after it."""
    _, lease = bound(lease=1000)
    client, deeds = dhcp.begin(WISH, 100.0, 0.5, lease)
    assert deeds == () and client.due == 500.0
    assert dhcp.wake(dhcp.begin(WISH, 600.0, 0.5, lease)[0], 600.0, 0.5)[0].phase == "renewing"
    assert dhcp.wake(dhcp.begin(WISH, 900.0, 0.5, lease)[0], 900.0, 0.5)[0].phase == "rebinding"
    _, deeds = dhcp.begin(WISH, 1000.0, 0.5, lease)
    assert isinstance(deeds[0], Lost) and sent(deeds)[0].kind == wire.DISCOVER
    client, deeds = dhcp.begin(WISH, 10.0**9, 0.5, replace(lease, renew=0.0, rebind=0.0, ends=0.0))
    assert deeds == () and client.due == NEVER


def test_given_back() -> None:
    client, lease = bound()
    (deed,) = dhcp.release(client, 0.5)
    assert isinstance(deed, Send) and (deed.source, deed.target, deed.hardware) == (lease.address.ip, SERVER, HERE)
    message = wire.read(deed.message)
    assert (message.kind, message.client) == (wire.RELEASE, lease.address.ip)
    assert message.options[wire.SERVER] == SERVER.packed and message.options[wire.CLIENT] == b"\xffwho"
    assert dhcp.release(dhcp.begin(WISH, 0.0, 0.5)[0], 0.5) == ()


@given(st.data())
def test_whatever_comes_the_client_goes_on(data: st.DataObject) -> None:
    """Any order of answers, silences and hostile options: never a crash, never a lease past its end, always something to wait for."""
    now = 0.0
    client, _ = dhcp.begin(WISH, now, 0.5)
    for _ in range(data.draw(st.integers(1, 25))):
        what = data.draw(st.integers(0, 5))
        if what == 0:
            said = Arp(b"\2other", *data.draw(st.sampled_from([(IPv4Address(FIFTY), SERVER), (wire.NOWHERE, IPv4Address("10.7.0.51"))])))
            client, deeds = dhcp.hear_arp(client, said, now)
        elif what < 3:
            now = max(now, min(client.due, now + 10_000.0))
            client, deeds = dhcp.wake(client, now, data.draw(st.floats(0, 0.999)))
        else:
            options = data.draw(st.dictionaries(st.sampled_from([*wire.WISHED, wire.OVERLOAD]), st.binary(max_size=12), max_size=4))
            message = answer(client, data.draw(st.integers(0, 9)), f"10.7.0.{data.draw(st.integers(0, 255))}", lease=data.draw(st.integers(0, 300)))
            client, deeds = dhcp.hear(client, replace(message, options={**message.options, **options}), HERE, now, 0.3)
        assert client.due >= now or client.phase == "bound"
        assert (client.lease is not None) == (client.phase in ("bound", "renewing", "rebinding"))
        assert all(isinstance(deed, Send | Probe | Bound | Lost | Refused) for deed in deeds)
        if client.lease is not None and client.lease.ends:
            assert now < client.lease.begun + client.lease.ends or client.due <= now
