"""Every element that we make goes into the real tables, and comes back spelled as we spelled it."""

from __future__ import annotations

import threading
from ipaddress import ip_address

import pytest
from tests.unit.network.world import FACTS, create, fresh, join, number, open_container, run

from sanbashi.host.counts import Counts
from sanbashi.host.elements import Transactions
from sanbashi.host.namespaces import enter_new, on_thread
from sanbashi.host.nft import Nft
from sanbashi.network.model import NetworkState, PortSpec
from sanbashi.network.picture import Element
from sanbashi.network.ruleset import transaction
from sanbashi.network.wanted import everything

B = "com.docker.network.bridge."


def every_kind() -> NetworkState:
    """Networks of every mode, with ports of every kind."""
    state = fresh()
    nat = {B + "enable_icc": "false", "com.docker.network.host_ipv4": "192.0.2.10", B + "trusted_host_interfaces": "eth0:tcp"}
    state, _ = create(state, "nat", enable_ipv6=True, options=nat)
    state, _ = create(state, "in", "10.9.0.0/24", "fd00:1::/64", enable_ipv6=True, internal=True)
    state, _ = create(state, "rt", enable_ipv6=True, options={B + "gateway_mode_ipv4": "routed", B + "gateway_mode_ipv6": "routed"})
    state, _ = create(state, "open", options={B + "gateway_mode_ipv4": "nat-unprotected"})
    state, _ = create(state, "iso", internal=True, options={B + "gateway_mode_ipv4": "isolated"})
    everywhere = [PortSpec(80, "tcp", None, 8080), PortSpec(80, "sctp", None, 8080)]
    single = [PortSpec(81, "udp", ip_address("::1")), PortSpec(82, "tcp", ip_address("127.0.0.1"), 99)]
    state = run(state, "c1", "nat", *everywhere, *single)
    state, _ = join(open_container(state, "c2", exposed=((80, "tcp"),)), "c2", "nat", links=(("x", number("c1")),))
    state, _ = join(state, "c2", "in")
    state = run(state, "c3", "rt", PortSpec(22, "tcp"))
    state = run(state, "c4", "bridge", PortSpec(22, "tcp"), link_local=(ip_address("169.254.7.7"), ip_address("fe80::7")))
    return run(state, "c5", "iso")


@pytest.mark.root
def test_elements_go_in_and_come_back() -> None:
    wanted = {i for i in everything(every_kind(), FACTS) if isinstance(i, Element)}

    def there_and_back() -> tuple[set[Element], set[Element]]:
        enter_new()
        with Nft(Counts()) as nft:
            nft.load_tables()
            nft.run(transaction(add=wanted))
            there = set(nft.all())
            nft.run(transaction(remove=wanted))
            return there, set(nft.all())

    there, left = on_thread(there_and_back)
    assert there == wanted
    assert not left
    assert {(e.family, e.set) for e in wanted} >= {("inet", "links6"), ("bridge", "target6"), ("inet", "opened6"), ("inet", "gateways6")}


@pytest.mark.root
def test_a_thousand_elements_are_looked_up() -> None:
    """Of a container with many ports, after one of them could not be had; the library's message for a look-up has 8 KB and no bounds."""
    wanted = [Element("inet", "published6", (f"fd00::{n + 1:x}", "tcp", str(n + 1)), ("fd00:1::2", "80")) for n in range(1000)]

    def look() -> tuple[set[Element], set[Element]]:
        enter_new()
        with Nft(Counts()) as nft:
            nft.load_tables(wanted)
            everything_there = set(nft.present(wanted))
            nft.run(transaction(remove=wanted[:500]))
            return everything_there, set(nft.present(wanted))

    there, left = on_thread(look)
    assert there == set(wanted)
    assert left == set(wanted[500:])


@pytest.mark.root
def test_what_is_there_is_told_while_others_change_the_rules() -> None:
    """The kernel breaks off what it tells when a transaction comes in between: EINTR, which the library passes on where it looks elements up."""
    wanted = [Element("inet", "published4_any", ("tcp", str(n + 1)), ("172.17.0.2", "80")) for n in range(64)]

    def look() -> tuple[set[frozenset[Element]], int]:
        enter_new()
        ended, changes = threading.Event(), [0]
        with Nft(Counts()) as nft, Transactions(nft.tables) as transactions:
            nft.load_tables(wanted)

            def change() -> None:
                while not ended.wait(0.002):
                    assert transactions.carry_out((), [BRIDGE]) and transactions.carry_out([BRIDGE], ())
                    changes[0] += 2

            changing = threading.Thread(target=change)
            changing.start()
            try:
                return {frozenset(nft.present(wanted)) for _ in range(300)}, changes[0]
            finally:
                ended.set()
                changing.join()

    seen, changes = on_thread(look)
    assert seen == {frozenset(wanted)} and changes > 100


@pytest.mark.root
def test_elements_go_in_and_come_back_by_the_kernels_own_messages() -> None:
    wanted = {i for i in everything(every_kind(), FACTS) if isinstance(i, Element)}

    def there_and_back() -> tuple[set[Element], set[Element]]:
        enter_new()
        with Nft(Counts()) as nft, Transactions(nft.tables) as transactions:
            nft.load_tables()
            assert transactions.carry_out((), wanted)
            there = set(nft.all())
            assert transactions.carry_out(wanted, ())
            return there, set(nft.all())

    there, left = on_thread(there_and_back)
    assert there == {single for element in wanted for single in element.each()}
    assert not left


@pytest.mark.root
def test_the_elements_of_a_range_are_each_there() -> None:
    ports = Element("inet", "published4_any", ("tcp", "8000"), ("172.17.0.2", "80"), count=100)

    def added() -> set[Element]:
        enter_new()
        with Nft(Counts()) as nft, Transactions(nft.tables) as transactions:
            nft.load_tables()
            assert transactions.carry_out((), [ports])
            return set(nft.all())

    assert on_thread(added) == set(ports.each())


BRIDGE = Element("inet", "bridges", ("br-one",))
PORT = Element("inet", "published4_any", ("tcp", "8080"), ("172.17.0.2", "80"))


@pytest.mark.root
@pytest.mark.parametrize(
    ("remove", "add"),
    [
        pytest.param([Element("inet", "bridges", ("br-none",))], [BRIDGE], id="what goes is not there"),
        pytest.param([], [BRIDGE, Element("inet", "published4_any", ("tcp", "8080"), ("172.17.0.3", "80"))], id="another stands there"),
        pytest.param([PORT], [BRIDGE, Element("inet", "entering", ("br-one",), ("goto nowhere",))], id="no such chain"),
        pytest.param([PORT], [BRIDGE, Element("inet", "nothing", ("br-one",))], id="no such set"),
        pytest.param([PORT], [BRIDGE, Element("inet", "gated4", ("::1", "tcp", "80"))], id="no such address"),
        pytest.param([PORT], [Element("inet", "gated4_any", ("tcp", "1"), count=1000)], id="too many for a message"),
    ],
)
def test_a_refused_transaction_does_nothing(remove: list[Element], add: list[Element]) -> None:
    def left() -> tuple[bool, set[Element], bool]:
        enter_new()
        with Nft(Counts()) as nft, Transactions(nft.tables) as transactions:
            nft.load_tables([PORT])
            done = transactions.carry_out(remove, add)
            there = set(nft.all())
            return done, there, transactions.carry_out([PORT], [BRIDGE])  # what was told of the refusal is not taken for an answer to this

    done, there, next_one = on_thread(left)
    assert not done
    assert there == {PORT}
    assert next_one
