"""Flows of addresses that are gone: forgotten later, in one look for all, and before anybody gets the address."""

from __future__ import annotations

import threading
from collections.abc import Collection

import pytest

from sanbashi.host.leavers import Leavers

PATIENCE = 60  # seconds


def test_who_gets_an_address_waits_until_what_it_began_is_forgotten() -> None:
    looks: list[set[bytes]] = []
    looking, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def forget(gone: Collection[bytes]) -> None:
        looks.append(set(gone))
        looking.release()
        assert go_on.acquire(timeout=PATIENCE)

    leavers = Leavers(forget)
    leavers.add([b"one"])
    assert looking.acquire(timeout=PATIENCE)
    leavers.add([b"two"])
    leavers.add([b"three", b"one"])
    leavers.settle([b"four"])  # nobody had it
    arrived: list[bytes] = []

    def arrive() -> None:
        leavers.settle([b"two"])
        arrived.append(b"two")

    arriving = threading.Thread(target=arrive)
    arriving.start()
    go_on.release()
    assert looking.acquire(timeout=PATIENCE)
    assert not arrived and looks == [{b"one"}, {b"one", b"two", b"three"}]
    go_on.release()
    arriving.join(PATIENCE)
    assert arrived == [b"two"]
    leavers.settle()


def test_a_refusal_is_told_and_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(gone: Collection[bytes]) -> None:
        raise OSError(22, "Invalid argument")

    leavers = Leavers(refuse)
    for _ in range(2):
        leavers.add([b"one"])
        leavers.settle([b"one"])
    leavers.settle()
    assert "flows of IPv6 addresses that are gone are not forgotten: [Errno 22] Invalid argument" in caplog.text
