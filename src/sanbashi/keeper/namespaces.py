"""Sockets opened inside a network namespace by the one thread that there is."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000  # linux/sched.h

_home: list[int] = []  # the descriptor of our own namespace, once it is needed


def setns(descriptor: int) -> None:
    """Enter a network namespace with the calling thread; OSError. (Python has os.setns from 3.12 on.)"""
    import ctypes  # only resolvers with servers of their own need it, and it costs 1 MB

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@contextmanager
def inside(namespace: int | None) -> Iterator[None]:
    """Run the block in a namespace (None: ours). Not coming home again would be worse than ending, so that error is not caught here."""
    if namespace is None:
        yield
        return
    if not _home:
        _home.append(os.open(Path("/proc/thread-self/ns/net"), os.O_RDONLY | os.O_CLOEXEC))
    setns(namespace)
    try:
        yield
    finally:
        setns(_home[0])


def scope(address: str) -> tuple[int, str, int]:
    """An upstream's address as (family, address, scope id): fe80::1%eth0 names an interface of the namespace we are in. OSError, ValueError."""
    host, _, zone = address.partition("%")
    if ":" not in host:
        return socket.AF_INET, host, 0
    return socket.AF_INET6, host, (int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)) if zone else 0
