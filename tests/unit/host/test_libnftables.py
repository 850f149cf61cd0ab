"""The library's contexts and the descriptors of their sockets."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from sanbashi.host import libnftables
from sanbashi.host.libnftables import is_the_librarys, port_of
from sanbashi.host.netlink import NETFILTER, ROUTE


def test_looking_at_a_descriptor_leaves_none() -> None:
    """A number that was let go for the library is snatched, say for the pipe by which a program that is started tells of its failure: a copy of its
    end that stays open has whoever reads from it wait for ever."""
    reading, writing = os.pipe()
    try:
        assert not is_the_librarys(writing)
        assert port_of(writing) == 0
        os.close(writing)
        assert os.read(reading, 1) == b""
    finally:
        os.close(reading)
    assert not is_the_librarys(reading)  # closed


def test_a_number_that_another_thread_snatches_is_not_taken_for_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket for links, or one of nfnetlink that is not the library's, has come there: its own has some other number, 1024 perhaps, with which it
    ends the whole process."""
    real = libnftables.library()
    snatched: list[socket.socket] = []

    class Library:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def nft_ctx_new(self, flags: int) -> Any:
            for protocol in (ROUTE, NETFILTER)[len(snatched) :][:1]:
                snatched.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol))
            return real.nft_ctx_new(flags)

    monkeypatch.setattr(libnftables, "library", Library)
    try:
        context, number = libnftables.new_context()
        assert len(snatched) == 2 and number not in [each.fileno() for each in snatched]
        with libnftables.copy_of(number) as there:
            assert there.proto == NETFILTER
        real.nft_ctx_free(context)
        libnftables.keep_low()
    finally:
        for each in snatched:
            each.close()
