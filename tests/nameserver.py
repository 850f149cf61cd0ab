"""A name server for tests: `python -m tests.nameserver ADDRESS [NAME=IPV4 ...]` answers those names, and that no other exists (UDP and TCP).

ADDRESS is of either family.
"""

from __future__ import annotations

import ipaddress
import selectors
import socket
import struct
import sys
from collections.abc import Mapping, Sequence

A, OPT, NXDOMAIN = 1, 41, 3


def answer(question: bytes, names: Mapping[str, str]) -> bytes:
    """The reply to one query, EDNS answered where it was asked for."""
    end, labels = 12, []
    while length := question[end]:
        labels.append(question[end + 1 : end + 1 + length].decode("ascii", "replace"))
        end += length + 1
    kind = struct.unpack("!H", question[end + 1 : end + 3])[0]
    asked = question[12 : end + 5]
    name = ".".join(labels).lower()
    known = name in names
    record = b""
    if known and kind == A:
        record = b"\xc0\x0c" + struct.pack("!HHIH", A, 1, 60, 4) + ipaddress.IPv4Address(names[name]).packed
    extra = b"\0" + struct.pack("!HHIH", OPT, 8192, 0, 0) if question[10:12] != b"\0\0" else b""
    flags = 0x8180 | (0 if known else NXDOMAIN)
    return question[:2] + struct.pack("!HHHHH", flags, 1, bool(record), 0, bool(extra)) + asked + record + extra


def serve(address: str, names: Mapping[str, str]) -> None:
    """Answer for ever; prints a line when the sockets are open."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    datagrams, streams = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_STREAM)
    streams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for listener in (datagrams, streams):
        listener.bind((address, 53))
    streams.listen()
    print("ready", flush=True)
    with selectors.DefaultSelector() as selector:
        selector.register(datagrams, selectors.EVENT_READ)
        selector.register(streams, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is datagrams:
                    question, client = datagrams.recvfrom(4096)
                    datagrams.sendto(answer(question, names), client)
                else:
                    connection, _ = streams.accept()
                    with connection:
                        reply = answer(connection.recv(4096)[2:], names)
                        connection.sendall(struct.pack("!H", len(reply)) + reply)


def main(arguments: Sequence[str]) -> None:
    serve(arguments[0], dict(pair.split("=", 1) for pair in arguments[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
