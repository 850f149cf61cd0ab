"""Programs that stand beside an engine while it is hurt: a client with an open connection, and one that asks for a name again and again.

python -m tests.e2e.companions talk ADDRESS PORT     a line on stdin goes to the echo server and back; prints what came, once a line
python -m tests.e2e.companions ask NAME              asks 127.0.0.11 every 20 ms until stdin ends; prints how often, and how often in vain
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import time


def talk(address: str, port: int) -> None:
    with socket.create_connection((address, port), 10) as connection, connection.makefile("rwb") as stream:
        print("connected", flush=True)
        for line in sys.stdin.buffer:
            stream.write(line)
            stream.flush()
            connection.settimeout(5)
            sys.stdout.buffer.write(stream.readline())
            sys.stdout.flush()


def ask(name: str) -> None:
    asked = vain = 0
    longest = 0.0
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    print("asking", flush=True)
    while not select.select([0], [], [], 0.02)[0]:
        asked += 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
            channel.settimeout(1.0)
            began = time.monotonic()
            try:
                channel.sendto(struct.pack("!HHHHHH", os.getpid() & 0xFFFF, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1", ("127.0.0.11", 53))
                reply = channel.recv(512)
                good = reply[3] & 15 == 0 and reply[6:8] != b"\0\0"
            except OSError:  # no answer in time, or a refusal
                good = False
            longest = max(longest, time.monotonic() - began)
            vain += not good
    print(asked, vain, f"{longest:.3f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "talk":
        talk(sys.argv[2], int(sys.argv[3]))
    else:
        ask(sys.argv[2])
