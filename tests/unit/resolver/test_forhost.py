"""What the host is told of containers, on all networks and under one suffix; everything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanbashi.network.picture import THE_HOST, Names, Zone
from sanbashi.resolver import wire
from sanbashi.resolver.forhost import answer_host, is_for_host
from sanbashi.resolver.names import Directory

Query = Callable[..., bytes]
Shown = Callable[[bytes], str]
SOA = "sanbashi.internal. 1 SOA"


@pytest.fixture
def directory() -> Directory:
    found = Directory()
    for item in (
        Zone("n0", "bridge"),
        Zone("n1", "app"),
        Zone("n2", "Data"),
        Zone("n3", "far.away"),
        Names("n1", THE_HOST, ("host.sanbashi.internal",), (ip_address("172.20.0.1"),)),
        Names("n0", "e0", ("plain", "0123456789ab"), (ip_address("172.17.0.2"),)),
        Names("n1", "e1", ("web01", "web", "api"), (ip_address("172.20.0.2"), ip_address("fd00::2"))),
        Names("n1", "e2", ("web02", "web"), (ip_address("172.20.0.3"),)),
        Names("n2", "e3", ("web01", "db"), (ip_address("172.21.0.2"),)),
        Names("n2", "e4", ("cache", "api", "*.shop.local", "web02.app"), (ip_address("172.21.0.3"),)),
        Names("n3", "e5", ("api.v2", "cache.data"), (ip_address("172.22.0.9"),)),
    ):
        found.add(item)
    return found


def line(directory: Directory, data: bytes, shown: Shown, *, size: int = 512) -> str:
    question = wire.read_question(data)
    return shown(data[:2] + answer_host(data, question, directory, size=size, shuffle=lambda addresses: None))


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("web01.app", "A", "172.20.0.2"),
        ("web01.app", "AAAA", "fd00::2"),
        ("WEB01.App", "A", "172.20.0.2"),
        ("web01.data", "A", "172.21.0.2"),
        ("web01.data", "AAAA", "nothing"),
        ("web01", "A", "172.20.0.2 172.21.0.2"),  # one container, on two networks
        ("web02", "A", "172.20.0.3"),
        ("web", "A", "172.20.0.2 172.20.0.3"),  # an alias of one network
        ("db", "A", "172.21.0.2"),
        ("api", "A", "nobody"),  # an alias of two containers on two networks
        ("api.app", "A", "172.20.0.2"),
        ("api.data", "A", "172.21.0.3"),
        ("plain", "A", "172.17.0.2"),
        ("plain.bridge", "A", "172.17.0.2"),
        ("0123456789ab", "A", "172.17.0.2"),
        ("x.shop.local.data", "A", "172.21.0.3"),
        ("x.shop.local", "A", "172.21.0.3"),
        ("web02.app", "A", "172.20.0.3"),  # NAME.NETWORK goes before a name with a dot
        ("api.v2.far.away", "A", "172.22.0.9"),
        ("api.v2", "A", "172.22.0.9"),
        ("cache.data", "A", "172.21.0.3"),
        ("web01", "MX", "nothing"),
        ("web01", "TXT", "nothing"),
        ("app", "A", "nothing"),  # a network: there are names below it
        ("away", "A", "nothing"),
        ("web01.nowhere", "A", "nobody"),
        ("nobody", "A", "nobody"),
        ("host", "A", "nobody"),
    ],
)
def test_names(directory: Directory, query: Query, shown: Shown, name: str, kind: str, expected: str) -> None:
    whole = f"{name}.sanbashi.internal"
    records = "".join(f"; {whole}. 1 {kind} {address}" for address in expected.split())
    expected = {"nothing": f"NOERROR qr rd ra; {SOA}", "nobody": f"NXDOMAIN qr rd ra; {SOA}"}.get(expected, f"NOERROR qr rd ra{records}")
    assert line(directory, query(whole, kind), shown) == expected


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("sanbashi.internal", "SOA", f"NOERROR qr rd ra; {SOA}"),
        ("sanbashi.internal", "A", f"NOERROR qr rd ra; {SOA}"),
        ("2.0.20.172.in-addr.arpa", "PTR", "NOERROR qr rd ra; 2.0.20.172.in-addr.arpa. 1 PTR web01.app.sanbashi.internal."),
        ("2.0.17.172.in-addr.arpa", "PTR", "NOERROR qr rd ra; 2.0.17.172.in-addr.arpa. 1 PTR plain.bridge.sanbashi.internal."),
        ("8.8.8.8.in-addr.arpa", "PTR", "REFUSED qr rd ra"),
        ("8.8.in-addr.arpa", "PTR", "REFUSED qr rd ra"),
        ("web01", "A", "REFUSED qr rd ra"),
        ("web01.app", "A", "REFUSED qr rd ra"),
        ("example.com", "A", "REFUSED qr rd ra"),
        ("notsanbashi.internal", "A", "REFUSED qr rd ra"),
    ],
)
def test_the_suffix_backwards_and_what_is_not_ours(directory: Directory, query: Query, shown: Shown, name: str, kind: str, expected: str) -> None:
    assert line(directory, query(name, kind), shown) == expected


@pytest.mark.parametrize("name", ["web01.app.sanbashi.internal", "nobody.sanbashi.internal", "example.com", "sanbashi.internal"])
def test_edns_is_answered_with_edns(directory: Directory, query: Query, shown: Shown, name: str) -> None:
    assert line(directory, query(name, edns=1232), shown) == line(directory, query(name), shown) + "; EDNS udp 1232"


def test_only_the_internet_class(directory: Directory, query: Query, shown: Shown) -> None:
    assert line(directory, query("web01.sanbashi.internal", klass=3), shown) == "REFUSED qr rd ra"


def test_a_dot_inside_a_label_is_no_border(directory: Directory, query: Query) -> None:
    data = query("x.internal")
    data = data[:12] + b"\x0ea.web.sanbashi\x08internal\0" + data[-4:]
    assert not is_for_host(wire.read_question(data), directory)


def test_many_addresses_are_cut(query: Query, shown: Shown) -> None:
    directory = Directory()
    directory.add(Zone("n1", "app"))
    for number in range(60):
        directory.add(Names("n1", f"e{number}", (f"w{number}", "all"), (ip_address(f"10.0.0.{number}"),)))
    assert line(directory, query("all.app.sanbashi.internal"), shown).startswith("NOERROR qr tc rd ra")
    assert line(directory, query("all.app.sanbashi.internal"), shown, size=4096).count(" A ") == 60
    for size in range(512, 560):
        data = query("all.app.sanbashi.internal", edns=4096)
        assert len(answer_host(data, wire.read_question(data), directory, size=size, shuffle=lambda addresses: None)) + 2 <= size


def test_a_name_that_goes_is_gone(directory: Directory, query: Query, shown: Shown) -> None:
    directory.remove(Names("n1", "e1", ("web01", "web", "api"), (ip_address("172.20.0.2"), ip_address("fd00::2"))))
    assert line(directory, query("api.sanbashi.internal"), shown).endswith("A 172.21.0.3")  # now it says one thing
    assert line(directory, query("web01.app.sanbashi.internal"), shown).startswith("NXDOMAIN")
    assert line(directory, query("2.0.20.172.in-addr.arpa", "PTR"), shown).startswith("REFUSED")


@given(name=st.text(alphabet=st.sampled_from("aW0.*\\-é"), max_size=40), kind=st.sampled_from([1, 28, 12, 6, 15, 255]))
def test_any_name_gets_a_reply_that_can_be_read(name: str, kind: int) -> None:
    directory = Directory()
    directory.add(Zone("n1", "a.a"))
    directory.add(Names("n1", "e1", ("W0", "*.a"), (ip_address("10.0.0.1"),)))
    encoded = wire.encode_name(f"{name}.sanbashi.internal") or b"\0"
    data = b"\xbe\xef\x01\0\0\1\0\0\0\0\0\0" + encoded + kind.to_bytes(2, "big") + b"\0\1"
    question = wire.read_question(data)
    reply = data[:2] + answer_host(data, question, directory, size=512, shuffle=lambda addresses: None)
    assert wire.answers_to(reply, data, question.end)
    _, _, answers, authorities, additional = wire.counts(reply)
    wire.records(reply, question.end, answers + authorities + additional)
