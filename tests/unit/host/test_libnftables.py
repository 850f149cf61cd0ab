"""The library's contexts and the descriptors of their sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
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
    libnftables.keep_low()
    snatched: list[socket.socket] = []

    class Library:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def nft_ctx_new(self, flags: int) -> Any:
            for protocol in (ROUTE, NETFILTER)[len(snatched) :][:1]:
                snatched.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol))
            return real.nft_ctx_new(flags)

    monkeypatch.setattr(libnftables, "library", Library)
    with ExitStack() as opened:
        for hole in below(max(libnftables.low)):  # earlier tests left them: the snatcher would get one of those, and not the number that is let go
            opened.callback(os.close, hole)
        context, number = libnftables.new_context()
        for each in snatched:
            opened.callback(each.close)
        assert len(snatched) == 2 and number not in [each.fileno() for each in snatched]
        with libnftables.copy_of(number) as there:
            assert there.proto == NETFILTER
        real.nft_ctx_free(context)
        libnftables.keep_low()


def below(number: int) -> Iterator[int]:
    """Every free descriptor below a number, opened."""
    while (opened := os.open("/dev/null", os.O_RDONLY)) < number:
        yield opened
    os.close(opened)


def test_numbers_that_were_snatched_are_made_up_for() -> None:
    """Each start of a thousand lets a few go: were none taken again until the last is gone, a busy daemon would run out of them."""
    libnftables.library()
    libnftables.keep_low()
    whole, snatched = len(libnftables.low), [libnftables.low.pop() for _ in range(5)]
    try:
        context, number = libnftables.new_context()
        assert number < libnftables.FD_SETSIZE and number not in snatched
        assert len(libnftables.low) == whole - 1
        libnftables.library().nft_ctx_free(context)
        libnftables.keep_low()
        assert len(libnftables.low) == whole == libnftables.LOW_RESERVED
    finally:
        for each in snatched:
            os.close(each)


def test_the_last_low_number_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was snatched by something that is soon done."""
    libnftables.library()
    libnftables.keep_low()
    asked = []
    put_by = libnftables.low.copy()

    def keep_low() -> None:
        asked.append(True)
        if len(asked) == 3:
            libnftables.low.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))

    monkeypatch.setattr(libnftables, "keep_low", keep_low)
    libnftables.low.clear()
    try:
        context, _ = libnftables.new_context()
        assert len(asked) == 3
        libnftables.library().nft_ctx_free(context)
    finally:
        libnftables.low.extend(put_by)
