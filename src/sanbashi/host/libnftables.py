"""libnftables itself, loaded into this process: its contexts, and the sockets that it opens for them."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .netlink import NETFILTER

# One at a time in the whole process: the library keeps parser state that is not a context's own.
LIBRARY_LOCK = threading.Lock()


@functools.cache
def library() -> ctypes.CDLL:
    """libnftables, loaded when it is first needed."""
    lib = ctypes.CDLL("libnftables.so.1")
    lib.nft_ctx_new.restype = ctypes.c_void_p
    lib.nft_ctx_new.argtypes = [ctypes.c_uint32]
    for name in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(lib, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(lib, name).argtypes = [ctypes.c_void_p]
        getattr(lib, name).restype = ctypes.c_char_p
    lib.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    lib.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    keep_low()
    return lib


# The library waits with select(2), which ends the whole process at a descriptor of FD_SETSIZE or more: with a thousand containers a new
# socket gets such a number. So some low numbers are held, and one is let go at the moment in which the library opens its socket. Each that is
# snatched then may be gone for long, so what is missing is made up for whenever a low one is free.
FD_SETSIZE, LOW_RESERVED, ATTEMPTS = 1024, 64, 100
low: list[int] = []


def keep_low() -> None:
    """Hold as many low descriptors as are to be held, as far as they are free."""
    while len(low) < LOW_RESERVED:
        held = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        if held >= FD_SETSIZE:
            os.close(held)
            return
        low.append(held)


def new_context() -> tuple[ctypes.c_void_p, int]:
    """A context and its netlink socket, which has a low number; another thread may snatch the number that was let go, then the next is tried."""
    for _ in range(ATTEMPTS):
        keep_low()
        if not low:  # whoever snatched the last may be done with it soon
            time.sleep(0.001)
            continue
        number = low.pop()
        os.close(number)
        context: ctypes.c_void_p = library().nft_ctx_new(0)
        if is_the_librarys(number):
            return context, number
        library().nft_ctx_free(context)
    raise OSError(errno.EMFILE, "no descriptor below 1024 is free for nftables")


@contextmanager
def copy_of(number: int) -> Iterator[socket.socket]:
    """A socket by a descriptor of its own, gone at the end; OSError where it is none, and then nothing stays either."""
    copy = os.dup(number)
    try:
        there = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)  # it may be the end of a pipe that somebody reads until it is closed
        raise
    with there:
        yield there


def port_of(number: int) -> int:
    """The netlink port of a socket, by which the kernel tells in its notifications who changed something; 0 before it is used."""
    try:
        with copy_of(number) as there:
            return int(there.getsockname()[0]) if there.family == socket.AF_NETLINK else 0
    except OSError:
        return 0


def is_the_librarys(number: int) -> bool:
    """Whether a descriptor is the socket of a context, and not one that another thread of ours has just opened there, as for links in a namespace.

    The library asks for a socket of nfnetlink that a program would inherit; Python never does the latter.
    """
    try:
        with copy_of(number) as there:
            return (there.family, there.proto) == (socket.AF_NETLINK, NETFILTER) and os.get_inheritable(number)
    except OSError:  # not a socket, or closed again by whoever snatched it
        return False
