"""Elements as nft text and back."""

from __future__ import annotations

import re

from sanbashi.host.nft import FIXED, fixed_tables, parse
from sanbashi.network.picture import Element
from sanbashi.network.ruleset import INTERFACES

LISTING = """table inet sanbashi {
\tmap published4 {
\t\ttype ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
\t\telements = { 127.0.0.1 . tcp . 8082 : 10.81.1.2 . 80,
\t\t\t     192.0.2.1 . sctp . 8083 : 10.81.1.2 . 81 }
\t}

\tmap entering {
\t\ttype ifname : verdict
\t\telements = { "docker0" : goto into_nat, "br-1" : drop }
\t}

\tset masquerade4 {
\t\ttype ifname
\t}

\tset admitted4 {
\t\ttype ipv4_addr . inet_proto . inet_service
\t\tsize 65536
\t\tflags dynamic,timeout
\t\ttimeout 1h
\t\telements = { 192.0.2.2 . tcp . 8080 expires 59m }
\t}

\tchain prerouting {
\t\ttype nat hook prerouting priority dstnat; policy accept;
\t\tmeta l4proto { tcp, udp } accept
\t}
}
table bridge sanbashi {
\tset target6 {
\t\ttypeof iifname . ether saddr . @th,64,128
\t\telements = { "veth1" . 02:00:00:00:01:02 . 0x64ff9b000000000000000000000002 }
\t}
}
"""
ELEMENTS = {
    Element("inet", "published4", ("127.0.0.1", "tcp", "8082"), ("10.81.1.2", "80")),
    Element("inet", "published4", ("192.0.2.1", "sctp", "8083"), ("10.81.1.2", "81")),
    Element("inet", "entering", ("docker0",), ("goto into_nat",)),
    Element("inet", "entering", ("br-1",), ("drop",)),
    Element("bridge", "target6", ("veth1", "02:00:00:00:01:02", "0x0064ff9b000000000000000000000002")),
}


def test_a_listing_is_read_back_as_elements() -> None:
    """Names lose their quotes, 128-bit numbers keep their zeros; what packets put in, and rules, are left out."""
    assert set(parse(LISTING)) == ELEMENTS


def test_the_renderer_knows_which_fields_the_fixed_table_types_as_names() -> None:
    """Read from the table's own text: a set added there and forgotten in the renderer fails here."""
    found: dict[tuple[str, str], tuple[int, ...]] = {}
    family = ""
    for line in FIXED.read_text().splitlines():
        if line.startswith("table "):
            family = line.split()[1]
        elif match := re.match(r"\s+(?:set|map) (\w+)\s+\{ type(?:of)? ([^;:]+)", line):
            places = tuple(i for i, word in enumerate(match[2].split(" . ")) if word.strip() in ("ifname", "iifname"))
            found.update({(family, match[1]): places} if places else {})
    assert found == INTERFACES


def test_the_rule_for_packets_that_others_marked() -> None:
    """In the chain of networks that let in, and nowhere where the daemon was not told."""
    assert fixed_tables() == FIXED.read_text()
    more = [line for line in fixed_tables((0x5, 0x3)).splitlines() if line not in fixed_tables().splitlines()]
    assert more == ['        meta mark and 0x00000003 == 0x00000001 accept comment "--bridge-accept-fwmark"']
    text = fixed_tables((0x5, 0x3))
    assert text.index("chain into_nat {") < text.index(more[0]) < text.index("chain into_routed {")
