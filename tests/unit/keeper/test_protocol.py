"""What is written is read, and nothing else is taken for it."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.keeper.protocol import LARGEST, NotUnderstood, item_of, pack, plain, unpack
from sanbashi.network.lease import Lease
from sanbashi.network.picture import Forwarder, HeldPort, Item, Leasing, Names, Resolver, Zone

addresses = st.ip_addresses()
port = st.integers(1, 65535)
protocol = st.sampled_from(["tcp", "udp", "sctp"])
text = st.text(max_size=20)
texts = st.lists(text, max_size=3).map(tuple)
links = st.lists(st.tuples(text, text, st.lists(addresses, max_size=2).map(tuple)), max_size=2).map(tuple)
items = st.one_of(
    st.builds(HeldPort, protocol, addresses, port, st.integers(1, 500)),
    st.builds(Forwarder, protocol, addresses, port, addresses, port, st.integers(1, 500)),
    st.builds(Zone, text, text),
    st.builds(Names, text, text, texts, st.lists(addresses, max_size=2).map(tuple)),
    st.builds(Resolver, text, texts, texts, st.booleans(), st.booleans(), links, st.booleans(), texts, port),
)


four, length = st.ip_addresses(v=4), st.integers(0, 32)
network = st.builds(lambda address, bits: IPv4Network((address, bits), strict=False), four, length)
leases = st.builds(
    Lease, address=st.builds(lambda address, bits: IPv4Interface((address, bits)), four, length), server=four, router=st.none() | four,
    dns=st.lists(four, max_size=2).map(tuple), domain=text, search=texts, mtu=port, begun=st.floats(0, 1e9), ends=st.floats(0, 1e9),
    routes=st.lists(st.tuples(network, st.none() | four), max_size=2).map(tuple),
)  # fmt: skip
leasings = st.builds(Leasing, text, text, text, text, text, st.none() | four, st.booleans(), st.none() | leases)


@given(leasings)
def test_a_lease_comes_back_with_what_was_held(item: Leasing) -> None:
    """What was held is beside the item and no part of it, so that it is compared by itself."""
    (frame,) = [unpack(bytearray(pack({"item": plain(item)})))]
    assert frame is not None
    back = item_of(frame["item"])
    assert back == item and isinstance(back, Leasing) and back.lease == item.lease


@given(st.lists(items, max_size=5), st.integers(1, 50))
def test_items_come_back(sent: list[Item], step: int) -> None:
    data = pack({"items": [plain(item) for item in sent]}) * 2
    received = bytearray()
    frames = []
    for place in range(0, len(data), step):
        received += data[place : place + step]
        while (frame := unpack(received)) is not None:
            frames.append([item_of(words) for words in frame["items"]])
    assert frames == [sent, sent]
    assert not received


@given(st.recursive(st.none() | st.integers() | text, lambda inner: st.lists(inner, max_size=4), max_leaves=8))
def test_other_values_are_not_items(words: object) -> None:
    with pytest.raises(NotUnderstood):
        item_of(words)


@given(st.binary(max_size=64))
def test_any_bytes(data: bytes) -> None:
    received = bytearray(data)
    try:
        while (frame := unpack(received)) is not None:
            assert isinstance(frame, dict)
    except NotUnderstood:
        assert len(data) >= 4


def test_a_frame_too_large_is_refused_before_it_has_come() -> None:
    with pytest.raises(NotUnderstood):
        unpack(bytearray((LARGEST + 1).to_bytes(4, "big")))
