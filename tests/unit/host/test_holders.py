"""Sockets as /proc writes them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from sanbashi.host.holders import clashes, parsed


def test_addresses_are_words_in_the_machines_order() -> None:
    assert parsed("0100007F:1F90") == (ip_address("127.0.0.1"), 8080)
    assert parsed("00000000000000000000000001000000:0035") == (ip_address("::1"), 53)


@pytest.mark.parametrize(
    ("local", "wanted", "expected"),
    [
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("::", "127.0.0.1", True),
        ("::1", "127.0.0.1", False),
        ("0.0.0.0", "::", False),
    ],
)
def test_clashes(local: str, wanted: str, expected: bool) -> None:
    assert clashes(ip_address(local), ip_address(wanted)) is expected
