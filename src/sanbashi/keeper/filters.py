"""Socket filters: what a held port must not receive is dropped before it is queued, and before a connection is accepted.

A program is given to the kernel once and shared by all sockets that want it: each socket's own copy would cost 30 microseconds and a page of the
kernel's memory, a shared one less than one and nothing. Where bpf(2) is refused each socket gets a copy, in the older language.
"""

from __future__ import annotations

import os
import socket
import struct
from array import array
from collections.abc import Sequence

from ..records import dataclass

SO_ATTACH_FILTER, SO_ATTACH_BPF = 26, 50  # asm-generic/socket.h
PROG_LOAD, SOCKET_FILTER = 5, 1  # linux/bpf.h
CALL_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "s390x": 351}  # of bpf(2)
IPV4 = 0x0800  # ETH_P_IP
PROTOCOL = 0xFFFFF000  # SKF_AD_OFF + SKF_AD_PROTOCOL, linux/filter.h


@dataclass(frozen=True)
class Filter:
    """A program in both of the kernel's languages: eBPF as (code, destination, source, offset, value), and the classic one."""

    name: str
    program: tuple[tuple[int, int, int, int, int], ...]
    classic: tuple[tuple[int, int, int, int], ...]


DROP_ALL = Filter(
    "everything",
    program=((0xB7, 0, 0, 0, 0), (0x95, 0, 0, 0, 0)),  # r0 = 0; exit
    classic=((0x06, 0, 0, 0),),  # return 0
)
DROP_IPV4 = Filter(
    "IPv4",
    program=(
        (0x61, 0, 1, 16, 0),  # r0 = context->protocol
        (0x15, 0, 0, 2, socket.htons(IPV4)),  # if it is IPv4 go to the last two
        (0xB7, 0, 0, 0, -1),  # r0 = all of it
        (0x95, 0, 0, 0, 0),  # exit
        (0xB7, 0, 0, 0, 0),  # r0 = 0
        (0x95, 0, 0, 0, 0),  # exit
    ),
    classic=((0x20, 0, 0, PROTOCOL), (0x15, 0, 1, IPV4), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF)),
)

_loaded: dict[str, int] = {}  # name -> descriptor of the program, -1 where the kernel takes none


def attach(to: socket.socket, what: Filter) -> None:
    """Drop what the filter names; OSError."""
    if what.name not in _loaded:
        _loaded[what.name] = load(what)
    program = _loaded[what.name]
    if program >= 0:
        to.setsockopt(socket.SOL_SOCKET, SO_ATTACH_BPF, program)
        return
    attach_copy(to, what.classic)


def attach_copy(to: socket.socket, classic: Sequence[tuple[int, int, int, int]]) -> None:
    """Give a socket a program of its own, in the classic language; OSError."""
    copy = array("B", b"".join(struct.pack("=HBBI", *step) for step in classic))  # struct sock_filter
    to.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(classic), copy.buffer_info()[0]))  # struct sock_fprog


def load(what: Filter) -> int:
    """The descriptor of the program in the kernel, -1 where it is refused."""
    number = CALL_NUMBERS.get(os.uname().machine)
    if number is None:
        return -1
    import ctypes  # only who holds such ports needs it, and it costs 1 MB

    steps = b"".join(struct.pack("=BBhi", code, source << 4 | to, offset, value) for code, to, source, offset, value in what.program)
    program, licence = ctypes.create_string_buffer(steps, len(steps)), ctypes.create_string_buffer(b"Apache-2.0")
    # union bpf_attr as far as BPF_PROG_LOAD has it: type, count, instructions, licence, no log
    attributes = struct.pack("=IIQQIIQII", SOCKET_FILTER, len(what.program), ctypes.addressof(program), ctypes.addressof(licence), 0, 0, 0, 0, 0)
    place = ctypes.create_string_buffer(attributes, len(attributes))
    return int(ctypes.CDLL(None, use_errno=True).syscall(number, PROG_LOAD, place, len(attributes)))
