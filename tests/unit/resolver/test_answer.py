"""What dig prints for our names: the flags and sections of Docker's recordings (network.jsonl, section dns), with a TTL of our own."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

import pytest

from sanbashi.network.picture import THE_HOST, Names, Resolver, Zone
from sanbashi.resolver import wire
from sanbashi.resolver.answer import answer, reverse_address
from sanbashi.resolver.names import Directory, View

Query = Callable[..., bytes]
Shown = Callable[[bytes], str]


@pytest.fixture
def directory() -> Directory:
    found = Directory()
    for item in (
        Zone("n1", "dn"),
        Zone("n2", "Other"),
        Names("n1", "e1", ("d1", "web", "0123456789ab", "host1"), (ip_address("172.20.0.2"),)),
        Names("n1", "e2", ("d2", "web"), (ip_address("172.20.0.3"), ip_address("fd00::3"))),
        Names("n1", "e3", ("six",), (ip_address("fd00::6"),)),
        Names("n2", "e4", ("d1", "only.there", "*.app.local"), (ip_address("172.21.0.9"),)),
    ):
        found.add(item)
    return found


def view(*networks: str, ndots_set: bool = False, **links: str) -> View:
    resolved = tuple((alias, "n1", (ip_address(address),)) for alias, address in links.items())
    return View.of(Resolver("s", networks, links=resolved, ndots_set=ndots_set))


def line(directory: Directory, seen: View, data: bytes, shown: Shown, *, size: int | None = None) -> str:
    question = wire.read_question(data)
    tails = answer(data, question, seen, directory, size=size or question.size, shuffle=lambda addresses: None)
    return "others" if tails is None else shown(data[:2] + tails[0])


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("d1", "A", "NOERROR qr rd ra; d1. 1 A 172.20.0.2"),
        ("D1", "A", "NOERROR qr rd ra; D1. 1 A 172.20.0.2"),
        ("d1", "AAAA", "NOERROR qr rd ra"),
        ("d1", "MX", "NOERROR qr rd ra"),
        ("d1", "TXT", "others"),
        ("d1", "ANY", "others"),
        ("nosuchname", "A", "others"),
        ("nosuchname", "MX", "others"),
        ("host1", "A", "NOERROR qr rd ra; host1. 1 A 172.20.0.2"),
        ("0123456789ab", "A", "NOERROR qr rd ra; 0123456789ab. 1 A 172.20.0.2"),
        ("d1.dn", "A", "NOERROR qr rd ra; d1.dn. 1 A 172.20.0.2"),
        ("d1.DN", "A", "NOERROR qr rd ra; d1.DN. 1 A 172.20.0.2"),
        ("d1.other", "A", "others"),
        ("d1.dn.dn", "A", "others"),
        ("web", "A", "NOERROR qr rd ra; web. 1 A 172.20.0.2; web. 1 A 172.20.0.3"),
        ("web", "AAAA", "NOERROR qr rd ra; web. 1 AAAA fd00::3"),
        ("six", "A", "NOERROR qr rd ra"),
        ("2.0.20.172.in-addr.arpa", "PTR", "NOERROR qr rd ra; 2.0.20.172.in-addr.arpa. 1 PTR d1.dn."),
        ("2.0.18.172.in-addr.arpa", "PTR", "others"),
    ],
)
def test_one_network(directory: Directory, query: Query, shown: Shown, name: str, kind: str, expected: str) -> None:
    assert line(directory, view("n1"), query(name, kind), shown) == expected
    if expected != "others":  # no OPT in the reply even where the question has one, as recorded
        assert line(directory, view("n1"), query(name, kind, edns=1232), shown) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("d1", "NOERROR qr rd ra; d1. 1 A 172.21.0.9"),  # the first network has the say
        ("d1.dn", "NOERROR qr rd ra; d1.dn. 1 A 172.20.0.2"),
        ("d1.other", "NOERROR qr rd ra; d1.other. 1 A 172.21.0.9"),
        ("only.there", "NOERROR qr rd ra; only.there. 1 A 172.21.0.9"),
        ("only.there.other", "NOERROR qr rd ra; only.there.other. 1 A 172.21.0.9"),
        ("x.y.app.local", "NOERROR qr rd ra; x.y.app.local. 1 A 172.21.0.9"),
        ("app.local", "others"),
        ("d2", "NOERROR qr rd ra; d2. 1 A 172.20.0.3"),
    ],
)
def test_two_networks(directory: Directory, query: Query, shown: Shown, name: str, expected: str) -> None:
    assert line(directory, view("n2", "n1"), query(name), shown) == expected


def test_links_are_first_and_of_one_sandbox(directory: Directory, query: Query, shown: Shown) -> None:
    linked = view("n1", other="172.20.0.2", d2="172.20.0.7")
    assert line(directory, linked, query("other"), shown) == "NOERROR qr rd ra; other. 1 A 172.20.0.2"
    assert line(directory, linked, query("d2"), shown) == "NOERROR qr rd ra; d2. 1 A 172.20.0.7"
    assert line(directory, linked, query("OTHER.dn"), shown) == "NOERROR qr rd ra; OTHER.dn. 1 A 172.20.0.2"
    assert line(directory, view("n1"), query("other"), shown) == "others"


def test_other_family_in_a_later_network_wins_over_nothing(directory: Directory, query: Query, shown: Shown) -> None:
    directory.add(Names("n2", "e5", ("six",), (ip_address("172.21.0.6"),)))
    assert line(directory, view("n1", "n2"), query("six"), shown) == "NOERROR qr rd ra; six. 1 A 172.21.0.6"


def test_single_labels_stay_inside_where_ndots_is_set(directory: Directory, query: Query, shown: Shown) -> None:
    seen = view("n1", ndots_set=True)
    assert line(directory, seen, query("nosuch"), shown) == "NOERROR qr rd ra"
    assert line(directory, seen, query("nosuch.example"), shown) == "others"
    assert line(directory, seen, query("nosuch", "TXT"), shown) == "others"


def test_flags_follow_the_question(directory: Directory, query: Query, shown: Shown) -> None:
    assert line(directory, view("n1"), query("six", flags=0x0010), shown) == "NOERROR qr ra cd"
    assert line(directory, view("n1"), query("d1", klass=3), shown) == "others"


def test_many_addresses_are_cut_and_turn(directory: Directory, query: Query, shown: Shown) -> None:
    for number in range(100):
        directory.add(Names("n1", f"x{number}", ("many",), (ip_address(f"10.0.0.{number}"),)))
    short = line(directory, view("n1"), query("many"), shown)
    assert short.startswith("NOERROR qr tc rd ra; many. 1 A")
    assert line(directory, view("n1"), query("many", edns=4096), shown).count("many.") == 100
    assert line(directory, view("n1"), query("many"), shown, size=65535).count("many.") == 100
    data = query("web")
    question = wire.read_question(data)
    tails = answer(data, question, view("n1"), directory, size=512, shuffle=lambda addresses: addresses.reverse())
    assert tails is not None
    assert [shown(data[:2] + tail).split()[7] for tail in tails] == ["172.20.0.3;", "172.20.0.2;"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1.0.0.10.in-addr.arpa", "10.0.0.1"),
        ("1.0.0.256.in-addr.arpa", None),
        ("0.0.10.in-addr.arpa", None),
        ("².0.0.10.in-addr.arpa", None),
        ("3" + ".0" * 29 + ".d.f.ip6.arpa", "fd00::3"),
        ("g" + ".0" * 31 + ".ip6.arpa", None),
        ("d1", None),
    ],
)
def test_reverse_names(name: str, expected: str | None) -> None:
    assert reverse_address(name) == (ip_address(expected).packed if expected else None)


def test_the_host_has_a_name_unless_a_container_has_it(directory: Directory) -> None:
    seen, host = view("n1", "n2"), Names("n1", THE_HOST, ("host.docker.internal", "host.sanbashi.internal"), (ip_address("172.20.0.1"),))
    directory.add(host)
    assert directory.find(seen, "host.docker.internal", 4) == ([b"\xac\x14\0\1"], True)
    assert directory.find(seen, "host.sanbashi.internal", 16) == ([], True)
    assert directory.find(view("n2"), "host.docker.internal", 4) == ([], False)
    mine = Names("n2", "e9", ("c9", "host.docker.internal"), (ip_address("172.21.0.7"),))
    directory.add(mine)
    assert directory.find(seen, "host.docker.internal", 4) == ([b"\xac\x15\0\7"], True)
    directory.remove(mine)
    assert directory.find(seen, "host.docker.internal", 4) == ([b"\xac\x14\0\1"], True)
    directory.remove(host)
    assert directory.find(seen, "host.docker.internal", 4) == ([], False)
